/** The rate that a bucket allows, over any second, and what it does when time or the rate changes. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TokenBucket } from "../../../actors/token_bucket.ts";

interface Taking {
  readonly atMs: number;
  readonly count: number;
}

/** Takes all that it can get, at these moments. */
function greedy(rate: number, pausesMs: readonly number[]): Taking[] {
  const bucket = new TokenBucket(rate, 0);
  const takings: Taking[] = [];
  let atMs = 0;
  for (const pauseMs of pausesMs) {
    atMs += pauseMs;
    const count = bucket.available(Number.MAX_SAFE_INTEGER, atMs);
    bucket.take(count);
    takings.push({ atMs, count });
  }
  return takings;
}

function mostInASecond(takings: readonly Taking[]): number {
  let most = 0;
  let sum = 0;
  let first = 0;
  for (const { atMs, count } of takings) {
    sum += count;
    for (
      let oldest = takings[first];
      oldest !== undefined && oldest.atMs <= atMs - 1_000;
      oldest = takings[first]
    ) {
      sum -= oldest.count;
      first++;
    }
    most = Math.max(most, sum);
  }
  return most;
}

const rate = fc.constantFrom(1, 3, 10, 250, 10_000);

describe("a token bucket", () => {
  it("gives no more than its rate and a tenth in any second, whenever it is asked", () => {
    fc.assert(
      fc.property(
        rate,
        fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 200, size: "max" }),
        (of, pauses) => {
          expect(mostInASecond(greedy(of, pauses))).toBeLessThanOrEqual(of + Math.max(1, of / 10));
        },
      ),
    );
  });

  it("gives its whole rate to who asks often", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(250, 10_000),
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1_000, maxLength: 1_000 }),
        (of, pauses) => {
          const takings = greedy(of, pauses);
          const total = takings.reduce((sum, { count }) => sum + count, 0);
          expect(total).toBeGreaterThanOrEqual(((takings.at(-1)?.atMs ?? 0) / 1_000) * of - 1);
        },
      ),
      { numRuns: 30 },
    );
  });

  it("a debt is paid first, and meanwhile nothing is available, not less", () => {
    const bucket = new TokenBucket(100, 0);
    bucket.take(60);
    expect(bucket.available(5, 0)).toBe(0);
    expect(bucket.available(5, 500)).toBe(0);
    expect(bucket.delayMs(1, 500)).toBe(10);
    expect(bucket.available(5, 510)).toBe(1);
  });

  it("after the delay that it tells, a token is there", () => {
    fc.assert(
      fc.property(rate, fc.nat(100), fc.nat(50), (of, debt, pauseMs) => {
        const bucket = new TokenBucket(of, 0);
        bucket.take(debt);
        const delayMs = bucket.delayMs(1, pauseMs);
        // A ms more or less: what is summed up in fractions may miss a whole by its last bit.
        expect(bucket.available(1, pauseMs + delayMs + 1)).toBe(1);
        if (delayMs > 2) {
          const again = new TokenBucket(of, 0);
          again.take(debt);
          expect(again.available(1, pauseMs + delayMs - 2)).toBe(0);
        }
      }),
    );
  });

  it("a new rate holds at once, and what was saved up is no more than it allows", () => {
    const bucket = new TokenBucket(1_000, 0);
    bucket.setRate(100, 0);
    expect([bucket.rate, bucket.available(1_000, 0)]).toEqual([100, 10]);
    bucket.take(10);
    bucket.setRate(1_000, 0);
    expect(bucket.available(1_000, 10)).toBe(10);
  });

  it("a clock that jumps, either way, gives at most what may be saved up", () => {
    const bucket = new TokenBucket(100, 1_000_000);
    bucket.take(10);
    expect(bucket.available(100, 0)).toBe(0);
    expect(bucket.available(100, 3_600_000)).toBe(10);
  });
});

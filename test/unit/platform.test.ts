/** Node's clock, chance and log behind the seams: src/platform/{clock,random,log}.ts. */

import { describe, expect, test } from "vitest";
import { Xoshiro128 } from "../../src/base/xoshiro128.ts";
import { nodeClock } from "../../src/platform/clock.ts";
import { createLog, defaultLevel } from "../../src/platform/log.ts";
import { nodeRandom } from "../../src/platform/random.ts";

describe("the clock", () => {
  test("never calls a timer early", async () => {
    const clock = nodeClock();
    const early: number[] = [];
    const delays = Array.from({ length: 200 }, (_, index) => ((index * 7) % 23) + index / 200);
    await Promise.all(
      delays.map((delayMs) => {
        const started = clock.monotonicMs();
        return new Promise<void>((resolve) => {
          clock.setTimer(delayMs, () => {
            const waited = clock.monotonicMs() - started;
            if (waited < delayMs) early.push(delayMs - waited);
            resolve();
          });
        });
      }),
    );
    expect(early).toStrictEqual([]);
  });

  test("does not take a delay over 24 days for none, and does not call a timer that was cleared", async () => {
    const clock = nodeClock();
    const called: string[] = [];
    const far = clock.setTimer(2 ** 31 + 5, () => called.push("far"));
    const cleared = clock.setTimer(1, () => called.push("cleared"));
    clock.clearTimer(cleared);
    await new Promise<void>((resolve) => {
      clock.setTimer(10, resolve);
    });
    clock.clearTimer(far);
    clock.clearTimer(far);
    expect(called).toStrictEqual([]);
    expect(far.id).not.toBe(cleared.id);
    expect(() => clock.setTimer(Number.NaN, () => undefined)).toThrow(/delayMs/);
  });
});

describe("chance", () => {
  test("of a seed is that of xoshiro128**", () => {
    const generator = new Xoshiro128(1, 2, 3, 4);
    const drawn = Array.from({ length: 10 }, () => generator.uint32());
    // What the published C code prints for this state.
    expect(drawn).toStrictEqual([
      11_520, 0, 5_927_040, 70_819_200, 2_031_721_883, 1_637_235_492, 1_287_239_034, 3_734_860_849,
      3_729_100_597, 4_258_142_804,
    ]);
  });

  test("of a seed repeats, for each site apart", () => {
    const one = nodeRandom(7);
    const two = nodeRandom(7);
    const drawn = [one.next("a"), one.next("a"), one.next("b")];
    expect([two.next("b"), two.next("a"), two.next("a")]).toStrictEqual([drawn[2], drawn[0], drawn[1]]);
    expect(one.bytes("c", 8)).toStrictEqual(two.bytes("c", 8));
    expect(new Set([...drawn, nodeRandom(8).next("a")]).size).toBe(4);
  });

  test.each([
    ["of a seed", 7],
    ["of the machine", undefined],
  ])("%s is even over [0, 1)", (_, seed) => {
    const random = nodeRandom(seed);
    const draws = 20_000;
    const counts = new Array<number>(10).fill(0);
    for (let draw = 0; draw < draws; draw++) {
      const bucket = Math.floor(random.next("site") * 10);
      counts[bucket] = (counts[bucket] ?? 0) + 1;
    }
    // Five standard deviations: an even source fails less than once in 100,000 runs.
    for (const count of counts)
      expect(Math.abs(count - draws / 10)).toBeLessThan(5 * Math.sqrt(draws * 0.09));
    expect(counts).toHaveLength(10);
    expect(new Set(random.bytes("site", 2_000)).size).toBeGreaterThan(200);
  });
});

describe("the log", () => {
  test("is silent in tests unless it is given a level", () => {
    expect(defaultLevel()).toBe("silent");
    const lines: string[] = [];
    createLog({ write: (line) => lines.push(line) }).error({}, "not heard");
    expect(lines).toStrictEqual([]);
  });

  test("writes a line of JSON for each record, with the fields of the log, its child and the record", () => {
    const lines: string[] = [];
    const log = createLog({ level: "info", fields: { thread: 3 }, write: (line) => lines.push(line) });
    log.child({ pid: "<a.3.1.9>" }).warn({ key: "+55" }, "what happened");
    log.debug({}, "below the level");
    expect(lines.map((line) => JSON.parse(line) as unknown)).toStrictEqual([
      {
        level: 40,
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
        thread: 3,
        pid: "<a.3.1.9>",
        key: "+55",
        msg: "what happened",
      },
    ]);
  });
});

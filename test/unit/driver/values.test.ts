import { describe, expect, it } from "vitest";
import { Chance } from "../../../app/driver/chance.ts";
import { decodeOneTimeRow, encodeFreeKey, encodeTakenKey } from "../../../app/driver/one_time_rows.ts";
import { OperationClock } from "../../../app/driver/operation_clock.ts";
import { backendNames } from "../../../app/driver/population.ts";
import { Values } from "../../../app/driver/values.ts";

describe("values", () => {
  const values = new Values(3);

  it("differ with row, operation and seed, and are recognised byte for byte", () => {
    for (const backend of backendNames) {
      const value = values.make(backend, 7, 9);
      expect(values.matches(value, backend, 7, 9)).toBe(true);
      expect(values.matches(value, backend, 8, 9)).toBe(false);
      expect(values.matches(value, backend, 7, 10)).toBe(false);
      expect(new Values(4).matches(value, backend, 7, 9)).toBe(false);
      expect(values.origin(value)).toEqual({ row: 7, operation: 9 });
      for (let at = 0; at < value.length; at++) {
        const changed = Buffer.from(value);
        changed[at] = (changed[at] ?? 0) ^ 1;
        expect(values.matches(changed, backend, 7, 9)).toBe(false);
      }
      expect(values.matches(value.subarray(1), backend, 7, 9)).toBe(false);
    }
  });

  it("of pictures have a mean of about 1 KiB and a long tail up to 64 KiB", () => {
    const lengths = Array.from({ length: 200_000 }, (_, row) => values.length("profile_picture", row, 1));
    const mean = lengths.reduce((sum, length) => sum + length, 0) / lengths.length;
    expect(mean).toBeGreaterThan(900);
    expect(mean).toBeLessThan(1_150);
    expect(Math.min(...lengths.slice(0, 10_000))).toBeGreaterThanOrEqual(256);
    const longest = lengths.reduce((a, b) => Math.max(a, b));
    expect(longest).toBeGreaterThan(32 * 1024);
    expect(longest).toBeLessThanOrEqual(64 * 1024);
  });
});

describe("a one-time key's row", () => {
  const bytes = Buffer.from("key");

  it("keeps what it was made of, free or taken", () => {
    expect(decodeOneTimeRow(encodeFreeKey(bytes))).toEqual({ taken: false, bytes });
    expect(decodeOneTimeRow(encodeTakenKey("request-1", 12.5, bytes))).toEqual({
      taken: true,
      requestId: "request-1",
      takenAtMs: 12.5,
      bytes,
    });
  });

  it("has the declared layout", () => {
    expect(encodeTakenKey("ab", 1, bytes).toString("hex")).toBe(
      "010002" + "6162" + "3ff0000000000000" + "6b6579",
    );
    expect(encodeFreeKey(bytes).toString("hex")).toBe("006b6579");
  });

  it("is nothing else", () => {
    const taken = encodeTakenKey("request-1", 1, Buffer.alloc(0));
    for (let length = 0; length < taken.length; length++) {
      expect(decodeOneTimeRow(taken.subarray(0, length))).toBeUndefined();
    }
    expect(decodeOneTimeRow(Buffer.from([2, 0, 0]))).toBeUndefined();
  });
});

describe("the operation clock", () => {
  it("gives each operation the last tick that is not after it", () => {
    const clock = new OperationClock();
    expect([clock.timeOf(5), clock.lastTickMs]).toEqual([0, 0]);
    clock.tick(1, 1_000);
    clock.tick(10, 2_000);
    clock.tick(10, 3_000);
    expect([0, 1, 9, 10, 11].map((operation) => clock.timeOf(operation))).toEqual([
      0, 1_000, 1_000, 3_000, 3_000,
    ]);
    expect(clock.lastTickMs).toBe(3_000);
  });
});

describe("chance", () => {
  it("repeats itself from a seed and a stream, and is even", () => {
    const [first, again, other] = [1, 1, 2].map((stream) => {
      const chance = new Chance(9, stream);
      return Array.from({ length: 20 }, () => chance.word());
    });
    expect(again).toEqual(first);
    expect(other).not.toEqual(first);
    const chance = new Chance(1, 1);
    const counts = [0, 0, 0, 0, 0];
    for (let i = 0; i < 50_000; i++) {
      const at = chance.below(5);
      counts[at] = (counts[at] ?? 0) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(400);
  });
});

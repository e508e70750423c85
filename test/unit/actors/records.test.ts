/** The words of the data layer: order of keys and versions, parts of keys, shards. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  compareKeys,
  compareVersions,
  rowKey,
  shardOf,
  splitRowKey,
  type Version,
} from "../../../actors/records.ts";

const text = fc.string({ unit: "binary", maxLength: 6 });
/** Texts that differ late, with characters from both sides of the surrogates. */
const close = fc
  .array(fc.constantFrom("a", "\u0000", "\ud7ff", "\ue000", "\uffff", "\u{10000}", "\u{10ffff}"), {
    maxLength: 5,
  })
  .map((parts) => parts.join(""));
const part = fc.string({ unit: "grapheme", maxLength: 8 }).filter((each) => !each.includes("\u0000"));
const version: fc.Arbitrary<Version> = fc.tuple(fc.nat(2), fc.nat(2), fc.nat(2));

describe("keys", () => {
  it("are ordered as their UTF-8 bytes are", () => {
    fc.assert(
      fc.property(fc.oneof(text, close), fc.oneof(text, close), (a, b) => {
        const bytes = Buffer.compare(Buffer.from(a), Buffer.from(b));
        expect(Math.sign(compareKeys(a, b))).toBe(bytes);
      }),
      { numRuns: 2_000 },
    );
  });

  it("fall apart into what they were made of, the empty sub included", () => {
    fc.assert(
      fc.property(part, part, part, (backend, key, sub) => {
        expect(splitRowKey(rowKey(backend, key, sub))).toEqual({ backend, key, sub });
      }),
    );
    expect(splitRowKey(rowKey("b", "k"))).toEqual({ backend: "b", key: "k", sub: "" });
  });

  it("of one backend spread over the shards within a tenth of even", () => {
    const counts = new Array<number>(16).fill(0);
    for (let i = 0; i < 32_000; i++) {
      const shard = shardOf("device_platform", `+49151${String(i).padStart(8, "0")}`, 16);
      counts[shard] = (counts[shard] ?? 0) + 1;
    }
    expect(Math.min(...counts)).toBeGreaterThan(1_800);
    expect(Math.max(...counts)).toBeLessThan(2_200);
  });

  it("keep the shard that they had in earlier versions: it decides where a row lies", () => {
    const shards = ["+4915112345678", "+5511987654321", "größe\u{1f511}"].map((key) =>
      shardOf("groups", key, 16),
    );
    expect(shards).toEqual([13, 0, 1]);
  });
});

describe("versions", () => {
  it("are ordered from left to right", () => {
    fc.assert(
      fc.property(version, version, (a, b) => {
        const ordinal = ([x, y, z]: Version) => x * 100 + y * 10 + z;
        expect(Math.sign(compareVersions(a, b))).toBe(Math.sign(ordinal(a) - ordinal(b)));
      }),
    );
  });
});

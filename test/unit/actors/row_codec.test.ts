/** A row's bytes in a store. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareRows } from "../../../actors/compare.ts";
import { rowKey, type Version } from "../../../actors/records.ts";
import { decideRow } from "../../../actors/stores/apply_row.ts";
import {
  decodeRow,
  decodeVersion,
  encodeRow,
  sameButVersion,
  sameRow,
} from "../../../actors/stores/row_codec.ts";

const u32 = fc.nat(2 ** 32 - 1);
const row = fc.record({
  key: fc.constant(rowKey("things", "k")),
  version: fc.tuple(u32, u32, fc.maxSafeNat()) as fc.Arbitrary<Version>,
  value: fc.option(fc.uint8Array({ maxLength: 40 }), { nil: null }),
  expiresAtMs: fc.oneof(fc.constant(0), fc.maxSafeNat()),
});

describe("a row's bytes", () => {
  it("give back the row and, alone, its version", () => {
    fc.assert(
      fc.property(row, (each) => {
        const bytes = encodeRow(each);
        expect(decodeRow(each.key, bytes)).toEqual(each);
        expect(decodeVersion(bytes)).toEqual(each.version);
      }),
    );
  });

  it("are read inside a larger buffer too, as a store hands them out", () => {
    const each = { key: "k", version: [1, 2, 3] as const, value: Uint8Array.of(7), expiresAtMs: 9 };
    const bytes = encodeRow(each);
    const larger = new Uint8Array(bytes.byteLength + 20).fill(0xff);
    larger.set(bytes, 5);
    expect(decodeRow("k", larger.subarray(5, 5 + bytes.byteLength))).toEqual(each);
  });

  it("are the same only for the same version, value and expiry", () => {
    fc.assert(
      fc.property(row, row, (a, b) => {
        const equal =
          JSON.stringify([a.version, a.value, a.expiresAtMs]) ===
          JSON.stringify([b.version, b.value, b.expiresAtMs]);
        expect(sameRow(encodeRow(a), encodeRow(b))).toBe(equal);
        expect(sameRow(encodeRow(a), encodeRow({ ...a }))).toBe(true);
      }),
    );
    const row0 = { version: [0, 0, 0] as const, value: new Uint8Array(0), expiresAtMs: 0 };
    expect(sameRow(encodeRow(row0), encodeRow({ ...row0, value: null }))).toBe(false);
  });

  it("say the same but for the version exactly if value and expiry do; then both show the same", () => {
    const some = row.map((each) => ({
      ...each,
      value: each.value?.slice(0, 1) ?? null,
      expiresAtMs: each.expiresAtMs % 3,
    }));
    fc.assert(
      fc.property(some, some, fc.nat(4), (a, b, nowMs) => {
        const same = sameButVersion(encodeRow(a), encodeRow(b));
        const said = ({ value, expiresAtMs }: typeof a) => JSON.stringify([value, expiresAtMs]);
        expect(same).toBe(said(a) === said(b));
        if (same) expect(compareRows(a, b, nowMs)).toBe("equal");
        expect(sameButVersion(encodeRow(a), encodeRow({ ...a, version: b.version }))).toBe(true);
      }),
    );
  });

  it("that can't be read say nothing, not even about themselves", () => {
    const newer = encodeRow({ version: [1, 1, 1], value: Uint8Array.of(1), expiresAtMs: 0 });
    newer[0] = 2;
    expect(sameButVersion(newer, newer)).toBe(false);
    expect(sameButVersion(newer.subarray(0, 9), newer.subarray(0, 9))).toBe(false);
  });

  it("of a newer format are refused, not guessed, and never overwritten", () => {
    const old = { key: "k", version: [9, 9, 9] as const, value: Uint8Array.of(1), expiresAtMs: 0 };
    const newer = encodeRow({ ...old, version: [0, 0, 0] });
    newer[0] = 2;
    const refused = expect.objectContaining({ code: "newer_format", details: { found: 2, known: 1 } });
    expect(() => decodeRow("k", newer)).toThrow(refused);
    expect(() => decodeVersion(newer)).toThrow(refused);
    expect(() => decideRow(newer, old, encodeRow(old))).toThrow(refused);
  });

  it("that are no format of ours are unreadable, not newer", () => {
    const bytes = encodeRow({ version: [9, 9, 9], value: Uint8Array.of(1), expiresAtMs: 0 });
    const refused = expect.objectContaining({ code: "unreadable" });
    expect(() => decodeRow("k", bytes.subarray(0, 20))).toThrow(refused);
    expect(() => decodeRow("k", new Uint8Array(40))).toThrow(refused);
    expect(() => decodeRow("k", new Uint8Array(0))).toThrow(refused);
  });
});

/** What two sides' rows mean to each other: a table of every pair, and the merge of two lists. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareRows, mergeRows, stoodStill, type Verdict } from "../../../actors/compare.ts";
import { compareKeys, type Row, type Version } from "../../../actors/records.ts";

const nowMs = 1_000;
const older: Version = [1, 1, 1];
const newer: Version = [1, 1, 2];

function row(version: Version, value: string | null, expiresAtMs = 0): Row {
  return { key: "k", version, value: value === null ? null : new TextEncoder().encode(value), expiresAtMs };
}

const pairs: readonly [what: string, local: Row | undefined, peer: Row | undefined, verdict: Verdict][] = [
  ["nothing, nothing", undefined, undefined, "equal"],
  ["nothing, a tombstone", undefined, row(newer, null), "equal"],
  ["a tombstone, nothing", row(newer, null), undefined, "equal"],
  ["two tombstones", row(older, null), row(newer, null), "equal"],
  ["nothing, an expired row", undefined, row(newer, "x", nowMs), "equal"],
  ["an expired row, a tombstone", row(older, "x", nowMs), row(newer, null), "equal"],
  ["an expired row, another", row(older, "x", 5), row(newer, "y", 6), "equal"],
  ["one content, one version", row(older, "x"), row(older, "x"), "equal"],
  ["one content, two versions", row(older, "x"), row(newer, "x"), "equal"],
  ["one content that expires later", row(older, "x", nowMs + 1), row(older, "x", nowMs + 1), "equal"],
  ["a row, nothing", row(older, "x"), undefined, "send"],
  ["a newer row, an older one", row(newer, "x"), row(older, "y"), "send"],
  ["a newer tombstone, a row", row(newer, null), row(older, "y"), "send"],
  ["a newer row, a tombstone", row(newer, "x"), row(older, null), "send"],
  ["a newer row that has expired, a live one", row(newer, "x", 5), row(older, "x"), "send"],
  ["a newer row with another expiry", row(newer, "x", nowMs + 1), row(older, "x", nowMs + 2), "send"],
  ["nothing, a row", undefined, row(older, "x"), "amend"],
  ["an older row, a newer one", row(older, "x"), row(newer, "y"), "amend"],
  ["an older row, a newer tombstone", row(older, "x"), row(newer, null), "amend"],
  ["an older tombstone, a row", row(older, null), row(newer, "x"), "amend"],
  ["other bytes at one version", row(older, "x"), row(older, "y"), "amend"],
  ["more bytes at one version", row(older, "x"), row(older, "xx"), "amend"],
  ["a tombstone and a row at one version", row(older, null), row(older, "x"), "amend"],
  ["an empty value, none", row(older, ""), row(older, null), "amend"],
  ["another expiry at one version", row(older, "x", nowMs + 1), row(older, "x", nowMs + 2), "amend"],
];

describe("compare", () => {
  it.each(pairs)("%s", (_what, local, peer, verdict) => {
    expect(compareRows(local, peer, nowMs)).toBe(verdict);
  });

  it("says a row has expired from its very millisecond on", () => {
    expect(compareRows(row(older, "x", nowMs + 1), undefined, nowMs)).toBe("send");
    expect(compareRows(row(older, "x", nowMs), undefined, nowMs)).toBe("equal");
  });

  it("stood still: no row came, went or changed its version", () => {
    expect(stoodStill([older, undefined], [older, undefined])).toBe(true);
    expect(stoodStill([older, older], [newer, older])).toBe(false);
    expect(stoodStill([older, older], [older, newer])).toBe(false);
    expect(stoodStill([older, older], [older, undefined])).toBe(false);
    expect(stoodStill([undefined, older], [older, older])).toBe(false);
  });

  it("a merge has every key of either side once, in key order, with both sides' rows", () => {
    const side = fc
      .uniqueArray(fc.string({ unit: "binary", maxLength: 3 }))
      .map((keys) => keys.sort(compareKeys).map((key): Row => ({ ...row(older, "x"), key })));
    fc.assert(
      fc.property(side, side, (local, peer) => {
        const merged = mergeRows(local, peer);
        const keys = [...new Set([...local, ...peer].map(({ key }) => key))].sort(compareKeys);
        const rowOf = (rows: readonly Row[], key: string) => rows.find((each) => each.key === key);
        expect(merged).toEqual(
          keys.map((key) => ({ key, local: rowOf(local, key), peer: rowOf(peer, key) })),
        );
      }),
    );
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { CohortRecord, ControlRecord, DecisionRecord } from "../../../actors/control_store.ts";
import { compareKeys, type Row, rowKey, shardOf, versionZero } from "../../../actors/records.ts";
import { Authorities } from "../../../app/driver/authorities.ts";
import { type Pair, Sides, sidesAgree, stoodStill } from "../../../app/driver/sides.ts";
import { MemorySide } from "../../e2e/memory_side.ts";

const shards = 2;

function row(key: string, over: Partial<Row> = {}): Row {
  const value = Buffer.from(key);
  return { key: rowKey("device_platform", key), version: versionZero, value, expiresAtMs: 0, ...over };
}

function sidesOf(local: readonly string[], remote: readonly string[]): Sides {
  const stores = [local, remote].map((keys) => {
    const site = Array.from({ length: shards }, () => new MemorySide());
    for (const key of keys) site[shardOf("device_platform", key, shards)]?.put(row(key));
    return site;
  });
  return new Sides(shards, (site, shard) => stores[site === "A" ? 0 : 1]?.[shard] ?? new MemorySide());
}

describe("both sides", () => {
  it("are paged in key order, each key once, whatever the page's length", () => {
    const keys = fc.uniqueArray(
      fc.string({ minLength: 1, maxLength: 3, unit: fc.constantFrom("a", "b", "é", "😀", "ff") }),
    );
    fc.assert(
      fc.property(keys, keys, fc.integer({ min: 1, max: 5 }), (local, remote, limit) => {
        const sides = sidesOf(local, remote);
        for (let shard = 0; shard < shards; shard++) {
          const pairs: Pair[] = [];
          for (let from: string | undefined = ""; from !== undefined; ) {
            const page = sides.page(shard, from, limit);
            pairs.push(...page.pairs);
            from = page.next;
          }
          const all = [...new Set([...local, ...remote])].filter(
            (key) => shardOf("device_platform", key, shards) === shard,
          );
          expect(pairs.map((pair) => pair.key)).toEqual(
            all.map((key) => rowKey("device_platform", key)).sort(compareKeys),
          );
          for (const pair of pairs) {
            const key = pair.key.split("\u0000")[1] ?? "";
            expect(pair.rows.map((stored) => stored !== undefined)).toEqual([
              local.includes(key),
              remote.includes(key),
            ]);
          }
        }
      }),
    );
  });

  it("are read by key in the order that was asked for", () => {
    const sides = sidesOf(["1", "2", "3", "4"], ["2", "4"]);
    const pairs = sides.get(["4", "1", "5", "2"].map((key) => rowKey("device_platform", key)));
    expect(pairs.map(({ rows }) => rows.map((stored) => stored?.value?.toString()))).toEqual([
      ["4", "4"],
      ["1", undefined],
      [undefined, undefined],
      ["2", "2"],
    ]);
  });

  const pair = (local: Row | undefined, remote: Row | undefined): Pair => ({
    key: "k",
    rows: [local, remote],
  });

  it("agree when a client sees the same", () => {
    const tombstone = row("1", { value: null });
    expect(sidesAgree(pair(row("1"), row("1", { version: [1, 2, 3] })))).toBe(true);
    expect(sidesAgree(pair(tombstone, undefined))).toBe(true);
    expect(sidesAgree(pair(undefined, undefined))).toBe(true);
    expect(sidesAgree(pair(tombstone, row("1")))).toBe(false);
    expect(sidesAgree(pair(row("1"), undefined))).toBe(false);
    expect(sidesAgree(pair(row("1"), row("1", { value: Buffer.from("2") })))).toBe(false);
    expect(sidesAgree(pair(row("1"), row("1", { expiresAtMs: 5 })))).toBe(false);
    expect(sidesAgree(pair(row("1", { value: Buffer.alloc(0) }), undefined))).toBe(false);
  });

  it("stood still when neither version changed", () => {
    const newer = row("1", { version: [0, 0, 1] });
    expect(stoodStill(pair(row("1"), undefined), pair(row("1"), undefined))).toBe(true);
    expect(stoodStill(pair(row("1"), undefined), pair(newer, undefined))).toBe(false);
    expect(stoodStill(pair(row("1"), undefined), pair(row("1"), row("1")))).toBe(false);
    expect(stoodStill(pair(row("1"), newer), pair(row("1"), undefined))).toBe(false);
  });
});

describe("authorities", () => {
  const cohorts: CohortRecord[] = ["groups/+49", "groups/+491", "groups/*", "blocklist/*"].map((cohort) => ({
    cohort,
    phase: cohort === "groups/*" ? "off" : "live",
    site: "A",
    term: 1,
  }));
  const swapped: DecisionRecord = {
    id: "1",
    prefix: "+49",
    cohorts: ["groups/+49"],
    from: "A",
    to: "B",
    blockTerm: 2,
    swapTerm: 3,
    state: "swapped",
    owner: "",
    leaseUntilMs: 0,
    endedAtMs: 0,
  };

  it("are those of the longest prefix, as the latest decision says", async () => {
    const records: ControlRecord[] = [
      ...cohorts.map((value) => ({ key: `cohort/${value.cohort}`, value, revision: 1 })),
      { key: "decision/1", value: swapped, revision: 1 },
    ];
    const list = (prefix: string) => Promise.resolve(records.filter(({ key }) => key.startsWith(prefix)));
    const authorities = new Authorities({ list });
    expect(authorities.of("groups", "+4930")).toEqual({ authority: "A", live: false });
    await authorities.refresh();
    expect(authorities.of("groups", "+4930-17")).toEqual({ authority: "B", live: true });
    expect(authorities.of("groups", "+4915-17")).toEqual({ authority: "A", live: true });
    expect(authorities.of("groups", "+5511")).toEqual({ authority: "A", live: false });
    expect(authorities.of("blocklist", "+5511")).toEqual({ authority: "A", live: true });
  });
});

/**
 * The store contract (actors/stores/contract.ts) as checks: each is a sentence and a function that throws if the store
 * that it opens does not keep it. As plain functions they can be run against a broken store too, to see that they fail.
 */

import { expect } from "vitest";
import { type Grants, type Row, type RowKey, rowKey, type Version } from "../../actors/records.ts";
import type { ApplyGroup, ApplyResult } from "../../actors/store_messages.ts";
import { storeLimits } from "../../actors/stores/apply_row.ts";
import type { Store } from "../../actors/stores/contract.ts";

/** Where one store lives. Opening it again opens what it left behind; the caller closes it before. */
export interface StorePlace {
  /** Default: `groups` is indexed. */
  open(options?: { readonly indexedBackends: readonly string[] }): Promise<Store>;
}

export type Check = (place: StorePlace) => Promise<void>;

export const indexedBackend = "groups";
const site = "A/1";
const cohort = "groups/+49";

/** A Buffer is as good as a Uint8Array. */
expect.addEqualityTesters([
  (x: unknown, y: unknown) =>
    x instanceof Uint8Array && y instanceof Uint8Array ? Buffer.compare(x, y) === 0 : undefined,
]);

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function row(key: RowKey, version: Version, value: string | null = "value", expiresAtMs = 0): Row {
  return { key, version, value: value === null ? null : bytes(value), expiresAtMs };
}

const keyOf = (name: string): RowKey => rowKey("things", name);
const a = keyOf("a");
const b = keyOf("b");
const c = keyOf("c");

const applied: ApplyResult = { status: "applied" };
const same: ApplyResult = { status: "same" };
const stale = (current: Version): ApplyResult => ({ status: "stale", current });

/** One group without grants: results of its rows. */
async function put(store: Store, ...rows: Row[]): Promise<ApplyResult[]> {
  const [results] = await store.apply([{ grants: [], rows }]);
  return results ?? [];
}

async function read(store: Store, key: RowKey): Promise<Row | undefined> {
  return (await store.get([key]))[0];
}

async function keysIn(store: Store, from: RowKey, to: RowKey, limit = 1_000): Promise<RowKey[]> {
  return (await store.scan({ from, to }, limit)).map(({ key }) => key);
}

const rows: Readonly<Record<string, Check>> = {
  "a row comes back as it was written": async (place) => {
    const store = await place.open();
    const largest = 2 ** 32 - 1;
    const written = [
      row(a, [largest, largest, Number.MAX_SAFE_INTEGER], "größer", 4_102_444_800_123),
      row(b, [0, 1, 2], null),
    ];
    await put(store, ...written);
    expect(await store.get([b, c, a, b])).toEqual([written[1], undefined, written[0], written[1]]);
  },

  "an absent row is older than version zero": async (place) => {
    const store = await place.open();
    expect(await put(store, row(a, [0, 0, 0]))).toEqual([applied]);
    expect(await put(store, row(a, [0, 0, 0]))).toEqual([same]);
  },

  "a newer version wins, and the parts of a version count from left to right": async (place) => {
    const store = await place.open();
    const rising: Version[] = [
      [0, 0, 1],
      [0, 0, 2],
      [0, 1, 0],
      [1, 0, 0],
      [1, 0, 9],
      [1, 1, 1],
      [2, 0, 0],
    ];
    for (const version of rising) expect(await put(store, row(a, version))).toEqual([applied]);
    expect((await read(store, a))?.version).toEqual([2, 0, 0]);
  },

  "an older version is stale, tells the stored one, and changes nothing": async (place) => {
    const store = await place.open();
    await put(store, row(a, [2, 2, 2], "new"));
    for (const version of [
      [2, 2, 1],
      [2, 1, 9],
      [1, 9, 9],
    ] as const) {
      expect(await put(store, row(a, version, "old"))).toEqual([stale([2, 2, 2])]);
    }
    expect(await read(store, a)).toEqual(row(a, [2, 2, 2], "new"));
  },

  "one version and the same bytes is the same row": async (place) => {
    const store = await place.open();
    await put(store, row(a, [1, 1, 1], "x", 5), row(b, [1, 1, 1], null));
    expect(await put(store, row(a, [1, 1, 1], "x", 5), row(b, [1, 1, 1], null))).toEqual([same, same]);
  },

  "one version and other bytes is stale with an equal version": async (place) => {
    const store = await place.open();
    await put(store, row(a, [1, 1, 1], "x"), row(b, [1, 1, 1], null));
    const others = [row(a, [1, 1, 1], "y"), row(a, [1, 1, 1], "x", 5), row(a, [1, 1, 1], null)];
    expect(await put(store, ...others, row(b, [1, 1, 1], ""))).toEqual(
      Array.from({ length: 4 }, () => stale([1, 1, 1])),
    );
    expect(await store.get([a, b])).toEqual([row(a, [1, 1, 1], "x"), row(b, [1, 1, 1], null)]);
  },

  "a tombstone stands against an older row, and an empty value is no tombstone": async (place) => {
    const store = await place.open();
    await put(store, row(a, [1, 1, 2], null), row(b, [1, 1, 1], ""));
    expect(await put(store, row(a, [1, 1, 1], "back"))).toEqual([stale([1, 1, 2])]);
    expect((await read(store, a))?.value).toBeNull();
    expect((await read(store, b))?.value).toEqual(new Uint8Array(0));
  },

  "one row's result never depends on another row's": async (place) => {
    const store = await place.open();
    await put(store, row(b, [1, 1, 5]), row(c, [1, 1, 1]));
    const tooLong = row(keyOf("x".repeat(storeLimits.keyBytesMax)), [1, 1, 1]);
    const results = await put(store, row(b, [1, 1, 4]), tooLong, row(a, [1, 1, 1]), row(c, [1, 1, 1]));
    expect(results).toEqual([stale([1, 1, 5]), { status: "rejected", code: "key_too_long" }, applied, same]);
    expect((await read(store, a))?.version).toEqual([1, 1, 1]);
  },

  "a key twice in one apply is judged by its earlier row, in one group and across groups": async (place) => {
    const store = await place.open();
    const results = await store.apply([
      { grants: [], rows: [row(a, [1, 1, 2], "two"), row(a, [1, 1, 1], "one"), row(a, [1, 1, 3], "three")] },
      { grants: [], rows: [row(a, [1, 1, 3], "three"), row(a, [1, 1, 3], "other")] },
    ]);
    expect(results).toEqual([
      [applied, stale([1, 1, 2]), applied],
      [same, stale([1, 1, 3])],
    ]);
    expect(await read(store, a)).toEqual(row(a, [1, 1, 3], "three"));
  },

  "a key over the limit is rejected whatever its characters, one at the limit is not": async (place) => {
    const store = await place.open();
    const room = storeLimits.keyBytesMax - bytes(keyOf("")).byteLength;
    const most = [
      keyOf("x".repeat(room)),
      keyOf("é".repeat(room >> 1)),
      keyOf("\u{1f511}".repeat(room >> 2)),
    ];
    const over = [
      keyOf("x".repeat(room + 1)),
      keyOf(`${"é".repeat((room >> 1) - 1)}\u{1f511}`),
      keyOf("€".repeat(room)),
    ];
    const code = "key_too_long";
    expect(await put(store, ...most.map((key) => row(key, [1, 1, 1])))).toEqual([applied, applied, applied]);
    for (const [index, result] of (await put(store, ...over.map((key) => row(key, [1, 1, 1])))).entries()) {
      expect({ index, result }).toEqual({ index, result: { status: "rejected", code } });
    }
    expect(await store.get(over)).toEqual([undefined, undefined, undefined]);
    expect((await keysIn(store, "", "")).sort()).toEqual([...most].sort());
  },

  "a key with half a surrogate pair is rejected: as bytes it would be another's": async (place) => {
    const store = await place.open();
    const halves = [keyOf("\ud83d"), keyOf("\ude00x"), keyOf("x\ude00\ud83d")];
    const results = await put(store, ...halves.map((key) => row(key, [1, 1, 1])));
    expect(results).toEqual(halves.map(() => ({ status: "rejected", code: "key_malformed" })));
    expect(await keysIn(store, "", "")).toEqual([]);
  },

  "a value over the limit is rejected and leaves the row as it was, one at the limit is not": async (
    place,
  ) => {
    const store = await place.open();
    const headerBytes = 26;
    const value = new Uint8Array(storeLimits.valueBytesMax - headerBytes + 1);
    await put(store, row(b, [1, 1, 1]));
    const large = (key: RowKey, version: Version, size: number): Row => ({
      ...row(key, version),
      value: value.subarray(0, size),
    });
    expect(await put(store, large(a, [1, 1, 1], value.byteLength - 1))).toEqual([applied]);
    expect(await put(store, large(b, [1, 1, 2], value.byteLength))).toEqual([
      { status: "rejected", code: "value_too_long" },
    ]);
    expect((await store.get([a]))[0]?.value?.byteLength).toBe(value.byteLength - 1);
    expect(await read(store, b)).toEqual(row(b, [1, 1, 1]));
  },

  "a row that was read belongs to its reader": async (place) => {
    const store = await place.open();
    const names = Array.from({ length: 20 }, (_, i) => keyOf(`k${i}`));
    await put(store, ...names.map((key) => row(key, [1, 1, 1], `first ${key}`)));
    const got = await store.get(names);
    const scanned = await store.scan({ from: keyOf("k"), to: "" }, 100);
    await put(store, ...names.map((key) => row(key, [1, 1, 2], `other ${key}`)));
    await store.scan({ from: "", to: "" }, 100);
    await store.get(names);
    for (const each of [...got, ...scanned]) expect(each?.value).toEqual(bytes(`first ${each?.key}`));
    for (const each of await store.scan({ from: "", to: "" }, 100)) each.value?.fill(0);
    for (const each of await store.get(names)) each?.value?.fill(0);
    for (const each of await store.get(names)) expect(each?.value).toEqual(bytes(`other ${each?.key}`));
  },
};

const fences: Readonly<Record<string, Check>> = {
  "a group below a fence is fenced for each row, its neighbours are not": async (place) => {
    const store = await place.open();
    await store.fence(cohort, 5);
    const group = (term: number, ...of: Row[]): ApplyGroup => ({
      grants: [{ scope: cohort, term }],
      rows: of,
    });
    const results = await store.apply([
      group(5, row(a, [5, 1, 1])),
      group(4, row(b, [4, 1, 1]), row(a, [9, 1, 1])),
      group(6, row(c, [6, 1, 1])),
    ]);
    const fenced: ApplyResult = { status: "fenced", scope: cohort, term: 5 };
    expect(results).toEqual([[applied], [fenced, fenced], [applied]]);
    expect(await store.get([a, b])).toEqual([row(a, [5, 1, 1]), undefined]);
  },

  "each grant of a group is checked, and only its own scope's fence": async (place) => {
    const store = await place.open();
    await store.fence(site, 3);
    await store.fence("groups/+4", 9);
    const under = async (...terms: readonly [cohortTerm: number, siteTerm: number]) => {
      const grants: Grants = [
        { scope: cohort, term: terms[0] },
        { scope: site, term: terms[1] },
      ];
      const [results] = await store.apply([{ grants, rows: [row(a, [0, 0, 0])] }]);
      return results?.[0];
    };
    expect(await under(1, 2)).toEqual({ status: "fenced", scope: site, term: 3 });
    expect(await under(1, 3)).toEqual(applied);
  },

  "a fence only rises, and tells the term in force": async (place) => {
    const store = await place.open();
    expect(await store.fences([cohort, site])).toEqual([0, 0]);
    expect(await store.fence(cohort, 5)).toBe(5);
    expect(await store.fence(cohort, 4)).toBe(5);
    expect(await store.fence(cohort, 5)).toBe(5);
    expect(await store.fence(cohort, 7)).toBe(7);
    expect(await store.fences([site, cohort])).toEqual([0, 7]);
  },

  "fences and rows are there when the store is opened again": async (place) => {
    const first = await place.open();
    await first.fence(cohort, 5);
    await put(first, row(a, [1, 1, 1]), row(b, [1, 1, 1], null));
    await first.close();
    const second = await place.open();
    expect(await second.fences([cohort, site])).toEqual([5, 0]);
    expect(await second.fence(cohort, 2)).toBe(5);
    const late = await second.apply([{ grants: [{ scope: cohort, term: 4 }], rows: [row(a, [9, 9, 9])] }]);
    expect(late[0]?.[0]?.status).toBe("fenced");
    expect(await second.scan({ from: "", to: "" }, 10)).toEqual([row(a, [1, 1, 1]), row(b, [1, 1, 1], null)]);
  },

  "its incarnation rises each time it is opened, its identifier stays": async (place) => {
    const first = await place.open();
    const before = await first.identity();
    expect(before.storeId).not.toBe("");
    expect(await first.identity()).toEqual(before);
    await first.close();
    const second = await place.open();
    const after = await second.identity();
    expect(after.storeId).toBe(before.storeId);
    expect(after.incarnation).toBeGreaterThan(before.incarnation);
  },
};

const order: Readonly<Record<string, Check>> = {
  "calls are served in order: an apply sees the fence asked for before it, not the one after": async (
    place,
  ) => {
    const store = await place.open();
    const group = (key: RowKey): ApplyGroup[] => [
      { grants: [{ scope: cohort, term: 1 }], rows: [row(key, [1, 1, 1])] },
    ];
    const [before, term, after] = await Promise.all([
      store.apply(group(a)),
      store.fence(cohort, 2),
      store.apply(group(b)),
    ]);
    expect([before[0]?.[0]?.status, term, after[0]?.[0]?.status]).toEqual(["applied", 2, "fenced"]);
  },

  "calls are served in order: each kind of read sees the writes asked for before it": async (place) => {
    const store = await place.open();
    const edge = rowKey(indexedBackend, "g1", "m1");
    const writes = [put(store, row(a, [1, 1, 1]), row(edge, [1, 1, 1])), store.fence(cohort, 2)];
    const reads = await Promise.all([
      store.get([a]),
      store.scan({ from: keyOf(""), to: "" }, 10),
      store.lookup(indexedBackend, "m1", 10),
      store.fences([cohort]),
    ]);
    await Promise.all(writes);
    expect(reads).toEqual([[row(a, [1, 1, 1])], [row(a, [1, 1, 1])], ["g1"], [2]]);
  },

  "calls are served in order: sync and close come after the apply asked for before them": async (place) => {
    const store = await place.open();
    const served: string[] = [];
    const note = (what: string) => () => {
      served.push(what);
    };
    const group = (key: RowKey): ApplyGroup[] => [{ grants: [], rows: [row(key, [1, 1, 1])] }];
    await Promise.all([
      store.apply(group(a)).then(note("apply")),
      store.sync().then(note("sync")),
      store.apply(group(b)).then(note("apply")),
      store.close().then(note("close")),
    ]);
    expect(served).toEqual(["apply", "sync", "apply", "close"]);
    expect(await keysIn(await place.open(), "", "")).toEqual([a, b]);
  },

  "a closed store refuses every call, and closing it again does nothing": async (place) => {
    const store = await place.open();
    await put(store, row(a, [1, 1, 1]));
    await Promise.all([store.close(), store.close()]);
    await store.close();
    const calls: Promise<unknown>[] = [
      store.identity(),
      store.get([a]),
      store.get([]),
      put(store, row(a, [2, 1, 1])),
      store.fence(cohort, 1),
      store.fences([cohort]),
      store.collect(a, [1, 1, 1]),
      store.scan({ from: "", to: "" }, 1),
      store.lookup(indexedBackend, "m", 1),
      store.rebuildIndex(),
      store.sync(),
    ];
    const refused = await Promise.allSettled(calls);
    expect(refused.map((each) => (each.status === "rejected" ? each.reason.code : each.status))).toEqual(
      calls.map(() => "closed"),
    );
  },
};

const collecting: Readonly<Record<string, Check>> = {
  "collect removes this tombstone with this version, and nothing else": async (place) => {
    const store = await place.open();
    await put(store, row(a, [1, 2, 3], null), row(b, [1, 2, 3]), row(keyOf("ab"), [1, 2, 3], null));
    for (const other of [
      [1, 2, 2],
      [1, 2, 4],
      [0, 2, 3],
      [1, 3, 3],
    ] as const) {
      expect(await store.collect(a, other)).toBe(false);
    }
    expect(await store.collect(b, [1, 2, 3])).toBe(false);
    expect(await store.collect(c, [1, 2, 3])).toBe(false);
    expect(await keysIn(store, "", "")).toEqual([a, keyOf("ab"), b]);
    expect(await store.collect(a, [1, 2, 3])).toBe(true);
    expect(await store.collect(a, [1, 2, 3])).toBe(false);
    expect(await keysIn(store, "", "")).toEqual([keyOf("ab"), b]);
    expect(await put(store, row(a, [0, 0, 0]))).toEqual([applied]);
  },
};

const scans: Readonly<Record<string, Check>> = {
  "a scan gives [from, to) in the order of UTF-8 bytes, tombstones included, at most the limit": async (
    place,
  ) => {
    const store = await place.open();
    // U+FF5E is one UTF-16 unit above every surrogate; as UTF-8 it is below every character beyond the BMP.
    const names = [
      "",
      "a",
      "a\u0001",
      "aa",
      "b",
      "z",
      "é",
      "\ud7ff",
      "\ue000",
      "\uff5e",
      "\u{10000}",
      "\u{10ffff}",
    ];
    const keys = names.map(keyOf);
    const written = keys.map((key, i) => row(key, [1, 1, i], i % 3 === 0 ? null : key));
    await put(store, ...written.toReversed());
    expect(await store.scan({ from: "", to: "" }, 100)).toEqual(written);
    for (let from = 0; from < keys.length; from++) {
      const rest = keys.slice(from);
      expect(await keysIn(store, keys[from] ?? "", "")).toEqual(rest);
      expect(await keysIn(store, keys[from] ?? "", keys.at(-1) ?? "")).toEqual(rest.slice(0, -1));
      expect(await keysIn(store, "", keys[from] ?? "")).toEqual(keys.slice(0, from));
      expect(await keysIn(store, `${keys[from]}\u0000`, "")).toEqual(rest.slice(1));
      expect(await keysIn(store, keys[from] ?? "", "", 3)).toEqual(rest.slice(0, 3));
    }
    expect(await keysIn(store, b, a)).toEqual([]);
    expect(await keysIn(store, a, a)).toEqual([]);
    expect(await keysIn(store, "", "", 0)).toEqual([]);
  },

  "a scan sees rows that came and went since the last one": async (place) => {
    const store = await place.open();
    await put(store, row(b, [1, 1, 1], null));
    expect(await keysIn(store, "", "")).toEqual([b]);
    await put(store, row(a, [1, 1, 1]));
    expect(await keysIn(store, "", "")).toEqual([a, b]);
    await store.collect(b, [1, 1, 1]);
    expect(await keysIn(store, "", "")).toEqual([a]);
  },
};

const edge = (key: string, member: string, n: number, value: string | null = "member"): Row =>
  row(rowKey(indexedBackend, key, member), [1, 1, n], value);

const lookups: Readonly<Record<string, Check>> = {
  "a lookup gives the keys of the live rows with this sub, in key order, at most the limit": async (
    place,
  ) => {
    const store = await place.open();
    const keys = ["", "g", "g1", "g\uff5e", "g\u{1f511}"];
    await put(
      store,
      ...keys.toReversed().map((key) => edge(key, "m", 1)),
      edge("g2", "m2", 1),
      edge("g3", "", 1),
      row(rowKey("groups2", "g4", "m"), [1, 1, 1]),
      row(rowKey("things", "g5", "m"), [1, 1, 1]),
    );
    expect(await store.lookup(indexedBackend, "m", 100)).toEqual(keys);
    expect(await store.lookup(indexedBackend, "m", 2)).toEqual(keys.slice(0, 2));
    expect(await store.lookup(indexedBackend, "m", 0)).toEqual([]);
    expect(await store.lookup(indexedBackend, "m2", 100)).toEqual(["g2"]);
    expect(await store.lookup(indexedBackend, "", 100)).toEqual(["g3"]);
    expect(await store.lookup(indexedBackend, "absent", 100)).toEqual([]);
  },

  "the index follows what was applied: tombstones leave it, stale and fenced rows don't touch it": async (
    place,
  ) => {
    const store = await place.open();
    const members = () => store.lookup(indexedBackend, "m", 100);
    await put(store, edge("g1", "m", 5), edge("g2", "m", 5, null));
    await put(store, edge("g1", "m", 4, null), edge("g2", "m", 4));
    expect(await members()).toEqual(["g1"]);
    await put(
      store,
      edge("g3", "m", 1),
      edge("g3", "m", 2, null),
      edge("g4", "m", 1, null),
      edge("g4", "m", 2),
    );
    expect(await members()).toEqual(["g1", "g4"]);
    await store.fence(cohort, 9);
    const grants: Grants = [{ scope: cohort, term: 8 }];
    await store.apply([{ grants, rows: [edge("g1", "m", 6, null), edge("g5", "m", 6)] }]);
    expect(await members()).toEqual(["g1", "g4"]);
    await put(store, edge("g1", "m", 6, null));
    expect(await members()).toEqual(["g4"]);
  },

  "a backend that is not indexed has no lookup, and the error names the field": async (place) => {
    const store = await place.open();
    const refused = { code: "bad_argument", details: { field: "backend" } };
    await expect(store.lookup("things", "m", 1)).rejects.toMatchObject(refused);
  },

  "rebuildIndex finds the rows that were written before their backend was indexed": async (place) => {
    const plain = await place.open({ indexedBackends: [] });
    await put(plain, edge("g1", "m", 1), edge("g2", "m", 1, null), edge("g3", "m", 1));
    const many = Array.from({ length: 1_000 }, (_, i) => `k${String(i).padStart(4, "0")}`);
    await put(plain, ...many.map((key) => edge(key, "n", 1)));
    await plain.close();
    const store = await place.open();
    await store.rebuildIndex();
    expect(await store.lookup(indexedBackend, "m", 10)).toEqual(["g1", "g3"]);
    expect(await store.lookup(indexedBackend, "n", 2_000)).toEqual(many);
    await store.close();
    const again = await place.open({ indexedBackends: [] });
    await put(again, edge("g1", "m", 2, null), ...many.map((key) => edge(key, "n", 2, null)));
    await again.close();
    const last = await place.open();
    await last.rebuildIndex();
    expect(await last.lookup(indexedBackend, "m", 10)).toEqual(["g3"]);
    expect(await last.lookup(indexedBackend, "n", 2_000)).toEqual([]);
  },
};

export const storeChecks: Readonly<Record<string, Check>> = {
  ...rows,
  ...fences,
  ...order,
  ...collecting,
  ...scans,
  ...lookups,
};

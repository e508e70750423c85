/**
 * The store contract (actors/stores/contract.ts) as checks: each is a sentence and a function that throws if the store
 * that it opens does not keep it. As plain functions they can be run against a broken store too, to see that they fail.
 */

import { expect } from "vitest";
import { type Grants, type Row, type RowKey, rowKey } from "../../actors/records.ts";
import type { ApplyGroup, ApplyResult } from "../../actors/store_messages.ts";
import { decodeRow } from "../../actors/stores/row_codec.ts";
import { rowChecks } from "./store_row_checks.ts";
import {
  a,
  applied,
  b,
  type Check,
  c,
  cohort,
  indexedBackend,
  keyOf,
  keysIn,
  put,
  row,
  site,
} from "./store_rows.ts";

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

  "a peek gives what a scan does, and the same rows' bytes where it does not read them": async (place) => {
    const store = await place.open();
    const keys = ["a", "b", "c", "d"].map(keyOf);
    await put(store, ...keys.map((key, i) => row(key, [1, 1, i], i === 1 ? null : "x".repeat(i * 60))));
    const [from = "", , , to = ""] = keys;
    const ranges = [
      { from: "", to: "" },
      { from, to },
      { from: `${from}\u0000`, to: "" },
    ];
    for (const range of ranges) {
      for (const limit of [2, 100]) {
        const scanned = await store.scan(range, limit);
        expect(await store.peek(range, limit)).toEqual(scanned);
        const encoded = await store.peekEncoded?.(range, limit);
        if (encoded !== undefined)
          expect(encoded.map(({ key, value }) => decodeRow(key, value))).toEqual(scanned);
      }
    }
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
  ...rowChecks,
  ...fences,
  ...order,
  ...collecting,
  ...scans,
  ...lookups,
};

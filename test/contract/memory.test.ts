/** The memory adapter passes the store contract; stores that break one promise each do not. */

import { describe, expect, it } from "vitest";
import { compareKeys, compareVersions, versionZero } from "../../actors/records.ts";
import type { ApplyResult } from "../../actors/store_messages.ts";
import type { Store } from "../../actors/stores/contract.ts";
import { MemoryFiles, openMemoryStore } from "../../actors/stores/memory.ts";
import { delegating } from "../fixtures/delegating.ts";
import { storeChecks } from "./store_checks.ts";
import { storeContract } from "./store_contract.ts";
import { answersAsTheModel } from "./store_model.ts";
import { indexedBackend, type StorePlace } from "./store_rows.ts";

/** Makes a broken store of a good one. */
type Twin = (store: Store, files: MemoryFiles) => Partial<Store>;

let opened = 0;

function memoryPlace(twin: Twin = () => ({})): StorePlace {
  const files = new MemoryFiles();
  return {
    open: async ({ indexedBackends } = { indexedBackends: [indexedBackend] }) => {
      const store = await openMemoryStore(files, { indexedBackends, newStoreId: `memory-${++opened}` });
      return delegating(store, twin(store, files));
    },
  };
}

storeContract("memory", { newPlace: () => memoryPlace(), clear: async () => undefined }, 300);

const applied: ApplyResult = { status: "applied" };

const twins: Readonly<Record<string, Twin>> = {
  "writes without a condition": (store, files) => ({
    apply: (groups) => {
      for (const { rows } of groups) for (const { key } of rows) files.rows.delete(key);
      return store.apply(groups);
    },
  }),
  "checks no fence": (store) => ({
    apply: (groups) => store.apply(groups.map(({ rows }) => ({ grants: [], rows }))),
  }),
  "checks the first grant only": (store) => ({
    apply: (groups) => store.apply(groups.map(({ grants, rows }) => ({ grants: grants.slice(0, 1), rows }))),
  }),
  "counts a batch as done when one row is": (store) => ({
    apply: async (groups) => {
      const results = await store.apply(groups);
      return results.map((each) =>
        each.some(({ status }) => status === "applied") ? each.map(() => applied) : each,
      );
    },
  }),
  "fences all groups when one is fenced": (store) => ({
    apply: async (groups) => {
      const results = await store.apply(groups);
      const fenced = results.flat().find(({ status }) => status === "fenced");
      return fenced === undefined ? results : results.map((each) => each.map(() => fenced));
    },
  }),
  "calls an equal version the same row": (store) => ({
    apply: async (groups) => {
      const results = await store.apply(groups);
      return results.map((each, group) =>
        each.map((result, index) => {
          const version = groups[group]?.rows[index]?.version ?? versionZero;
          return result.status === "stale" && compareVersions(version, result.current) === 0
            ? { status: "same" }
            : result;
        }),
      );
    },
  }),
  "lets a fence fall": (store, files) => ({
    fence: async (scope, term) => {
      files.fences.set(scope, term);
      return (await store.fences([scope]))[0] ?? 0;
    },
  }),
  "forgets fences when it closes": (store, files) => ({
    close: () => {
      files.fences.clear();
      return store.close();
    },
  }),
  "forgets rows when it closes": (store, files) => ({
    close: () => {
      files.rows.clear();
      return store.close();
    },
  }),
  "collects a tombstone of any version": (store, files) => ({
    collect: async (key, version) => {
      const [stored] = await store.get([key]);
      return store.collect(key, files.rows.has(key) && stored !== undefined ? stored.version : version);
    },
  }),
  "collects live rows": (_store, files) => ({
    collect: async (key) => files.rows.delete(key),
  }),
  "hides tombstones from scans": (store) => ({
    scan: async (range, limit) => (await store.scan(range, limit)).filter(({ value }) => value !== null),
  }),
  "scans in the order of UTF-16 units": (store) => ({
    scan: async (range, limit) =>
      (await store.scan(range, limit)).toSorted(({ key: x }, { key: y }) => (x < y ? -1 : 1)),
  }),
  "gives one row too many": (store) => ({ scan: (range, limit) => store.scan(range, limit + 1) }),
  "scans past the end of the range": (store) => ({
    scan: ({ from }, limit) => store.scan({ from, to: "" }, limit),
  }),
  "leaves out the row that a range begins with": (store) => ({
    scan: async ({ from, to }, limit) =>
      (await store.scan({ from, to }, limit)).filter(({ key }) => compareKeys(key, from) > 0),
  }),
  "reads before what was asked earlier": (store) => ({
    apply: async (groups) => {
      await Promise.resolve();
      return store.apply(groups);
    },
  }),
  "lends its bytes": (store, files) => ({
    get: async (keys) => {
      const rows = await store.get(keys);
      return rows.map((row) => {
        const value = row?.value;
        if (row === undefined || value === null || value === undefined) return row;
        return { ...row, value: files.rows.get(row.key)?.subarray(-value.byteLength) ?? value };
      });
    },
  }),
  "answers after it was closed": (store) => ({ close: () => store.sync() }),
  "keeps one incarnation": () => ({ identity: async () => ({ storeId: "one", incarnation: 1 }) }),
};

async function brokenChecks(newPlace: () => StorePlace): Promise<string[]> {
  const broken: string[] = [];
  for (const [sentence, check] of Object.entries(storeChecks)) {
    await check(newPlace()).catch(() => broken.push(sentence));
  }
  return broken;
}

describe("the store contract's checks", () => {
  it("all hold for a wrapped store that breaks nothing", async () => {
    expect(await brokenChecks(() => memoryPlace())).toEqual([]);
  });

  it.each(Object.entries(twins))("find a store that %s", async (_what, twin) => {
    expect(await brokenChecks(() => memoryPlace(twin))).not.toEqual([]);
  });

  it.each(["writes without a condition", "checks no fence", "counts a batch as done when one row is"])(
    "the model finds a store that %s, too",
    async (what) => {
      await expect(answersAsTheModel(() => memoryPlace(twins[what]), 300)).rejects.toThrow();
    },
  );
});

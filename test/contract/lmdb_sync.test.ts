/** The LMDB adapter answers a write and a fence only when they are synced: what is visible is not yet durable. */

import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RootDatabase, RootDatabaseOptionsWithPath } from "lmdb";
import { afterEach, expect, it, vi } from "vitest";
import { rowKey } from "../../actors/records.ts";
import type { Store } from "../../actors/stores/contract.ts";
import { openLmdbStore } from "../../actors/stores/lmdb.ts";

/** Stands between the adapter and LMDB's syncs: each waits here until it is let go. */
const gate = vi.hoisted(() => {
  const arrivals: (() => void)[] = [];
  const watchers: (() => void)[] = [];
  return {
    arrive: () =>
      new Promise<void>((go) => {
        arrivals.push(go);
        for (const watcher of watchers.splice(0)) watcher();
      }),
    arrived: () => new Promise<void>((seen) => void watchers.push(seen)),
    open: () => {
      for (const go of arrivals.splice(0)) go();
    },
  };
});

vi.mock("lmdb", async (original) => {
  const lmdb = await original<typeof import("lmdb")>();
  const open = (options: RootDatabaseOptionsWithPath): RootDatabase =>
    new Proxy(lmdb.open(options), {
      get: (target, name) => {
        if (name === "flushed") return Promise.all([target.flushed, gate.arrive()]);
        const value: unknown = Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  return { ...lmdb, open };
});

let store: Store | undefined;
let folder = "";

afterEach(async () => {
  gate.open();
  await store?.close();
  await rm(folder, { recursive: true, force: true });
});

it.each([
  ["a fence", (of: Store) => of.fence("groups/+49", 3)],
  [
    "an applied row",
    (of: Store) =>
      of.apply([
        {
          grants: [],
          rows: [{ key: rowKey("things", "k"), version: [1, 1, 1], value: null, expiresAtMs: 0 }],
        },
      ]),
  ],
] as const)("%s is answered when it is synced, not when it is visible", async (_what, write) => {
  folder = mkdtempSync(join(tmpdir(), "nanoactor-sync-"));
  store = await openLmdbStore({ path: folder, indexedBackends: [], durability: "group", newStoreId: "s" });
  const arrived = gate.arrived().then(() => "waits for its sync");
  const answered = write(store).then(() => "answered");
  expect(await Promise.race([arrived, answered])).toBe("waits for its sync");
  gate.open();
  expect(await answered).toBe("answered");
});

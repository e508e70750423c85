/** Two sites on the main thread with LMDB stores in a temporary folder: what the end-to-end tests run on. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { backends } from "../../actors/backends/index.ts";
import { restPrefix } from "../../actors/cohorts.ts";
import { db_migration, writeCohorts } from "../../actors/db_migration.ts";
import { db_module } from "../../actors/db_module.ts";
import { cohortId } from "../../actors/records.ts";
import type { Tuning } from "../../actors/shard_options.ts";
import { coordinators, migrationProcess, siteChildren } from "../../actors/site.ts";
import { openLmdbStore } from "../../actors/stores/lmdb.ts";
import { openLmdbControl } from "../../actors/stores/lmdb_control.ts";
import { nodeDisk, type Ref, type System, startSystem } from "../../src/index.ts";

export const prefixes = ["+49", "+33", "+1"];
export const shards = 2;

export interface TwoSites {
  readonly system: System;
  readonly folder: string;
  readonly control: ReturnType<typeof openLmdbControl>;
  readonly migration: Ref<typeof db_migration>;
  module(backend: string): Promise<Ref<typeof db_module>>;
  stop(): Promise<void>;
  remove(): Promise<void>;
}

export async function startTwoSites(
  tuning: Partial<Tuning> = {},
  folder = mkdtempSync(join(tmpdir(), "nano-")),
): Promise<TwoSites> {
  const control = openLmdbControl(join(folder, "control"));
  const indexedBackends = Object.values(backends)
    .filter(({ kind }) => kind.indexed)
    .map(({ name }) => name);
  const stores = {
    open: (site: string, shard: number) =>
      openLmdbStore({
        path: join(folder, site, `store-${shard}`),
        indexedBackends,
        durability: "group",
        newStoreId: `${site}-${shard}-${process.hrtime.bigint()}`,
      }),
  };
  const system = await startSystem({ resources: { stores, control, disk: nodeDisk() } });
  const cohorts = Object.keys(backends).flatMap((name) =>
    [...prefixes, restPrefix].map((prefix) => cohortId(name, prefix)),
  );
  await writeCohorts(control, cohorts, "A");
  const plan = { shards, threads: [0], prefixes, durability: "group" as const, tuning };
  for (const [site, peerSite] of [
    ["A", "B"],
    ["B", "A"],
  ] as const) {
    const logFolder = () => join(folder, site, "log");
    await system.supervise({ children: siteChildren({ ...plan, site, peerSite, logFolder }) });
  }
  await system.supervise({ children: [coordinators("A", { sites: ["A", "B"], shards, prefixes })] });
  const stop = async () => {
    await system.stop();
    await control.close();
  };
  return {
    system,
    folder,
    control,
    migration: system.ref(db_migration, migrationProcess("A")),
    module: async (backend) =>
      system.ref(db_module, await system.spawn(db_module, { backend, shards, prefixes, sites: ["A", "B"] })),
    stop,
    remove: async () => {
      await stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

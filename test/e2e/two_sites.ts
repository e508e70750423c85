/** Two sites on the main thread with LMDB stores in a temporary folder: what the end-to-end tests run on. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { builtInBackends } from "../../actors/backends/index.ts";
import { db_module } from "../../actors/db_module.ts";
import type { StoreOpener } from "../../actors/db_store.ts";
import type { Tuning } from "../../actors/shard_options.ts";
import { type Sites, startSites } from "../../actors/sites.ts";
import type { Store } from "../../actors/stores/contract.ts";
import {
  closeDataDirectory,
  type DataResources,
  logFolders,
  openDataDirectory,
} from "../../actors/stores/data_directory.ts";
import { type Ref, type System, startSystem } from "../../src/index.ts";

export const prefixes = ["+49", "+33", "+1"];
export const shards = 2;
const names = ["A", "B"] as const;

export interface TwoSites {
  readonly system: System;
  readonly sites: Sites;
  readonly folder: string;
  readonly control: DataResources["control"];
  readonly openedStores: readonly Store[];
  /** One db_module worker without a factory in front. */
  module(backend: string): Promise<Ref<typeof db_module>>;
  stop(): Promise<void>;
  remove(): Promise<void>;
}

export async function startTwoSites(
  tuning: Partial<Tuning> = {},
  folder = mkdtempSync(join(tmpdir(), "nano-")),
): Promise<TwoSites> {
  const opened = openDataDirectory({ directory: folder });
  const openedStores: Store[] = [];
  const open: StoreOpener["open"] = async (site, shard) => {
    const store = await opened.stores.open(site, shard);
    openedStores.push(store);
    return store;
  };
  const resources: DataResources = { ...opened, stores: { open } };
  const { control } = resources;
  const system = await startSystem({ resources });
  const sites = await startSites(system, {
    sites: names,
    control,
    backends: builtInBackends,
    shards,
    prefixes,
    tuning,
    ...logFolders(folder),
  });
  const stop = async () => {
    await system.stop();
    await closeDataDirectory(opened);
  };
  return {
    system,
    sites,
    folder,
    control,
    openedStores,
    module: async (backend) => {
      const options = { backend, shards, prefixes, sites: names };
      return system.ref(db_module, await system.spawn(db_module, options));
    },
    stop,
    remove: async () => {
      await stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

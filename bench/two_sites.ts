/**
 * The main job's composition without its driver and front end: two sites with LMDB on two worker threads in a
 * temporary directory, two shards a site, the link between the first site's shards and their peer, and the data
 * access of the backends that the benches write. The peer lives on the same threads and cores as the local side: in
 * operation it would be elsewhere, so what it costs here is an upper bound.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Backend } from "../actors/backends/backend.ts";
import { builtInBackends } from "../actors/backends/index.ts";
import type { DataAccess } from "../actors/data_access.ts";
import { db_crawler } from "../actors/db_crawler.ts";
import { db_dirty_keys } from "../actors/db_dirty_keys.ts";
import type { Phase } from "../actors/db_migration.ts";
import { db_queuer } from "../actors/db_queuer.ts";
import { db_replay } from "../actors/db_replay.ts";
import { type ShardProcess, shardProcess, type Tuning } from "../actors/shard_options.ts";
import { type Sites, type SitesOptions, startSites } from "../actors/sites.ts";
import {
  closeDataDirectory,
  layout,
  openDataDirectory,
  threadSetup,
} from "../actors/stores/data_directory.ts";
import { callingCodes } from "../app/driver/numbering_plans.ts";
import { type FaultMode, fault_link } from "../app/system/fault_link.ts";
import { child, type Definition, type Ref, type System, startSystem } from "../src/index.ts";

const names = ["A", "B"] as const;
const threadsDefault = 2;
export const shards = 2;
const pollMs = 20;
const settleMsMax = 120_000;

export interface TwoSites {
  readonly system: System;
  readonly sites: Sites;
  readonly access: ReadonlyMap<string, DataAccess<Backend>>;
  /** Runs the migration up to `ready`: every write is marked and sent from then on. */
  goLive(): Promise<void>;
  /** Runs it until no shard has anything left to copy. */
  copied(): Promise<void>;
  setLink(mode: FaultMode): Promise<void>;
  /** How often the links delayed a request. */
  delayed(): Promise<number>;
  /** Sums over the first site's shards. */
  statistics(): Promise<SiteStatistics>;
  settled(): Promise<void>;
  remove(): Promise<void>;
}

export interface SiteStatistics {
  readonly discarded: number;
  readonly repaired: number;
  readonly probes: number;
  readonly crawlSent: number;
  readonly crawlRows: number;
  readonly overflowRanges: number;
  readonly ledgerBytes: number;
}

export interface Preparation extends Pick<SitesOptions, "replacedCoordinators"> {
  /** Fills the data directory before anything opens it. */
  readonly prepare?: (directory: string) => Promise<void>;
  /** Worker threads, which have the shards; 0: everything on the caller's. Default: 2. */
  readonly threads?: number;
}

export async function startTwoSites(
  tuning: Partial<Tuning> = {},
  { prepare, replacedCoordinators = {}, threads = threadsDefault }: Preparation = {},
): Promise<TwoSites> {
  const directory = mkdtempSync(join(tmpdir(), "nanoactor-bench-"));
  await prepare?.(directory);
  const resources = openDataDirectory({ directory });
  const { control } = resources;
  const system = await startSystem({
    threads,
    setup: threadSetup({ directory }),
    resources,
    logLevel: "error",
  });
  const sites = await startSites(system, {
    sites: names,
    control,
    backends: builtInBackends,
    shards,
    prefixes: callingCodes.map(({ prefix }) => prefix),
    durability: "group",
    tuning,
    replacedCoordinators,
    logFolder: (site, thread) => layout.log(directory, site, thread),
    link: (site, shard) => {
      if (site !== names[0]) return undefined;
      const options = { peer: shardProcess(names[1], shard, "db_store"), poison: [] };
      return child("link", fault_link, options, { name: linkName(shard) });
    },
  });
  const access = new Map<string, DataAccess<Backend>>();
  for (const backend of builtInBackends) access.set(backend.name, await sites.access(backend));
  const links = (): Ref<typeof fault_link>[] => eachShard((shard) => system.ref(fault_link, linkName(shard)));
  return {
    system,
    sites,
    access,
    goLive: () => migrateTo(sites, ["ready"]),
    copied: () => migrateTo(sites, ["validate", "ready"]),
    setLink: async (mode) => {
      await Promise.all(links().map(({ call }) => call.mode(mode)));
    },
    delayed: async () => {
      const fired = await Promise.all(links().map(({ call }) => call.fired()));
      return fired.reduce((sum, { slow }) => sum + slow, 0);
    },
    statistics: () => statistics(system),
    settled: async () => {
      const deadline = performance.now() + settleMsMax;
      while (!(await sites.settled())) {
        if (performance.now() > deadline)
          throw new Error(`still dirty: ${JSON.stringify(await sites.counts())}`);
        await sleep(pollMs);
      }
    },
    remove: async () => {
      await system.stop();
      await closeDataDirectory(resources);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function linkName(shard: number): string {
  return `A/${shard}/link`;
}

function eachShard<T>(make: (shard: number) => T): T[] {
  return Array.from({ length: shards }, (_, shard) => make(shard));
}

async function migrateTo(sites: Sites, phases: readonly Phase[]): Promise<void> {
  await sites.migration.call.run(sites.migrationPlan({}, { movesFromMs: Date.now() + 24 * 60 * 60 * 1_000 }));
  while (!phases.includes((await sites.migration.call.progress()).phase)) await sleep(pollMs);
}

async function statistics(system: System): Promise<SiteStatistics> {
  const own = <D extends Definition>(definition: D, shard: number, process: ShardProcess): Ref<D> =>
    system.ref(definition, shardProcess(names[0], shard, process));
  const all = await Promise.all(
    eachShard(async (shard) => ({
      queuer: await own(db_queuer, shard, "db_queuer").call.statistics(),
      replay: await own(db_replay, shard, "db_replay").call.statistics(),
      crawler: await own(db_crawler, shard, "db_crawler").call.statistics(),
      ranges: await own(db_dirty_keys, shard, "db_dirty_keys").call.ranges(),
      counts: await own(db_dirty_keys, shard, "db_dirty_keys").call.counts(),
    })),
  );
  const sum = (of: (each: (typeof all)[number]) => number): number =>
    all.reduce((total, each) => total + of(each), 0);
  return {
    discarded: sum(({ queuer }) => queuer.discarded),
    repaired: sum(({ replay }) => replay.repaired),
    probes: sum(({ replay }) => replay.probes),
    crawlSent: sum(({ crawler }) => crawler.sent),
    crawlRows: sum(({ crawler }) => crawler.rows),
    overflowRanges: sum(({ ranges }) => ranges.filter(({ reason }) => reason === "overflow").length),
    ledgerBytes: sum(({ counts }) => counts.bytes),
  };
}

/**
 * The main job's system: two sites over worker threads in one data directory, the data access of each backend, and
 * between the first site and its peer the links that make faults. main.ts gives it a process.
 */

import type { Backend } from "../../actors/backends/backend.ts";
import { backends } from "../../actors/backends/index.ts";
import type { DataAccess } from "../../actors/data_access.ts";
import type { MigrationPlan } from "../../actors/db_migration.ts";
import type { RowKey } from "../../actors/records.ts";
import { shardProcess, type Tuning } from "../../actors/shard_options.ts";
import { type Sites, type SitesOptions, startSites } from "../../actors/sites.ts";
import {
  closeDataDirectory,
  logFolders,
  openDataDirectory,
  threadSetup,
} from "../../actors/stores/data_directory.ts";
import {
  child,
  consistentHash,
  NanoError,
  queue,
  type Routing,
  startSystem,
  stickyQueue,
} from "../../src/index.ts";
import { lockWaitMs, sites } from "../layout.ts";
import type { JobSettings } from "../messages.ts";
import { fault_link } from "./fault_link.ts";
import { linkProcess } from "./faults.ts";

/** A short run rechecks sooner and gives up sooner than daily life would. */
const jobTuning: Partial<Tuning> = { recheckMs: [50, 100, 200], backoffMaxMs: 1_000, peerTimeoutMs: 1_000 };

const routings: Readonly<Record<string, () => Routing>> = {
  consistent_hash: consistentHash,
  queue,
  sticky_queue: stickyQueue,
};

/** Behaviours that stand for the product's own, by name. */
export interface JobReplacements {
  readonly shard?: NonNullable<SitesOptions["replaced"]>;
}

export interface Job {
  readonly sites: Sites;
  readonly control: SitesOptions["control"];
  run(backend: string, operation: string, message: unknown): Promise<unknown>;
  stop(): Promise<void>;
}

export async function startJob(
  settings: JobSettings,
  poison: readonly RowKey[],
  replaced: JobReplacements = {},
): Promise<Job> {
  const { dataDirectory: directory, durability, shards, prefixes, threads } = settings;
  const resources = openDataDirectory({ directory, durability, lockWaitMs });
  const { control } = resources;
  const system = await startSystem({
    threads,
    setup: threadSetup({ directory, durability }),
    resources,
    onThreadGivenUp: (thread, reason) => {
      process.stderr.write(`thread ${thread} is given up: ${reason}\n`);
      process.exit(1);
    },
  });
  const chosen = settings.backends.map(backendOf);
  const started = await startSites(system, {
    sites,
    control,
    backends: chosen,
    shards,
    prefixes,
    durability,
    tuning: jobTuning,
    ...logFolders(directory),
    link: (site, shard) => {
      if (site !== sites[0]) return undefined;
      const options = { peer: shardProcess(sites[1], shard, "db_store"), poison };
      return child("link", fault_link, options, { name: linkProcess(shard) });
    },
    replaced: replaced.shard ?? {},
  });
  const ways = new Map<string, DataAccess<Backend>>();
  for (const backend of chosen) {
    ways.set(backend.name, await started.access(backend, { routing: routingOf(settings, backend.name) }));
  }
  return {
    sites: started,
    control,
    run: async (name, operation, message) => {
      const way = ways.get(name);
      if (way === undefined) {
        throw new NanoError("bad_argument", `no backend ${name} here`, { field: "backend" });
      }
      return way.run(operation, message);
    },
    stop: async () => {
      await system.stop();
      await closeDataDirectory(resources);
    },
  };
}

/** Where each prefix goes: all once, the reversed one there, back and there again. */
export function migrationPlan(
  job: Job,
  { reversedPrefix }: JobSettings,
  times: Pick<MigrationPlan, "movesFromMs" | "movesUntilMs">,
): MigrationPlan {
  const [from, to] = sites;
  return job.sites.migrationPlan({ [reversedPrefix]: [to, from, to] }, times);
}

/** Names were checked by config.ts. */
function backendOf(name: string): Backend {
  const backend = backends[name];
  if (backend === undefined) throw new NanoError("config", `no backend ${name}`, { field: "backends" });
  return backend;
}

function routingOf({ routing }: JobSettings, name: string): Routing {
  const make = routings[routing[name] ?? "sticky_queue"];
  if (make !== undefined) return make();
  throw new NanoError("config", `no routing ${routing[name]}`, { field: `routing.${name}` });
}

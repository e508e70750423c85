/**
 * The main job's system: two sites over worker threads, a factory of db_module workers for each backend, the
 * migration. Joins src/ and actors/ with real stores; main.ts gives it a process.
 */

import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { backends } from "../../actors/backends/index.ts";
import { cohortFinder, restPrefix } from "../../actors/cohorts.ts";
import { authorityOf, type CohortRecord, controlKeys } from "../../actors/control_store.ts";
import { db_dirty_keys } from "../../actors/db_dirty_keys.ts";
import { readDecisions } from "../../actors/db_failover.ts";
import { db_migration, type MigrationPlan, writeCohorts } from "../../actors/db_migration.ts";
import { db_module } from "../../actors/db_module.ts";
import { db_perror } from "../../actors/db_perror.ts";
import { cohortId, type RowKey, type Site, shardOf, splitRowKey } from "../../actors/records.ts";
import { shardProcess, type Tuning } from "../../actors/shard_options.ts";
import { coordinators, migrationProcess, type SitePlan, siteChildren } from "../../actors/site.ts";
import {
  child,
  consistentHash,
  type Factory,
  NanoError,
  queue,
  type Ref,
  type Routing,
  type System,
  startSystem,
  stickyQueue,
} from "../../src/index.ts";
import { layout, sites } from "../layout.ts";
import type { JobSettings } from "../messages.ts";
import { fault_link } from "./fault_link.ts";
import { linkProcess } from "./faults.ts";
import { type JobResources, type SetupOptions, setup } from "./thread_setup.ts";

/** A short run rechecks sooner and gives up sooner than daily life would. */
const jobTuning: Partial<Tuning> = { recheckMs: [50, 100, 200], backoffMaxMs: 1_000, peerTimeoutMs: 1_000 };

/** Writes of one backend that run at once; each waits for a group commit, so there are many. */
const writersPerBackend = 128;
const readersPerBackend = 32;

const routings: Readonly<Record<string, () => Routing>> = {
  consistent_hash: consistentHash,
  queue,
  sticky_queue: stickyQueue,
};

/** Behaviours that stand for the product's own, by name. */
export interface JobReplacements {
  readonly shard?: NonNullable<SitePlan["replaced"]>;
}

export interface Job {
  readonly system: System;
  readonly resources: JobResources;
  readonly migration: Ref<typeof db_migration>;
  run(backend: string, operation: string, message: unknown): Promise<unknown>;
  /** What the ledgers of each key's authority hold for it. */
  accounted(keys: readonly RowKey[]): Promise<string[]>;
  stop(): Promise<void>;
}

export async function startJob(
  settings: JobSettings,
  poison: readonly RowKey[],
  replaced: JobReplacements = {},
): Promise<Job> {
  const setupOptions: SetupOptions = settings;
  const resources = setup(setupOptions);
  const system = await startSystem({
    threads: settings.threads,
    setup: {
      module: new URL("./thread_setup.js", import.meta.url).href,
      export: "setup",
      teardown: "teardown",
      options: {
        dataDirectory: settings.dataDirectory,
        durability: settings.durability,
      } satisfies SetupOptions,
    },
    resources,
    onThreadGivenUp: (thread, reason) => {
      process.stderr.write(`thread ${thread} is given up: ${reason}\n`);
      process.exit(1);
    },
  });
  const cohorts = settings.backends.flatMap((name) =>
    [...settings.prefixes, restPrefix].map((prefix) => cohortId(name, prefix)),
  );
  await writeCohorts(resources.control, cohorts, sites[0]);
  await startSites(system, settings, poison, replaced);
  const modules = await startModules(system, settings);
  return {
    system,
    resources,
    migration: migrationRef(system),
    run: (backend, operation, message) => runOn(modules, backend, operation, message),
    accounted: (keys) => accounted(system, resources, settings, keys),
    stop: async () => {
      await system.stop();
      await resources.control.close();
    },
  };
}

/** Where each prefix goes: all once, the reversed one there, back and there again. */
export function migrationPlan(
  settings: JobSettings,
  movesFromMs: number,
  movesUntilMs: number,
): MigrationPlan {
  const [from, to] = sites;
  return {
    from,
    to,
    movesFromMs,
    movesUntilMs,
    prefixes: settings.prefixes.map((prefix) => ({
      prefix,
      cohorts: settings.backends.map((name) => cohortId(name, prefix)),
      path: prefix === settings.reversedPrefix ? [to, from, to] : [to],
    })),
  };
}

export async function perrorEntries(system: System, shards: number, site: Site) {
  const all = Array.from({ length: shards }, (_, shard) =>
    system.ref(db_perror, shardProcess(site, shard, "db_perror")).call.list({ prefix: "", limit: 1_000 }),
  );
  return (await Promise.all(all)).flat();
}

function migrationRef(system: System): Ref<typeof db_migration> {
  return system.ref(db_migration, migrationProcess(sites[0]));
}

async function startSites(
  system: System,
  settings: JobSettings,
  poison: readonly RowKey[],
  replaced: JobReplacements,
): Promise<void> {
  const threads = settings.threads === 0 ? [0] : Array.from({ length: settings.threads }, (_, i) => i + 1);
  const { shards, prefixes, durability, dataDirectory } = settings;
  for (const site of sites) {
    const peerSite = site === sites[0] ? sites[1] : sites[0];
    const faulty = site === sites[0];
    const plan = {
      site,
      peerSite,
      shards,
      threads,
      prefixes,
      durability,
      tuning: jobTuning,
      logFolder: (thread: number) => layout.log(dataDirectory, site, thread),
      olderLogFolders: otherLogs(dataDirectory, site, threads),
      replaced: replaced.shard ?? {},
    };
    const link = (shard: number) => {
      const options = { peer: shardProcess(peerSite, shard, "db_store"), poison };
      return child("link", fault_link, options, { name: linkProcess(shard) });
    };
    const children = siteChildren(faulty ? { ...plan, link, peer: linkProcess } : plan);
    await system.supervise({ children, intensity: 20, periodMs: 10_000 }, { name: `site ${site}` });
  }
  const options = { sites, shards, prefixes };
  await system.supervise({ children: [coordinators(sites[0], options)] }, { name: "coordinators" });
}

/** Log folders that an earlier run with more threads left. */
function otherLogs(dataDirectory: string, site: Site, threads: readonly number[]): string[] {
  const own = new Set(threads.map((thread) => layout.log(dataDirectory, site, thread)));
  const folder = join(dataDirectory, site);
  mkdirSync(folder, { recursive: true });
  const names = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.name.startsWith("log-"));
  return names.map(({ name }) => join(folder, name)).filter((path) => !own.has(path));
}

/** The ways into one backend. */
interface Modules {
  readonly writers: Factory<typeof db_module>;
  /** Reads need no order: whoever is free, so that a hot key's do not wait for each other. */
  readonly readers: Factory<typeof db_module>;
  readonly reads: ReadonlySet<string>;
}

async function startModules(system: System, settings: JobSettings): Promise<Map<string, Modules>> {
  const modules = new Map<string, Modules>();
  for (const name of settings.backends) {
    const routing = routings[settings.routing[name] ?? "sticky_queue"];
    const backend = backends[name];
    if (routing === undefined || backend === undefined) {
      throw new NanoError("config", `no backend ${name} or no routing ${settings.routing[name]}`, {
        field: "routing",
      });
    }
    const { affinity, reads } = backend.kind;
    const args = { backend: name, shards: settings.shards, prefixes: settings.prefixes, sites };
    modules.set(name, {
      writers: await system.startFactory(`${name} writers`, db_module, {
        args,
        workers: writersPerBackend,
        routing: routing(),
        affinity,
      }),
      readers: await system.startFactory(`${name} readers`, db_module, {
        args,
        workers: readersPerBackend,
        routing: queue(),
      }),
      reads: new Set(reads),
    });
  }
  return modules;
}

async function runOn(
  modules: ReadonlyMap<string, Modules>,
  backend: string,
  operation: string,
  message: unknown,
): Promise<unknown> {
  const found = modules.get(backend);
  if (found === undefined)
    throw new NanoError("bad_argument", `no backend ${backend} here`, { field: "backend" });
  const fields = message as { readonly key?: unknown; readonly member?: unknown } | null;
  const key = String(fields?.key ?? fields?.member ?? "");
  const factory = found.reads.has(operation) ? found.readers : found.writers;
  return factory.at(key).call.run({ key, operation, message });
}

async function accounted(
  system: System,
  { control }: JobResources,
  { shards, prefixes }: JobSettings,
  keys: readonly RowKey[],
): Promise<string[]> {
  const cohortOf = cohortFinder(prefixes);
  const decisions = await readDecisions(control);
  const cohorts = new Map(
    (await control.list("cohort/")).map(({ key, value }) => [key, value as CohortRecord]),
  );
  const answers = new Array<string>(keys.length).fill("none");
  const asked = new Map<string, number[]>();
  keys.forEach((key, i) => {
    const { backend, key: plain } = splitRowKey(key);
    const cohort = cohorts.get(controlKeys.cohort(cohortOf(backend, plain)));
    if (cohort === undefined) return;
    const { site } = authorityOf(cohort, decisions);
    const ledger = shardProcess(site, shardOf(backend, plain, shards), "db_dirty_keys");
    const indexes = asked.get(ledger);
    if (indexes === undefined) asked.set(ledger, [i]);
    else indexes.push(i);
  });
  await Promise.all(
    [...asked].map(async ([ledger, indexes]) => {
      const found = await system.ref(db_dirty_keys, ledger).call.account(indexes.map((i) => keys[i] ?? ""));
      indexes.forEach((index, i) => {
        answers[index] = found[i] ?? "none";
      });
    }),
  );
  return answers;
}

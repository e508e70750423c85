/**
 * A data directory: both sites' stores and logs and the control store of one migration on one machine, in LMDB.
 * `openDataDirectory` gives a thread what the db_* actors look for under `self.resource(name)`; a set-up module of a
 * system's threads (`threadSetup`, or a module of one's own with more backends) calls it in each thread.
 *
 * Always true: one process has it open; whoever opened it first in that process, before its threads, closes it last.
 */

import { randomUUID } from "node:crypto";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type Disk, nodeDisk } from "../../src/index.ts";
import type { Backend } from "../backends/backend.ts";
import { builtInBackends } from "../backends/index.ts";
import type { ControlStore } from "../control_store.ts";
import type { StoreOpener } from "../db_store.ts";
import type { Digest } from "../decision_log.ts";
import type { Site } from "../records.ts";
import type { SitesOptions } from "../sites.ts";
import type { StoreOptions } from "./contract.ts";
import { checkDirectoryFormat, recordDirectoryFormat } from "./data_format.ts";
import { type DirectoryLock, lockDirectory } from "./directory_lock.ts";
import { openLmdbStore } from "./lmdb.ts";
import { openLmdbControl } from "./lmdb_control.ts";
import { nodeDigest } from "./sha256.ts";

/** Where things lie in a data directory. */
export const layout = {
  store: (data: string, site: Site, shard: number): string => join(data, site, `store-${shard}`),
  log: (data: string, site: Site, thread: number): string => join(data, site, `log-${thread}`),
  control: (data: string): string => join(data, "control"),
} as const;

export interface DataDirectoryOptions {
  readonly directory: string;
  /** Default: `group`. */
  readonly durability?: StoreOptions["durability"];
  /** Default: the five of `nanoactor/db`. */
  readonly backends?: readonly Backend[];
  /** How long another process that is about to end may keep the directory, ms; the thread stands still. Default: 0. */
  readonly lockWaitMs?: number;
}

/** The resources of one thread. */
export interface DataResources extends Readonly<Record<string, unknown>> {
  readonly stores: StoreOpener;
  readonly control: ControlStore;
  readonly disk: Disk;
  readonly digest: Digest;
  readonly backends: readonly Backend[];
  readonly lock: DirectoryLock;
}

/**
 * Errors: `locked` when another process has it, or this one has opened it before (other threads of this process share
 * it); `newer_format` and `unreadable`, with nothing written; `unavailable` when it can't be opened.
 */
export function openDataDirectory({
  directory,
  durability = "group",
  backends = builtInBackends,
  lockWaitMs = 0,
}: DataDirectoryOptions): DataResources {
  checkDirectoryFormat(directory);
  const lock = lockDirectory(directory, { waitMs: lockWaitMs });
  try {
    // Whoever had the lock until now may have been a newer version.
    checkDirectoryFormat(directory);
    recordDirectoryFormat(directory);
    return resourcesOf({ directory, durability, backends }, lock);
  } catch (error) {
    lock.release();
    throw error;
  }
}

function resourcesOf(
  { directory, durability, backends }: Required<Omit<DataDirectoryOptions, "lockWaitMs">>,
  lock: DirectoryLock,
): DataResources {
  const indexedBackends = backends.filter(({ kind }) => kind.indexed).map(({ name }) => name);
  const open: StoreOpener["open"] = (site, shard) => {
    const path = layout.store(directory, site, shard);
    return openLmdbStore({ path, indexedBackends, durability, newStoreId: randomUUID() });
  };
  return {
    stores: { open },
    control: openLmdbControl(layout.control(directory)),
    disk: nodeDisk(),
    digest: nodeDigest,
    backends,
    lock,
  };
}

/** After the system that works on it has stopped. */
export async function closeDataDirectory({
  control,
  lock,
}: Pick<DataResources, "control" | "lock">): Promise<void> {
  await control.close();
  lock.release();
}

/** What `startSystem` takes as `setup`: each worker thread opens the directory with the five backends. */
export function threadSetup(options: Pick<DataDirectoryOptions, "directory" | "durability">) {
  return {
    module: import.meta.url,
    export: "openDataDirectory",
    teardown: "closeDataDirectory",
    options,
  } as const;
}

/** What `startSites` takes of this directory: where each thread's log lies, and those of earlier runs. */
export function logFolders(directory: string): Pick<SitesOptions, "logFolder" | "olderLogFolders"> {
  return {
    logFolder: (site, thread) => layout.log(directory, site, thread),
    olderLogFolders: (site, threads) => olderLogFolders(directory, site, threads),
  };
}

/** Log folders of earlier runs on threads that this run does not have: to be read, not written. */
function olderLogFolders(directory: string, site: Site, threads: readonly number[]): string[] {
  const own = new Set(threads.map((thread) => layout.log(directory, site, thread)));
  const folder = join(directory, site);
  mkdirSync(folder, { recursive: true });
  const names = readdirSync(folder, { withFileTypes: true }).filter(({ name }) => name.startsWith("log-"));
  return names.map(({ name }) => join(folder, name)).filter((path) => !own.has(path));
}

/**
 * The supervision tree of one site, as data. Per thread: the log, above its shards. Per shard, rest_for_one:
 * db_switch is last, so when anything beneath it restarts, admission stops first.
 */

import { type ChildSpec, child, type Definition, supervisor, supervisorSpec } from "../src/index.ts";
import { db_compare } from "./db_compare.ts";
import { db_crawler } from "./db_crawler.ts";
import { db_dirty_keys } from "./db_dirty_keys.ts";
import { type DirtyLogOptions, db_dirty_log } from "./db_dirty_log.ts";
import { db_failover } from "./db_failover.ts";
import { db_feed } from "./db_feed.ts";
import { db_log_mirror } from "./db_log_mirror.ts";
import { db_migration } from "./db_migration.ts";
import { db_mirror_repair } from "./db_mirror_repair.ts";
import { db_perror } from "./db_perror.ts";
import { db_queuer } from "./db_queuer.ts";
import { db_replay } from "./db_replay.ts";
import { db_store } from "./db_store.ts";
import { db_switch } from "./db_switch.ts";
import type { LogMirrorOptions, MirrorPolicy } from "./log_mirror.ts";
import type { Site } from "./records.ts";
import {
  defaultTuning,
  logProcess,
  mirrorProcess,
  type ShardOptions,
  type ShardProcess,
  shardProcess,
  type Tuning,
} from "./shard_options.ts";
import type { SiteOptions } from "./site_shards.ts";

export interface SitePlan {
  readonly site: Site;
  readonly peerSite: Site;
  readonly shards: number;
  /** The threads that the site's shards are spread over; [0] for a system without worker threads. */
  readonly threads: readonly number[];
  /** Which of the site's shards live on this node. Default: all. */
  readonly hosts?: (shard: number) => boolean;
  readonly prefixes: readonly string[];
  readonly durability: DirtyLogOptions["durability"];
  /** The log's folder of a thread. */
  readonly logFolder: (thread: number) => string;
  /** Folders of earlier runs with more threads; read, not written. */
  readonly olderLogFolders?: readonly string[];
  /** A named process that stands for the peer's db_store, e.g. one that makes faults. Default: none. */
  readonly link?: (shard: number) => ChildSpec | undefined;
  readonly tuning?: Partial<Tuning>;
  /** Others write the site's stores: each shard follows the resource `feeds`. */
  readonly followed?: boolean;
  /** A second copy of each log. Default: off. */
  readonly mirror?: MirrorPlan | undefined;
  /** Bytes after which a log is compacted. Default: `dataLimits.logCompactionBytes`. */
  readonly logCompactionBytes?: number | undefined;
  /** Behaviours that stand for a shard's own, by name, and for the logs': how a test plants a broken twin. */
  readonly replaced?: Replaced;
}

export interface Replaced extends Partial<Record<ShardProcess, Definition<ShardOptions>>> {
  readonly db_dirty_log?: Definition<DirtyLogOptions>;
}

/**
 * Where marks are written a second time before a write is acknowledged, and what happens while that is down.
 * `local`: a folder for each thread, on another disk. `node`: a db_log_mirror for each thread, under a registered name;
 * whoever composes the system puts it, or what stands for it, there before the sites start.
 */
export type MirrorPlan =
  | { readonly type: "off" }
  | { readonly type: "local"; readonly policy: MirrorPolicy; readonly folder: (thread: number) => string }
  | { readonly type: "node"; readonly policy: MirrorPolicy; readonly process: (thread: number) => string };

/** A shard's processes fail together rarely; a killed thread restarts them all at once. */
const intensity = { intensity: 20, periodMs: 10_000 };

/** One supervisor for each thread, with the shards that live there. */
export function siteChildren(plan: SitePlan): ChildSpec[] {
  const folders = [...plan.threads.map((thread) => plan.logFolder(thread)), ...(plan.olderLogFolders ?? [])];
  const here = Array.from({ length: plan.shards }, (_, shard) => shard).filter(plan.hosts ?? (() => true));
  const trees = plan.threads.map((thread, index) => {
    const shards = here.filter((_, place) => place % plan.threads.length === index);
    const mirror = mirrorOptions(plan, thread, shards);
    const log: DirtyLogOptions = {
      folder: plan.logFolder(thread),
      folders,
      durability: plan.durability,
      compactionBytes: plan.logCompactionBytes,
      mirror,
    };
    const name = logProcess(plan.site, thread);
    const trees = shards.map((shard) => child(`shard ${shard}`, supervisor, shardTree(plan, shard, thread)));
    const children = [
      child("db_dirty_log", plan.replaced?.db_dirty_log ?? db_dirty_log, log, { name }),
      child("shards", supervisor, supervisorSpec({ ...intensity, intensity: 100, children: trees })),
    ];
    if (mirror !== undefined) {
      children.push(child("db_mirror_repair", db_mirror_repair, { site: plan.site, shards, log: name }));
    }
    const spec = supervisorSpec({ strategy: "rest_for_one", ...intensity, children });
    return child(`${plan.site} on thread ${thread}`, supervisor, spec, { thread });
  });
  return [...localMirrors(plan), ...trees];
}

/** Beside the trees that they copy: a mirror that dies takes nobody along. */
function localMirrors({ site, threads, durability, mirror }: SitePlan): ChildSpec[] {
  if (mirror?.type !== "local") return [];
  return threads.map((thread) => {
    const options = { folder: mirror.folder(thread), durability };
    const place = { name: mirrorProcess(site, thread), thread };
    return child(`mirror of ${site} on thread ${thread}`, db_log_mirror, options, place);
  });
}

function mirrorOptions(
  { site, threads, mirror }: SitePlan,
  thread: number,
  shards: readonly number[],
): LogMirrorOptions | undefined {
  if (mirror === undefined || mirror.type === "off") return undefined;
  const nameOf = mirror.type === "node" ? mirror.process : (of: number) => mirrorProcess(site, of);
  return { site, shards, policy: mirror.policy, process: nameOf(thread), processes: threads.map(nameOf) };
}

/** The shard's processes in start order. */
function shardTree(plan: SitePlan, shard: number, thread: number) {
  const { site, peerSite, prefixes } = plan;
  const link = plan.link?.(shard);
  const options: ShardOptions = {
    site,
    peerSite,
    shard,
    shards: plan.shards,
    peer: link?.name ?? shardProcess(peerSite, shard, "db_store"),
    log: logProcess(site, thread),
    prefixes,
    tuning: { ...defaultTuning, ...plan.tuning },
    followed: plan.followed ?? false,
  };
  const { db_dirty_log: _, ...shardBehaviours } = plan.replaced ?? {};
  const behaviours: Record<ShardProcess, Definition<ShardOptions>> = {
    db_store,
    db_dirty_keys,
    db_perror,
    db_replay,
    db_queuer,
    db_feed,
    db_compare,
    db_crawler,
    db_switch,
    ...shardBehaviours,
  };
  const children = Object.entries(behaviours)
    .filter(([name]) => name !== "db_feed" || options.followed === true)
    .map(([name, behaviour]) => child(name, behaviour, options, { name: `${site}/${shard}/${name}` }));
  if (link !== undefined) children.unshift(link);
  return supervisorSpec({ strategy: "rest_for_one", ...intensity, children });
}

export function failoverProcess(site: Site): string {
  return `${site}/db_failover`;
}

export function migrationProcess(site: Site): string {
  return `${site}/db_migration`;
}

/** The coordinators, one pair for each site, outside the shards. `replaced`: as in SitePlan. */
export function coordinators(
  site: Site,
  options: SiteOptions,
  replaced: { readonly db_failover?: typeof db_failover } = {},
): ChildSpec {
  const failover = failoverProcess(site);
  const children = [
    child("db_failover", replaced.db_failover ?? db_failover, options, { name: failover }),
    child("db_migration", db_migration, { ...options, failover }, { name: migrationProcess(site) }),
  ];
  const spec = supervisorSpec({ strategy: "rest_for_one", ...intensity, children });
  return child(`${site} coordinators`, supervisor, spec);
}

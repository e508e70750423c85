/**
 * One node of the simulated sites: its threads, its disk, its way to the control store, and what it runs of the sites.
 * Disk and stores outlive its crashes.
 */

import type { Backend } from "../../actors/backends/backend.ts";
import { builtInBackends } from "../../actors/backends/index.ts";
import type { DataAccess, DataAccessOptions } from "../../actors/data_access.ts";
import type { ModuleOptions } from "../../actors/db_module.ts";
import type { RowKey, Site } from "../../actors/records.ts";
import { shardProcess, type Tuning } from "../../actors/shard_options.ts";
import type { MirrorPlan } from "../../actors/site.ts";
import { type ForeignSource, type Sites, type SitesOptions, startSites } from "../../actors/sites.ts";
import type { ApplyGroup } from "../../actors/store_messages.ts";
import type { MemoryFiles } from "../../actors/stores/memory.ts";
import type { MemorySource } from "../../actors/stores/memory_source.ts";
import { nodeDigest } from "../../actors/stores/sha256.ts";
import { child, NanoError, type System } from "../../src/index.ts";
import {
  type PausePoints,
  SimulatedDisk,
  type SimulatedNode,
  type SimulatedThread,
  type World,
} from "../../src/simulation/index.ts";
import type { Accounting } from "./accounting.ts";
import { type ControlWay, controlOver, type SimControl } from "./sim_control.ts";
import { pausingDisk } from "./sim_disk.ts";
import { pausingFeeds } from "./sim_feed.ts";
import { type Network, sim_link } from "./sim_link.ts";
import { openSimStore, type StoreMood } from "./sim_store.ts";

export const siteNames = ["A", "B"] as const;

/** A1, A2, ..., B1, ... */
export function nodeNames(nodesPerSite: number): string[] {
  return siteNames.flatMap((site) => Array.from({ length: nodesPerSite }, (_, i) => `${site}${i + 1}`));
}

/** What a node has of the sites around it. */
export interface Surroundings {
  readonly world: World;
  readonly points: PausePoints;
  readonly control: SimControl;
  readonly network: Network;
  readonly accounting: Accounting;
  readonly shards: number;
  readonly prefixes: readonly string[];
  /** On which node a shard lives. */
  placeOf(site: Site, shard: number): string;
  /** On which node a named process lives: a shard's, or a coordinator. */
  nodeOf(name: string): string | undefined;
  files(site: Site, shard: number): MemoryFiles;
  mood(site: Site, shard: number): StoreMood;
  /** Site A, if others write it. */
  readonly foreign: MemorySource | undefined;
  readonly onStoreFault: ((fault: string) => void) | undefined;
  readonly onApply: ((groups: readonly ApplyGroup[]) => void) | undefined;
}

/** Opens a backend's data access on a node. */
export type OpenAccess = (
  sites: Sites,
  backend: Backend,
  where: Omit<ModuleOptions, "backend">,
  options: DataAccessOptions,
) => Promise<DataAccess<Backend>>;

export interface SiteNodeOptions {
  readonly shards?: number;
  /** Worker threads; 0, the default: all on the main thread. */
  readonly threads?: number;
  readonly prefixes?: readonly string[];
  readonly backends?: readonly Backend[];
  readonly tuning?: Partial<Tuning>;
  /** By node: how much its clock is ahead. */
  readonly skewMs?: (node: string) => number;
  /** Workers of each backend's factories, on each node. */
  readonly workers?: DataAccessOptions;
  /** By site and node: `TwoSites.nodeOf` finds a mirror on another node whose name begins with `mirror@<node>/`. */
  readonly mirror?: (site: Site, node: string) => MirrorPlan | undefined;
  readonly logCompactionBytes?: number;
  /** Starts what a node has beside the sites, before them. */
  readonly beforeSites?: (system: System, node: string) => Promise<void>;
  /** Others write site A's stores: see `TwoSites.source`. */
  readonly foreign?: boolean;
  /** Broken twins, by the name of what they stand for. */
  readonly replaced?: NonNullable<SitesOptions["replaced"]>;
  readonly replacedCoordinators?: NonNullable<SitesOptions["replacedCoordinators"]>;
  /** The same for what lies beneath a data access. Default: as `Sites.access` opens it. */
  readonly openAccess?: OpenAccess | undefined;
}

/** Short pauses: in virtual time a scenario may wait, but its trace gets long. */
const simTuning: Partial<Tuning> = {
  recheckMs: [20, 50],
  backoffMinMs: 20,
  backoffMaxMs: 500,
  peerTimeoutMs: 1_000,
  probeIntervalMs: 200,
};

const fewWorkers: DataAccessOptions = { writers: 16 };

const indexedBackends = builtInBackends.filter(({ kind }) => kind.indexed).map(({ name }) => name);

export class SiteNode {
  readonly name: string;
  readonly disk: SimulatedDisk;
  /** Its way to the control store; not used by a node that is all there is. */
  readonly controlWay: ControlWay = { delayMs: [0.1, 1], failShare: 0, cut: false, writesOnly: false };
  readonly #around: Surroundings;
  readonly #options: SiteNodeOptions;
  readonly #access = new Map<string, Promise<DataAccess<Backend>>>();
  /** Who waits for an answer of the node: when it dies, nothing asked of it is ever answered. */
  readonly #waiting = new Set<(error: NanoError) => void>();
  #node: SimulatedNode | undefined;
  #sites: Sites | undefined;

  constructor(name: string, around: Surroundings, options: SiteNodeOptions) {
    this.name = name;
    this.#around = around;
    this.#options = options;
    const place = this.#isAlone ? "logs" : `${name} logs`;
    this.disk = new SimulatedDisk(place, { next: (site) => around.world.chance(site) });
  }

  get #isAlone(): boolean {
    return this.name === "n";
  }

  /** Undefined before its first start. */
  get simulated(): SimulatedNode | undefined {
    return this.#node;
  }

  get node(): SimulatedNode {
    if (this.#node === undefined) throw new NanoError("unavailable", `node ${this.name} was never started`);
    return this.#node;
  }

  get isUp(): boolean {
    return this.#sites !== undefined;
  }

  get sites(): Sites {
    if (this.#sites === undefined) throw new NanoError("unavailable", `node ${this.name} is down`);
    return this.#sites;
  }

  /** Ends as it should, every tree in reverse order; whoever still waits for an answer gets none. */
  async stop(): Promise<void> {
    await this.#node?.system.stop();
    this.crash({ powerLoss: false });
  }

  crash(options: { readonly powerLoss: boolean }): void {
    this.#node?.crash();
    for (const reject of this.#waiting) reject(new NanoError("crashed", `node ${this.name} died`));
    this.#waiting.clear();
    this.#sites = undefined;
    this.#access.clear();
    if (options.powerLoss) this.disk.crash();
  }

  /** Nothing happens to a node that is up. */
  async restart(): Promise<void> {
    if (this.#node?.isUp === true) return;
    const { threads = 0, skewMs = () => 0 } = this.#options;
    if (this.#node === undefined) {
      this.#node = await this.#around.world.node(this.name, {
        threads,
        skewMs: skewMs(this.name),
        resources: (thread) => this.#resources(thread),
        ...(this.#isAlone ? {} : { nodeOf: (name) => this.#around.nodeOf(name) }),
      });
    } else await this.#node.restart();
    const { beforeSites } = this.#options;
    if (beforeSites !== undefined) await this.alive(beforeSites(this.#node.system, this.name));
    this.#sites = await this.alive(startSites(this.#node.system, this.#sitesOptions()));
  }

  /** The data access of a backend, opened once in each life. */
  access<B extends Backend>(
    backend: B,
    options = this.#options.workers ?? fewWorkers,
  ): Promise<DataAccess<B>> {
    let access = this.#access.get(backend.name);
    if (access === undefined) {
      access = this.alive(this.#open(backend, options));
      this.#access.set(backend.name, access);
    }
    return access as unknown as Promise<DataAccess<B>>;
  }

  #open(backend: Backend, options: DataAccessOptions): Promise<DataAccess<Backend>> {
    const { openAccess } = this.#options;
    if (openAccess === undefined) return this.sites.access(backend, options);
    const { shards, prefixes } = this.#around;
    return openAccess(this.sites, backend, { shards, prefixes, sites: siteNames }, options);
  }

  /** An answer of this node, or `crashed` when it dies first. */
  alive<T>(answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.add(reject);
      answer.finally(() => this.#waiting.delete(reject)).then(resolve, reject);
    });
  }

  #sitesOptions(): SitesOptions {
    const {
      tuning = {},
      replaced = {},
      replacedCoordinators = {},
      backends = builtInBackends,
      mirror = () => undefined,
      logCompactionBytes,
    } = this.#options;
    const { control, shards, prefixes, foreign } = this.#around;
    return {
      sites: siteNames,
      control,
      backends,
      shards,
      prefixes,
      durability: "group",
      tuning: { ...simTuning, ...tuning },
      here: {
        hosts: (site, shard) => this.#around.placeOf(site, shard) === this.name,
        coordinators: this.#around.nodeOf("A/db_failover") === this.name,
      },
      logFolder: (site, thread) => `${site}/log-${thread}`,
      link: (site, shard) => {
        const peer = shardProcess(site === "A" ? "B" : "A", shard, "db_store");
        return child("link", sim_link, { site, peer }, { name: `${site}/${shard}/link` });
      },
      mirror: (site) => mirror(site, this.name),
      logCompactionBytes,
      replaced,
      replacedCoordinators,
      ...(foreign === undefined ? {} : { source: sourceOf(foreign) }),
    };
  }

  #resources(thread: SimulatedThread): Readonly<Record<string, unknown>> {
    const { points, control, network, accounting, foreign } = this.#around;
    const watch = {
      points,
      onFault: (fault: string) => this.#around.onStoreFault?.(fault),
      onApply: (groups: readonly ApplyGroup[]) => this.#around.onApply?.(groups),
      onApplied: (keys: readonly RowKey[]) => {
        for (const key of keys) accounting.touch(key);
      },
    };
    return {
      backends: this.#options.backends ?? builtInBackends,
      control: this.#isAlone ? control : controlOver(this.controlWay, control, thread),
      digest: nodeDigest,
      disk: pausingDisk(this.disk.mounted(thread), points, thread),
      network,
      ...(foreign === undefined ? {} : { feeds: pausingFeeds(foreign.feed, points, thread) }),
      stores: {
        open: (site: Site, shard: number) => {
          const options = { newStoreId: `${site}/${shard}`, indexedBackends };
          const isForeign = foreign !== undefined && site === "A";
          return openSimStore(
            site,
            this.#around.files(site, shard),
            thread,
            { ...watch, mood: this.#around.mood(site, shard) },
            options,
            isForeign ? () => foreign.open(site, shard, options) : undefined,
          );
        },
      },
    };
  }
}

function sourceOf(source: MemorySource): ForeignSource {
  return {
    feed: "gap_detecting",
    stopWrites: (cohorts) => source.stopWrites(cohorts),
    allowWrites: (cohorts) => source.allowWrites(cohorts),
  };
}

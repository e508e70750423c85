/**
 * Both sites of a migration on one system, and the ways to them: what an embedder starts and holds. The trees are in
 * site.ts; what runs in them are the db_* actors.
 *
 * Holds no state of its own: every answer comes from the actors or from the control store.
 */

import { type ChildSpec, hasCode, NanoError, type Ref, type System, supervisorSpec } from "../src/index.ts";
import type { Backend } from "./backends/backend.ts";
import { type CohortFinder, canaryOf, checkPrefixes, cohortFinder, restPrefix } from "./cohorts.ts";
import type { ControlStore } from "./control_store.ts";
import type { SitesCoverage } from "./coverage.ts";
import { DataAccess, type DataAccessOptions } from "./data_access.ts";
import { db_compare, type Validation, type ValidationRequest } from "./db_compare.ts";
import { db_dirty_keys } from "./db_dirty_keys.ts";
import { db_failover, type Move, type MoveReport, type QuarantineRequest } from "./db_failover.ts";
import { db_feed } from "./db_feed.ts";
import { db_migration, type MigrationPlan, writeCohorts } from "./db_migration.ts";
import { db_perror, type PerrorEntry } from "./db_perror.ts";
import { db_queuer } from "./db_queuer.ts";
import { readAuthorities } from "./decisions.ts";
import type { Gates } from "./failover_gates.ts";
import type { Account } from "./ledger.ts";
import { dataLimits } from "./limits.ts";
import { checkSource, type PlannedSource } from "./plan.ts";
import type { Deed, Stands } from "./quarantine.ts";
import { type CohortId, cohortId, type RowKey, type Site, shardOf, splitRowKey } from "./records.ts";
import { defaultTuning, shardProcess } from "./shard_options.ts";
import {
  coordinators,
  failoverProcess,
  type MirrorPlan,
  migrationProcess,
  type SitePlan,
  siteChildren,
} from "./site.ts";

/** A first site whose stores others write: each thread finds its feed as the resource `feeds`. */
export interface ForeignSource extends Pick<PlannedSource, "feed"> {
  /**
   * The server refuses everybody's writes of these cohorts but nanoactor's, from when it is answered until
   * `allowWrites`. Without it no prefix can be moved away.
   */
  readonly stopWrites?: (cohorts: readonly CohortId[]) => Promise<void>;
  readonly allowWrites?: (cohorts: readonly CohortId[]) => Promise<void>;
}

export interface SitesOptions
  extends Pick<SitePlan, "shards" | "prefixes" | "tuning" | "logCompactionBytes"> {
  /** As the stores were opened. Default: `group`. */
  readonly durability?: SitePlan["durability"];
  /** The site that serves at first, and the one that everything moves to. */
  readonly sites: readonly [from: Site, to: Site];
  /** The same that the threads find as the resource `control`. */
  readonly control: ControlStore;
  /** Backends that are migrated. */
  readonly backends: readonly Backend[];
  /** Threads that shards are spread over. Default: all worker threads; the main one in a system without. */
  readonly threads?: readonly number[];
  /** On a node of a cluster: what lives here; the rest is found through the cluster. Default: everything. */
  readonly here?: NodePart;
  readonly logFolder: (site: Site, thread: number) => string;
  /** Log folders of earlier runs on other threads; read, not written. */
  readonly olderLogFolders?: (site: Site, threads: readonly number[]) => readonly string[];
  /** A second copy of a site's logs. Default: off. */
  readonly mirror?: (site: Site) => MirrorPlan | undefined;
  /** Others write the first site's stores. Default: nanoactor does. */
  readonly source?: ForeignSource;
  /** A named process that stands for the peer's db_store, for the shards of the first site or of both. */
  readonly link?: (site: Site, shard: number) => ChildSpec | undefined;
  /** Behaviours that stand for a shard's own: how a test plants a broken twin. */
  readonly replaced?: NonNullable<SitePlan["replaced"]>;
  /** The same for the coordinators. */
  readonly replacedCoordinators?: Parameters<typeof coordinators>[2];
}

/** What one node of a cluster runs. */
export interface NodePart {
  readonly hosts: (site: Site, shard: number) => boolean;
  /** One node of all runs db_migration and db_failover. */
  readonly coordinators: boolean;
}

/** What both sites' ledgers and queues hold. */
export interface SitesCounts {
  /** Marks and ranges, but for db_perror's marks. */
  readonly dirty: number;
  readonly perror: number;
  /** Remote operations under way. */
  readonly inFlight: number;
  /** Keys that wait for their first send. */
  readonly queued: number;
  /** Age of the oldest mark, ms. */
  readonly lagMs: number;
}

const everything: NodePart = { hosts: () => true, coordinators: true };

const siteIntensity = { intensity: 20, periodMs: 10_000 };

/**
 * Starts both sites' trees and the coordinators, or a node's part of them.
 * Errors: what a process's `init` throws, `unsafe`, `config`.
 */
export async function startSites(system: System, options: SitesOptions): Promise<Sites> {
  const { sites, control, backends, shards, prefixes, link, here = everything } = options;
  refuseSource(options, { failover: false });
  checkPrefixes(prefixes);
  const cohorts = backends.flatMap(({ name }) =>
    [...prefixes, restPrefix].map((prefix) => cohortId(name, prefix)),
  );
  await writeCohorts(control, cohorts, sites[0]);
  const workers = system.threads().filter((thread) => thread > 0);
  const threads = options.threads ?? (workers.length === 0 ? [0] : workers);
  for (const site of sites) {
    const hosts = (shard: number): boolean => here.hosts(site, shard);
    if (!Array.from({ length: shards }, (_, shard) => shard).some(hosts)) continue;
    const linkOf = (shard: number) => link?.(site, shard);
    const plan: SitePlan = {
      site,
      peerSite: site === sites[0] ? sites[1] : sites[0],
      shards,
      threads,
      hosts,
      prefixes,
      durability: options.durability ?? "group",
      logFolder: (thread) => options.logFolder(site, thread),
      olderLogFolders: options.olderLogFolders?.(site, threads) ?? [],
      link: linkOf,
      mirror: options.mirror?.(site),
      logCompactionBytes: options.logCompactionBytes,
      replaced: options.replaced ?? {},
      tuning: options.tuning ?? {},
      followed: options.source !== undefined && site === sites[0],
    };
    const spec = supervisorSpec({ ...siteIntensity, children: siteChildren(plan) });
    await system.supervise(spec, { name: `site ${site}` });
  }
  if (here.coordinators) {
    const { leaseMs, sendBatchMax, sendsInFlightMax } = { ...defaultTuning, ...options.tuning };
    const sending = { sendBatchMax, sendsInFlightMax };
    const coordinated = { sites, shards, prefixes, leaseMs, sending };
    const children = [coordinators(sites[0], coordinated, options.replacedCoordinators)];
    await system.supervise({ children }, { name: "coordinators" });
  }
  return new Sites(system, options);
}

/** Errors: `unsafe` with the first lack of a source that others write. */
function refuseSource({ source }: SitesOptions, { failover }: { readonly failover: boolean }): void {
  if (source === undefined) return;
  const writeStop = source.stopWrites !== undefined && source.allowWrites !== undefined;
  const [refusal] = checkSource({ writtenBy: "others", feed: source.feed, writeStop }, failover);
  if (refusal === undefined) return;
  const { field, message, cure } = refusal;
  throw new NanoError("unsafe", `${field}: ${message}; ${cure}`, { field, cure });
}
/** Of one move or rehearsal. */
export type MoveLimits = Pick<Move, "readOnlyMsMax">;

export class Sites {
  readonly system: System;
  readonly migration: Ref<typeof db_migration>;
  readonly failover: Ref<typeof db_failover>;
  readonly #options: SitesOptions;
  readonly #cohortOf: CohortFinder;

  constructor(system: System, options: SitesOptions) {
    this.system = system;
    this.#options = options;
    this.#cohortOf = cohortFinder(options.prefixes);
    const [from] = options.sites;
    this.migration = system.ref(db_migration, migrationProcess(from));
    this.failover = system.ref(db_failover, failoverProcess(from));
  }

  /** The typed operations of one backend. Errors: `unsafe` naming the routing, `config`. */
  access<B extends Backend>(backend: B, options: DataAccessOptions = {}): Promise<DataAccess<B>> {
    const { shards, prefixes, sites } = this.#options;
    return DataAccess.open(this.system, backend, { shards, prefixes, sites }, options);
  }

  /**
   * What `migration.call.run` takes: every prefix to the second site, canaries (`+49%5`) before all others. `paths`
   * names prefixes that go another way, e.g. there, back, and there again.
   * From a source that others write nothing moves by itself: it ends with phase `ready`.
   */
  migrationPlan(
    paths: Readonly<Record<string, readonly Site[]>> = {},
    times: Pick<MigrationPlan, "movesFromMs" | "movesUntilMs"> = {},
  ): MigrationPlan {
    const { sites, backends, prefixes } = this.#options;
    const [from, to] = sites;
    // Canaries first: what goes wrong goes wrong for few.
    const isCanary = (prefix: string): number => (canaryOf(prefix) === undefined ? 1 : 0);
    const moves = prefixes
      .toSorted((a, b) => isCanary(a) - isCanary(b))
      .map((prefix) => ({
        prefix,
        cohorts: backends.map(({ name }) => cohortId(name, prefix)),
        path: paths[prefix] ?? [to],
      }));
    const never = { movesFromMs: Number.MAX_SAFE_INTEGER };
    return { from, to, prefixes: moves, ...times, ...(this.#options.source === undefined ? {} : never) };
  }

  /**
   * Moves one prefix of all backends to a site, now: a reversal, or a first move by hand. Answered when the move has
   * ended, swapped or aborted. Errors: `bad_argument` for a site or prefix of no plan or a limit that is no time,
   * `conflict` when gates refuse, with all that is missing in words.
   * `unsafe` away from a source that others write and whose server can't stop them: theirs are stopped before the move
   * begins, and stay stopped if its outcome is not known.
   */
  async move(prefix: string, to: Site, limits: MoveLimits = {}): Promise<MoveReport> {
    const asked = this.#moveOf(prefix, to, limits);
    const move = () => this.failover.call.move(asked, { timeoutMs: dataLimits.moveTimeoutMs });
    if (this.#options.source === undefined) return move();
    const { cohorts, from } = asked;
    const isAway = from === this.#options.sites[0];
    return isAway ? this.#moveFromSource(cohorts, move) : this.#moveToSource(cohorts, move);
  }

  /**
   * Blocks the prefix, drains and verifies it, and gives it back: the report says what a real move would have taken.
   * The other site is not changed but for the fences under which it is sent to. Errors: as `move`.
   */
  async rehearse(prefix: string, to: Site, limits: MoveLimits = {}): Promise<MoveReport> {
    const move: Move = { ...this.#moveOf(prefix, to, limits), rehearsal: true };
    return this.failover.call.move(move, { timeoutMs: dataLimits.moveTimeoutMs });
  }

  /** What a move of the prefix to a site would lack now, in words; nothing moves. Errors: as `move`; `unavailable`. */
  async gates(prefix: string, to: Site, limits: MoveLimits = {}): Promise<Gates> {
    const move = this.#moveOf(prefix, to, limits);
    return this.failover.call.gates(move, { timeoutMs: dataLimits.barrierTimeoutMs });
  }

  /** The move in work gives its prefix back at once, unless it has begun to swap; nothing happens without one. */
  async abortMove(why: string): Promise<void> {
    await this.failover.call.abort(why);
  }

  #moveOf(prefix: string, to: Site, limits: MoveLimits): Move {
    const { sites, backends, prefixes } = this.#options;
    const from = sites.find((site) => site !== to);
    if (!sites.includes(to) || from === undefined) {
      throw new NanoError("bad_argument", `no site ${to}; there are ${sites.join(" and ")}`, { field: "to" });
    }
    if (prefix !== restPrefix && !prefixes.includes(prefix)) {
      const known = [...prefixes, restPrefix].join(", ");
      throw new NanoError("bad_argument", `no prefix ${prefix}; there are ${known}`, { field: "prefix" });
    }
    return { prefix, cohorts: backends.map(({ name }) => cohortId(name, prefix)), from, to, ...limits };
  }

  /** Nothing changes the source once the stop is in force, and all that did before is marked when the move begins. */
  async #moveFromSource(cohorts: readonly CohortId[], move: () => Promise<MoveReport>): Promise<MoveReport> {
    const { source } = this.#options;
    refuseSource(this.#options, { failover: true });
    const allow = async (): Promise<void> => source?.allowWrites?.(cohorts);
    await source?.stopWrites?.(cohorts);
    try {
      const [site] = this.#options.sites;
      await Promise.all(
        Array.from({ length: this.#options.shards }, (_, shard) =>
          this.system.ref(db_feed, shardProcess(site, shard, "db_feed")).call.passed(),
        ),
      );
      const report = await move();
      if (report.outcome === "aborted") await allow();
      return report;
    } catch (error) {
      if (hasCode(error, "conflict")) await allow();
      throw error;
    }
  }

  async #moveToSource(cohorts: readonly CohortId[], move: () => Promise<MoveReport>): Promise<MoveReport> {
    const report = await move();
    if (report.outcome === "swapped") await this.#options.source?.allowWrites?.(cohorts);
    return report;
  }

  /**
   * After every prefix, the rest (`*`) included, has moved to the second site: ends the reverse replication and
   * collects tombstones. There is no way back after it. Errors: `conflict` in words when a gate refuses.
   */
  async finish(): Promise<void> {
    const [from, to] = this.#options.sites;
    await this.migration.call.finish({ from, to }, { timeoutMs: Number.POSITIVE_INFINITY });
  }

  /** What stands for each of these keys in the ledger of its authority. */
  async accounts(keys: readonly RowKey[]): Promise<Account[]> {
    const { control, shards } = this.#options;
    const authorities = await readAuthorities(control);
    const answers = new Array<Account>(keys.length).fill("none");
    const asked = new Map<string, number[]>();
    keys.forEach((row, i) => {
      const { backend, key } = splitRowKey(row);
      const authority = authorities.get(this.#cohortOf(backend, key));
      if (authority === undefined) return;
      const ledger = shardProcess(authority.site, shardOf(backend, key, shards), "db_dirty_keys");
      const indexes = asked.get(ledger);
      if (indexes === undefined) asked.set(ledger, [i]);
      else indexes.push(i);
    });
    const answered = [...asked].map(async ([ledger, indexes]) => {
      const rows = indexes.map((i) => keys[i] ?? "");
      const found = await this.system.ref(db_dirty_keys, ledger).call.account(rows);
      indexes.forEach((index, i) => {
        answers[index] = found[i] ?? "none";
      });
    });
    await Promise.all(answered);
    return answers;
  }

  /** The sums over all shards that answer: one that restarts right now is missing in them. */
  async counts(): Promise<SitesCounts> {
    const sum = { dirty: 0, perror: 0, inFlight: 0, queued: 0, lagMs: 0 };
    const counted = this.#everyShard(async (site, shard) => {
      const ledger = this.system.ref(db_dirty_keys, shardProcess(site, shard, "db_dirty_keys"));
      const { marks, perror, ranges, lanes, lagMs } = await ledger.call.counts();
      const queuer = this.system.ref(db_queuer, shardProcess(site, shard, "db_queuer"));
      const { waiting } = await queuer.call.statistics();
      sum.dirty += marks - perror + ranges;
      sum.perror += perror;
      sum.inFlight += lanes;
      sum.queued += waiting;
      sum.lagMs = Math.max(sum.lagMs, lagMs);
    });
    await Promise.allSettled(counted);
    return sum;
  }

  /** Nothing is dirty on either site but what db_perror holds. Errors: those of a shard that does not answer. */
  async settled(): Promise<boolean> {
    const dirty = await Promise.all(
      this.#everyShard(async (site, shard) => {
        const ledger = this.system.ref(db_dirty_keys, shardProcess(site, shard, "db_dirty_keys"));
        const { marks, perror, ranges } = await ledger.call.counts();
        return marks - perror + ranges;
      }),
    );
    return dirty.every((count) => count === 0);
  }

  /**
   * Compares both sides, each cohort by the site that serves it; answered when the last difference is settled, which
   * takes all of `recheckMs` for a real one. `changedOnly`: where a comparison stands, only what changed since. Errors:
   * those of a shard that does not answer; `canceled` when another comparison begins.
   */
  async compare(request: Pick<ValidationRequest, "changedOnly"> = {}): Promise<Validation[]> {
    const limits = { timeoutMs: dataLimits.validateTimeoutMs };
    return Promise.all(
      this.#everyShard((site, shard) =>
        this.system.ref(db_compare, shardProcess(site, shard, "db_compare")).call.validate(request, limits),
      ),
    );
  }

  /**
   * What was compared, when, and how much may have changed since, of each cohort and of all. Never computed is null,
   * not 0. Errors: those of a ledger that does not answer.
   */
  coverage(): Promise<SitesCoverage> {
    return this.migration.call.coverage();
  }

  /** What waits in a site's quarantine. */
  async perror(site: Site): Promise<PerrorEntry[]> {
    const request = { prefix: "", limit: dataLimits.perrorPerShardMax };
    const all = Array.from({ length: this.#options.shards }, (_, shard) =>
      this.system.ref(db_perror, shardProcess(site, shard, "db_perror")).call.list(request),
    );
    return (await Promise.all(all)).flat();
  }

  /** Keys that a swap carried over to a site: they are neither shown nor written there until somebody decides. */
  async held(site: Site): Promise<RowKey[]> {
    const all = Array.from({ length: this.#options.shards }, (_, shard) =>
      this.system.ref(db_dirty_keys, shardProcess(site, shard, "db_dirty_keys")).call.held(),
    );
    return (await Promise.all(all)).flat();
  }

  /** Quarantined keys are tried again at once, where they are served. Errors: `config` for a key of no cohort. */
  retryPerror(keys: readonly RowKey[]): Promise<Deed> {
    return this.#deed({ deed: "retry", keys });
  }

  /** The sides may differ in these quarantined keys: entry and mark go. Errors: as `retryPerror`. */
  resolvePerror(keys: readonly RowKey[]): Promise<Deed> {
    return this.#deed({ deed: "resolve", keys });
  }

  /**
   * Held keys are shown and written again, with what stands: `here`, the value of the side that serves them, or
   * `left behind`, the one that was acknowledged before they moved. The other value is gone. Errors: as `retryPerror`.
   */
  releaseHeld(keys: readonly RowKey[], stands: Stands): Promise<Deed> {
    return this.#deed({ deed: "release", keys, stands });
  }

  #deed(request: QuarantineRequest): Promise<Deed> {
    return this.failover.call.quarantine(request, { timeoutMs: dataLimits.validateTimeoutMs });
  }

  #everyShard<T>(ask: (site: Site, shard: number) => Promise<T>): Promise<T>[] {
    const { sites, shards } = this.#options;
    return sites.flatMap((site) => Array.from({ length: shards }, (_, shard) => ask(site, shard)));
  }
}

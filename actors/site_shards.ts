/**
 * What the coordinators (db_migration, db_failover) ask of all shards of a site at once. Holds no state of its own;
 * every method is safe to repeat.
 */

import { type Definition, hasCode, type Ref, type Self } from "../src/index.ts";
import { type CohortFinder, cohortFinder } from "./cohorts.ts";
import { leaseMargin } from "./control_reading.ts";
import type { ControlStore } from "./control_store.ts";
import {
  type CoveragePart,
  type PartState,
  readCoverage,
  type SitesCoverage,
  summarize,
  unaccountedFoundTotal,
} from "./coverage.ts";
import { db_compare, type ValidationRequest } from "./db_compare.ts";
import { db_crawler } from "./db_crawler.ts";
import { db_dirty_keys } from "./db_dirty_keys.ts";
import { db_perror, type PerrorEntry } from "./db_perror.ts";
import { db_queuer } from "./db_queuer.ts";
import { db_replay } from "./db_replay.ts";
import { db_switch } from "./db_switch.ts";
import { readAuthorities } from "./decisions.ts";
import { rememberHeld } from "./held_keys.ts";
import { dataLimits } from "./limits.ts";
import type { ShardLoad } from "./read_only_prediction.ts";
import {
  type CohortId,
  compareKeys,
  type DirtyRange,
  everyCohort,
  type RowKey,
  type Site,
  splitRowKey,
} from "./records.ts";
import { addPaces, paceOf } from "./send_pace.ts";
import { type ShardProcess, shardProcess, type Tuning } from "./shard_options.ts";
import type { ScanRange } from "./store_messages.ts";

export interface SiteOptions {
  readonly sites: readonly [Site, Site];
  readonly shards: number;
  readonly prefixes: readonly string[];
  /** As the owners' tuning has it. */
  readonly leaseMs: number;
  readonly sending: Pick<Tuning, "sendBatchMax" | "sendsInFlightMax">;
}

export interface SiteCounts {
  readonly marks: number;
  readonly pending: number;
  readonly perror: number;
  readonly ranges: number;
  readonly lagMs: number;
}

export interface SiteVerification {
  readonly verified: number;
  readonly differing: number;
  /** Of each shard, in order. */
  readonly parts: readonly (readonly CoveragePart[])[];
}

/** A shard that restarts, or a way that is bad for now. */
function passing(error: unknown): boolean {
  return ["noproc", "crashed", "timeout", "unavailable", "overloaded"].some((code) => hasCode(error, code));
}

/** Whether a range still holds keys of these bounds; "" is the end. */
function overlap(range: DirtyRange, bounds: ScanRange): boolean {
  const from = compareKeys(range.cursor, range.from) > 0 ? range.cursor : range.from;
  const beginsBefore = bounds.to === "" || compareKeys(from, bounds.to) < 0;
  return beginsBefore && (range.to === "" || compareKeys(range.to, bounds.from) > 0);
}

const patience = { timeoutMs: dataLimits.barrierTimeoutMs };

export class SiteShards {
  readonly #self: Self;
  readonly #options: SiteOptions;
  readonly #refs = new Map<string, unknown>();
  readonly #cohortOf: CohortFinder;

  constructor(self: Self, options: SiteOptions) {
    this.#self = self;
    this.#options = options;
    this.#cohortOf = cohortFinder(options.prefixes);
  }

  get sites(): readonly Site[] {
    return this.#options.sites;
  }

  /** Every db_switch of the site takes control's records over; resolves when all barriers are passed. */
  async refresh(site: Site, limits: { readonly timeoutMs: number } = patience): Promise<void> {
    await this.#each((shard) => this.#switch(site, shard).call.refresh(undefined, limits));
  }

  async refreshAll(): Promise<void> {
    for (const site of this.#options.sites) await this.retried(() => this.refresh(site));
  }

  /**
   * Every db_switch of the site has taken control's records over, or knows them no better than to serve nothing: one
   * that does not answer within its lease has stopped. Without leases all have to answer, restarts included.
   */
  async letGo(site: Site): Promise<void> {
    const { leaseMs } = this.#options;
    if (leaseMs === 0) return this.retried(() => this.refresh(site));
    const untilMs = this.#self.clock.monotonicMs() + leaseMs * leaseMargin;
    await this.#each(async (shard) => {
      for (;;) {
        const leftMs = untilMs - this.#self.clock.monotonicMs();
        if (leftMs <= 0) return;
        try {
          return await this.#switch(site, shard).call.refresh(undefined, { timeoutMs: leftMs });
        } catch (error) {
          if (!passing(error)) throw error;
          await this.pause(Math.min(dataLimits.retryPauseMs, leftMs));
        }
      }
    });
  }

  async counts(site: Site, cohorts?: readonly CohortId[]): Promise<SiteCounts> {
    const all = await this.#each((shard) => this.#ledger(site, shard).call.counts(cohorts, patience));
    const sum = { marks: 0, pending: 0, perror: 0, ranges: 0, lagMs: 0 };
    for (const each of all) {
      sum.marks += each.marks;
      sum.pending += each.pending;
      sum.perror += each.perror;
      sum.ranges += each.ranges;
      sum.lagMs = Math.max(sum.lagMs, each.lagMs);
    }
    return sum;
  }

  /** What the shards have to send for these cohorts before a swap, and how fast they do. */
  loads(site: Site, cohorts: readonly CohortId[]): Promise<ShardLoad[]> {
    return this.#each(async (shard) => {
      const [own, all, queuer, replay, crawler] = await Promise.all([
        this.#ledger(site, shard).call.counts(cohorts, patience),
        this.#ledger(site, shard).call.counts(undefined, patience),
        this.#queuer(site, shard).call.statistics(undefined, patience),
        this.#replay(site, shard).call.statistics(undefined, patience),
        this.#crawler(site, shard).call.statistics(undefined, patience),
      ]);
      return {
        shard,
        dirty: own.marks - own.perror,
        perror: own.perror,
        dirtyOfAll: all.marks - all.perror,
        queued: queuer.waiting,
        parked: replay.parked,
        remoteAnswers: replay.breaker !== "open",
        repairsPerSecond: replay.repairsPerSecond,
        pace: paceOf(addPaces([queuer.pace, replay.pace, crawler.pace])),
      };
    });
  }

  /** Ranges of a site that hold keys of these cohorts, each with its shard. */
  async ranges(site: Site, cohorts: readonly CohortId[]): Promise<{ shard: number; range: DirtyRange }[]> {
    const bounds = cohorts.map((cohort) => this.#cohortOf.bounds(cohort));
    const found = await this.#each(async (shard) => {
      const ranges = await this.#ledger(site, shard).call.ranges(undefined, patience);
      const theirs = ranges.filter((range) => bounds.some((each) => overlap(range, each)));
      return theirs.map((range) => ({ shard, range }));
    });
    return found.flat();
  }

  /** Everything in the site's shards is suspect, hence copied to the peer. Not repeated where a range stands. */
  async openCopy(site: Site): Promise<void> {
    await this.#each(async (shard) => {
      const ledger = this.#ledger(site, shard);
      if ((await ledger.call.ranges(undefined, patience)).some(({ reason }) => reason === "copy")) return;
      await ledger.call.openRange({ cohort: everyCohort, from: "", to: "", reason: "copy" }, patience);
    });
  }

  async pauseCrawlers(): Promise<void> {
    for (const site of this.#options.sites) {
      await this.#each((shard) => this.#crawler(site, shard).call.pause(undefined, patience));
    }
  }

  async resumeCrawlers(): Promise<void> {
    for (const site of this.#options.sites) {
      await this.retried(() =>
        this.#each((shard) => this.#crawler(site, shard).call.resume(undefined, patience)),
      );
    }
  }

  /**
   * Compares every row of these cohorts, or of all that the site serves, both ways; `changedOnly`: where a comparison
   * stands, only what changed since. Returns how many differ without a mark; a range that had too many counts them too.
   */
  async validate(site: Site, request: ValidationRequest): Promise<number> {
    const options = { timeoutMs: dataLimits.validateTimeoutMs };
    const passes = await this.#each((shard) => this.#compare(site, shard).call.validate(request, options));
    return passes.reduce((sum, { mismatches, degraded }) => sum + mismatches + (degraded ? 1 : 0), 0);
  }

  /** How many keys of these cohorts may differ from what the last comparison saw; Infinity if they can't be named. */
  async changed(site: Site, cohorts: readonly CohortId[]): Promise<number> {
    const all = await this.#each((shard) => this.#ledger(site, shard).call.changes(cohorts, patience));
    const changes = all.flatMap((each) => each.changes);
    return changes.reduce<number>((sum, each) => sum + (typeof each === "number" ? each : Infinity), 0);
  }

  /** Compares what changed since the last comparison; what differs gets a mark, so that the drain repairs it. */
  async verify(site: Site, cohorts: readonly CohortId[]): Promise<SiteVerification> {
    const all = await this.#each((shard) => this.#compare(site, shard).call.verify(cohorts, patience));
    const sum = { verified: 0, differing: 0 };
    for (const { verified, differing } of all) {
      sum.verified += verified;
      sum.differing += differing;
    }
    return { ...sum, parts: all.map(({ parts }) => parts) };
  }

  /** Before a swap: the new side remembers what changes from now on, because all was just verified. */
  async adopt(site: Site, cohorts: readonly CohortId[]): Promise<number[]> {
    return this.#each((shard) => this.#ledger(site, shard).call.adoptPass(cohorts, patience));
  }

  /** After it: records that what was verified on the old side stands. `epochs`: as `adopt` returned them. */
  async recordAdopted(
    site: Site,
    epochs: readonly number[],
    parts: readonly (readonly CoveragePart[])[],
  ): Promise<void> {
    await this.#each((shard) =>
      this.#compare(site, shard).call.adopt(
        { epoch: epochs[shard] ?? 0, parts: parts[shard] ?? [] },
        patience,
      ),
    );
  }

  /** What was compared of every cohort, and how old that is. */
  async coverage(control: ControlStore): Promise<SitesCoverage> {
    const served = new Map<Site, CohortId[]>(this.sites.map((site) => [site, []]));
    for (const [cohort, { site }] of await readAuthorities(control)) served.get(site)?.push(cohort);
    const records = await this.#each((shard) => readCoverage(control, shard));
    const states = new Map<CohortId, { readonly site: Site; readonly states: PartState[] }>();
    for (const [site, ids] of served) {
      for (const id of ids) states.set(id, { site, states: [] });
      const all = await this.#each((shard) => this.#ledger(site, shard).call.changes(ids, patience));
      all.forEach(({ epoch, changes, nowMs }, shard) => {
        ids.forEach((id, i) => {
          const part = records[shard]?.parts[id];
          states.get(id)?.states.push({ part, site, epoch, changes: changes[i] ?? "unknown", nowMs });
        });
      });
    }
    const byCohort = [...states].map(([cohort, { site, states: parts }]) => ({
      cohort,
      site,
      ...summarize(parts),
    }));
    const whole = summarize([...states.values()].flatMap((each) => each.states));
    return { ...whole, unaccountedFoundTotal: unaccountedFoundTotal(records), cohorts: byCohort };
  }

  /**
   * The keys of `from`'s db_perror are neither read nor written at `to` once it serves. Returns them. `mayGoOn` throws
   * when the decision was aborted meanwhile: a hold that is sent after that would outlive it.
   */
  async carryHeld(
    from: Site,
    to: Site,
    cohorts: readonly CohortId[],
    { decision, mayGoOn }: { readonly decision: string; readonly mayGoOn: () => void },
  ): Promise<RowKey[]> {
    const held = await this.#each((shard) => this.#quarantined(from, shard, cohorts));
    const all = held.flat();
    if (all.length > 0) await rememberHeld(this.#self.resource<ControlStore>("control"), decision, all);
    mayGoOn();
    await this.#each(async (shard) => {
      const keys = held[shard] ?? [];
      if (keys.length > 0) await this.#ledger(to, shard).call.hold({ keys, decision }, patience);
    });
    return all;
  }

  /** The keys of these cohorts in a site's db_perror. */
  async quarantined(site: Site, cohorts: readonly CohortId[]): Promise<RowKey[]> {
    return (await this.#each((shard) => this.#quarantined(site, shard, cohorts))).flat();
  }

  /**
   * After a swap away from a site: what these earlier decisions had it hold for these cohorts is the new side's own
   * again. A newer one may be carrying keys back already.
   */
  async releaseHeld(site: Site, cohorts: readonly CohortId[], of: readonly string[]): Promise<void> {
    await this.#each((shard) => this.#ledger(site, shard).call.unhold({ cohorts, decisions: of }, patience));
  }

  /** Keys that a site holds for reconciliation. */
  async held(site: Site): Promise<number> {
    const held = await this.#each((shard) => this.#ledger(site, shard).call.held(undefined, patience));
    return held.reduce((sum, keys) => sum + keys.length, 0);
  }

  async collectTombstones(site: Site): Promise<number> {
    const options = { timeoutMs: dataLimits.validateTimeoutMs };
    const collected = await this.#each((shard) =>
      this.#crawler(site, shard).call.collectTombstones(undefined, options),
    );
    return collected.reduce((sum, count) => sum + count, 0);
  }

  /** What these decisions carried over to a site: they were aborted. */
  async unhold(site: Site, decisions: readonly string[]): Promise<void> {
    await this.retried(() =>
      this.#each((shard) => this.#ledger(site, shard).call.unhold({ decisions }, patience)),
    );
  }

  async perror(site: Site): Promise<PerrorEntry[]> {
    const request = { prefix: "", limit: dataLimits.perrorPerShardMax };
    return (await this.#each((shard) => this.#perror(site, shard).call.list(request, patience))).flat();
  }

  /** Repeats what a restarting shard refuses, with pauses, within the barrier's time. */
  async retried<T>(attempt: () => Promise<T>): Promise<T> {
    const deadlineMs = this.#self.clock.monotonicMs() + dataLimits.barrierTimeoutMs;
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        if (!passing(error) || this.#self.clock.monotonicMs() > deadlineMs) throw error;
        await this.pause(dataLimits.retryPauseMs);
      }
    }
  }

  /** Waits on the runtime's clock. */
  pause(delayMs: number): Promise<void> {
    return this.#self.sleep(delayMs);
  }

  async #quarantined(site: Site, shard: number, cohorts: readonly CohortId[]): Promise<RowKey[]> {
    const keys = await this.#ledger(site, shard).call.quarantined(undefined, patience);
    return keys.filter((key) => {
      const { backend, key: plain } = splitRowKey(key);
      return cohorts.includes(this.#cohortOf(backend, plain));
    });
  }

  #each<T>(ask: (shard: number) => Promise<T>): Promise<T[]> {
    return Promise.all(Array.from({ length: this.#options.shards }, (_, shard) => ask(shard)));
  }

  /** Made once: a reference has a function for each handler. */
  #ref<D extends Definition>(definition: D, process: ShardProcess, site: Site, shard: number): Ref<D> {
    const name = shardProcess(site, shard, process);
    const ref = this.#refs.get(name) ?? this.#self.ref(definition, name);
    this.#refs.set(name, ref);
    return ref as Ref<D>;
  }

  #switch(site: Site, shard: number) {
    return this.#ref(db_switch, "db_switch", site, shard);
  }

  #ledger(site: Site, shard: number) {
    return this.#ref(db_dirty_keys, "db_dirty_keys", site, shard);
  }

  #queuer(site: Site, shard: number) {
    return this.#ref(db_queuer, "db_queuer", site, shard);
  }

  #replay(site: Site, shard: number) {
    return this.#ref(db_replay, "db_replay", site, shard);
  }

  #crawler(site: Site, shard: number) {
    return this.#ref(db_crawler, "db_crawler", site, shard);
  }

  #compare(site: Site, shard: number) {
    return this.#ref(db_compare, "db_compare", site, shard);
  }

  #perror(site: Site, shard: number) {
    return this.#ref(db_perror, "db_perror", site, shard);
  }
}

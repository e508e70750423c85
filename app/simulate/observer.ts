/**
 * Watches a play: oracles I4 (one side admits a cohort's writes in each term), I6 (a prefix is read-only for a bounded
 * time) and I8 (queues, ledgers and lanes keep their bounds); and which of the states that a swarm must reach sometimes
 * were reached.
 */

import type { AuthorityTable } from "../../actors/authority.ts";
import type { Backend } from "../../actors/backends/backend.ts";
import type { ServingLease } from "../../actors/control_reading.ts";
import type { DecisionRecord, DecisionState } from "../../actors/control_store.ts";
import type { Ledger } from "../../actors/ledger.ts";
import type { RowKey } from "../../actors/records.ts";
import { defaultTuning } from "../../actors/shard_options.ts";
import type { ApplyGroup } from "../../actors/store_messages.ts";
import type { Heap, NanoError } from "../../src/index.ts";
import type { Settings } from "./plan.ts";
import { siteNames } from "./site_node.ts";
import type { TwoSites } from "./two_sites.ts";

/** States that a swarm must reach in some of its seeds; one that it never reaches says that it tests nothing there. */
export const sometimes = [
  "a prefix swapped",
  "a prefix reversed",
  "a move aborted before its block",
  "a move aborted after its block",
  "a breaker open",
  "a breaker half-open",
  "a full ledger turned into a range",
  "a mark of replay",
  "a mark of perror",
  "a key held on the new side",
  "a range scanned",
  "a log lost",
  "a log damaged",
  "a lost log taken over from its mirror",
  "a lost store filled by its peer",
  "a move rehearsed",
  "an owner without a lease",
  "a write found its prefix moved or blocked",
  "a value expired",
] as const;

export type Sometimes = (typeof sometimes)[number];

/** Between two looks at what is not told, ms. */
const sampleMs = 20;

/** The longest faults one after the other, and what a coordinator needs to come back and end a decision. */
const readOnlyMsMax = 5_000;

interface QueuerState {
  readonly waiting: ReadonlySet<string>;
}

interface SwitchState {
  readonly lost: string;
  readonly lease: ServingLease;
  readonly authority: AuthorityTable;
}

interface DispatcherState {
  readonly workers: readonly { readonly job: { readonly key: string } | undefined }[];
  /** Beyond the wanted number: they end after the job in hand. */
  readonly leaving: DispatcherState["workers"];
}

interface ReplayState {
  readonly breaker: { readonly state: string };
  /** Keys whose backoff runs, by when it ends. */
  readonly parked: Heap<RowKey>;
}

/** A mark as it was seen while its key's backoff ran. */
interface Backoff {
  readonly mark: object;
  readonly replay: ReplayState;
  readonly ends: readonly number[];
}

export class Observer {
  readonly reached = new Set<Sometimes>();
  readonly faults = new Set<string>();
  /** Hears of each decision's states as control gets to know them. */
  onDecided: ((state: DecisionState) => void) | undefined;
  readonly #sites: TwoSites;
  readonly #settings: Settings;
  readonly #backends: readonly string[];
  readonly #admitting = new Map<string, string>();
  readonly #blockedAtMs = new Map<string, number>();
  readonly #states = new Map<string, string>();
  readonly #backoffs = new Map<string, Backoff>();
  #ended = false;

  constructor(sites: TwoSites, settings: Settings, backends: readonly Backend[]) {
    this.#sites = sites;
    this.#settings = settings;
    this.#backends = backends.map(({ name }) => name);
    sites.control.onWrite = (key, value) => {
      if (key.startsWith("decision/")) this.#decided(value as DecisionRecord);
    };
    sites.onApply = (groups) => this.#admitted(groups);
    sites.world.onLog = ({ message }) => this.#logged(message);
    this.#sampleLater();
  }

  /** Everything is at rest: nothing may be in flight any more. */
  end(): void {
    this.#ended = true;
    for (const site of siteNames) {
      for (let shard = 0; shard < this.#sites.shards; shard++) {
        const ledger = this.#sites.ledger(site, shard);
        if (ledger === undefined) continue;
        if (ledger.lanes > 0) this.faults.add(`${site}/${shard}: ${ledger.lanes} lanes are held for ever`);
        const { pending } = ledger.counts();
        if (pending > 0) this.faults.add(`${site}/${shard}: ${pending} versions are pending for ever`);
      }
    }
  }

  #sampleLater(): void {
    this.#sites.world.timeline.schedule(sampleMs, "look", () => {
      this.#sample();
      if (!this.#ended) this.#sampleLater();
    });
  }

  #sample(): void {
    const sites = this.#sites;
    const { queueMax = defaultTuning.queueMax } = this.#settings.tuning;
    for (const site of siteNames) {
      for (let shard = 0; shard < sites.shards; shard++) {
        const replay = sites.stateOf(site, "db_replay", shard) as ReplayState | undefined;
        if (replay?.breaker.state === "open") this.reached.add("a breaker open");
        if (replay?.breaker.state === "half_open") this.reached.add("a breaker half-open");
        const queuer = sites.stateOf(site, "db_queuer", shard) as QueuerState | undefined;
        if (queuer !== undefined && queuer.waiting.size > queueMax)
          this.faults.add(`${site}/${shard}: ${queuer.waiting.size} keys wait in a queue of ${queueMax}`);
        const ledger = sites.ledger(site, shard);
        if (ledger !== undefined) {
          this.#look(ledger);
          this.#bounded(`${site}/${shard}`, ledger);
          if (replay !== undefined) this.#backingOff(`${site}/${shard}`, ledger, replay);
        }
        if (sites.held(site, shard) > 0) this.reached.add("a key held on the new side");
      }
    }
    this.#jobs();
    for (let shard = 0; shard < sites.shards; shard++) this.#serving(shard);
    for (const [id, sinceMs] of this.#blockedAtMs) {
      const ms = sites.world.nowMs - sinceMs;
      if (ms > readOnlyMsMax) this.faults.add(`${id}: read-only for more than ${readOnlyMsMax} ms`);
    }
  }

  /** No cohort is served by two sites at once, be it for reads only: hazard 54. */
  #serving(shard: number): void {
    const [a = [], b = []] = siteNames.map((site) => {
      const state = this.#sites.stateOf(site, "db_switch", shard) as SwitchState | undefined;
      return state === undefined ? [] : servedBy(state);
    });
    for (const cohort of a)
      if (b.includes(cohort)) this.faults.add(`${cohort}: both sites serve it in shard ${shard}`);
  }

  /** Of the jobs of one key, only one runs, also while a factory's workers come and go. */
  #jobs(): void {
    for (const { name, simulated } of this.#sites.nodes) {
      for (const backend of this.#backends) {
        const state = simulated?.stateOf(`${backend} writers`) as DispatcherState | undefined;
        if (state === undefined) continue;
        const keys = new Set<string>();
        for (const { job } of [...state.workers, ...state.leaving]) {
          if (job !== undefined && keys.has(job.key))
            this.faults.add(`${name}: two jobs of ${backend} ${job.key} run at once`);
          if (job !== undefined) keys.add(job.key);
        }
      }
    }
  }

  #look(ledger: Ledger): void {
    for (const { owner } of ledger.marks()) {
      if (owner === "replay") this.reached.add("a mark of replay");
      if (owner === "perror") this.reached.add("a mark of perror");
    }
    for (const { state, reason } of ledger.ranges()) {
      if (state === "scanning") this.reached.add("a range scanned");
      if (reason === "overflow") this.reached.add("a full ledger turned into a range");
      if (reason === "log_lost") this.reached.add("a log lost");
      if (reason === "peer_lost") this.reached.add("a lost store filled by its peer");
    }
  }

  /** db_perror's marks have a bound of their own, by count. */
  #bounded(place: string, ledger: Ledger): void {
    const { ledgerBytesMax = defaultTuning.ledgerBytesMax } = this.#settings.tuning;
    if (ledger.bytes > ledgerBytesMax && ledger.counts().perror === 0)
      this.faults.add(`${place}: a ledger of ${ledgerBytesMax} bytes has ${ledger.bytes}`);
  }

  /** A key whose backoff has not ended since the last look is still out of replay's reach. */
  #backingOff(place: string, ledger: Ledger, replay: ReplayState): void {
    const ends = new Map<RowKey, number[]>();
    for (const [atMs, key] of replay.parked.entries()) ends.set(key, [...(ends.get(key) ?? []), atMs]);
    for (const mark of ledger.marks(new Set(ends.keys()))) {
      const name = `${place} ${mark.key}`;
      const now: Backoff = { mark, replay, ends: ends.get(mark.key) ?? [] };
      const before = this.#backoffs.get(name);
      this.#backoffs.delete(name);
      // What was db_perror's begins anew with its owner.
      if (mark.quarantined) continue;
      if (mark.owner === "replay" && mark.parked) this.#backoffs.set(name, now);
      else if (before?.mark === mark && before.replay === replay && runs(before, now))
        this.faults.add(`${name} may be sent again while its backoff runs`);
    }
  }

  #decided({ id, state, to }: DecisionRecord): void {
    this.onDecided?.(state);
    const before = this.#states.get(id);
    this.#states.set(id, state);
    if (state === "blocking") this.#blockedAtMs.set(id, this.#sites.world.nowMs);
    else this.#blockedAtMs.delete(id);
    if (state === "swapped") this.reached.add(to === "A" ? "a prefix reversed" : "a prefix swapped");
    if (state !== "aborted") return;
    this.reached.add(
      before === "blocking" ? "a move aborted after its block" : "a move aborted before its block",
    );
  }

  /** The grants of a write name its cohort's term, and the shard whose owner admitted it. */
  #admitted(groups: readonly ApplyGroup[]): void {
    for (const { grants } of groups) {
      const [cohort, shard] = grants;
      if (cohort === undefined || shard === undefined) continue;
      const [site = ""] = shard.scope.split("/");
      const term = `${cohort.scope} at term ${cohort.term}`;
      const holder = this.#admitting.get(term) ?? site;
      if (holder !== site) this.faults.add(`${term}: admitted by ${holder} and by ${site}`);
      this.#admitting.set(term, holder);
    }
  }

  #logged(message: string): void {
    if (message.startsWith("the dirty log is damaged")) this.reached.add("a log damaged");
    if (message.startsWith("marks of these shards were lost here"))
      this.reached.add("a lost log taken over from its mirror");
  }

  /** What a client was told. */
  refused({ code, details }: NanoError): void {
    if (code === "moved" || code === "blocked") this.reached.add("a write found its prefix moved or blocked");
    if (code === "unavailable" && "leaseMs" in details) this.reached.add("an owner without a lease");
  }

  rehearsed(): void {
    this.reached.add("a move rehearsed");
  }

  /** What stands in the end has expired. */
  expired(): void {
    this.reached.add("a value expired");
  }
}

/** None of the ends that were ahead has come. */
function runs(before: Backoff, now: Backoff): boolean {
  return before.ends.every((end) => now.ends.includes(end));
}

/** The cohorts that it would answer a read of now. */
function servedBy({ lost, lease, authority }: SwitchState): string[] {
  const answers = (ask: () => unknown): boolean => {
    try {
      ask();
      return true;
    } catch {
      return false;
    }
  };
  if (lost !== "" || !answers(() => lease.check())) return [];
  return Object.keys(authority.ownTerms()).filter((cohort) => answers(() => authority.reading(cohort)));
}

/**
 * db_replay: repairs dirty keys of one shard from the *current* local state until both sides agree. Its parts answer
 * the talk's questions: feedback (a breaker per remote partition), rate limit (a token bucket, with a share of its
 * own for the crawler), inflight (lanes), backoff (exponential with full jitter, a heap, never a sleeping worker),
 * and what can't be repaired goes to db_perror.
 *
 * State: breaker, buckets, backoffs by key. Which keys are dirty is the ledger's.
 * Messages: feedback (senders), crawlShare (db_crawler), setRate, statistics.
 *
 * Always true: at most one request for ready keys and `sendsInFlightMax` batches are out; while the breaker is open
 * nothing goes out; while it is half-open one key does, or one crawled stretch when no key is ready; a new write does
 * not reset a key's backoff.
 */

import {
  type From,
  genServer,
  Heap,
  hasCode,
  NanoError,
  noReply,
  type Piped,
  type Ref,
  type Self,
  type TimerRef,
} from "../src/index.ts";
import { Breaker } from "./breaker.ts";
import { db_dirty_keys } from "./db_dirty_keys.ts";
import { db_perror, type PerrorEntry } from "./db_perror.ts";
import type { Outcome, Taken } from "./ledger.ts";
import type { TakenWithGrants } from "./ledger_messages.ts";
import { dataLimits } from "./limits.ts";
import { PeerSender, type Sent } from "./peer_sender.ts";
import type { RowKey } from "./records.ts";
import type { PaceSums } from "./send_pace.ts";
import type { BreakerMessage, RenewMessage } from "./shard_messages.ts";
import { type ShardOptions, shardProcess } from "./shard_options.ts";
import { TokenBucket } from "./token_bucket.ts";

export interface ReplayStatistics {
  readonly breaker: "closed" | "open" | "half_open";
  readonly parked: number;
  readonly inFlight: number;
  readonly attempts: number;
  readonly repaired: number;
  readonly probes: number;
  readonly pace: PaceSums;
  /** The rate in force. */
  readonly repairsPerSecond: number;
}

/** What goes to db_perror. */
type Poison = Omit<PerrorEntry, "firstAtMs">;

interface Backoff {
  attempts: number;
  rejections: number;
}

interface State {
  readonly self: Self;
  readonly options: ShardOptions;
  readonly ledger: Ref<typeof db_dirty_keys>;
  readonly perror: Ref<typeof db_perror>;
  readonly sender: PeerSender;
  readonly breaker: Breaker;
  readonly repairs: TokenBucket;
  readonly crawl: TokenBucket;
  readonly backoffs: Map<RowKey, Backoff>;
  /** Keys whose backoff runs, by when it ends: monotonic ms, for a wall clock may jump. */
  readonly parked: Heap<RowKey>;
  wakeAtMs: number;
  asking: boolean;
  /** Run until there is a token for a repair, and for a crawled row. */
  repairTimer: TimerRef | undefined;
  crawlTimer: TimerRef | undefined;
  inFlight: number;
  readonly crawlers: { readonly from: From<void>; readonly rows: number }[];
  attempts: number;
  repaired: number;
  probes: number;
}

export const db_replay = genServer(import.meta.url, "db_replay", {
  deadlines: "own",
  init: async (options: ShardOptions, self): Promise<State> => {
    const ledger = self.ref(db_dirty_keys, shardProcess(options.site, options.shard, "db_dirty_keys"));
    await ledger.call.disown("replay");
    const { repairsPerSecond, crawlRowsPerSecond, breakerFailures } = options.tuning;
    const now = self.clock.now();
    self.castSelf("pump");
    return {
      self,
      options,
      ledger,
      perror: self.ref(db_perror, shardProcess(options.site, options.shard, "db_perror")),
      sender: new PeerSender(self, options),
      breaker: new Breaker(breakerFailures),
      repairs: new TokenBucket(repairsPerSecond, now),
      crawl: new TokenBucket(crawlRowsPerSecond, now),
      backoffs: new Map(),
      parked: new Heap(),
      wakeAtMs: Number.POSITIVE_INFINITY,
      asking: false,
      repairTimer: undefined,
      crawlTimer: undefined,
      inFlight: 0,
      crawlers: [],
      attempts: 0,
      repaired: 0,
      probes: 0,
    };
  },

  call: {
    /** Answered when the crawler may move `rows` more rows: rate and breaker permitting. */
    crawlShare: (state, { rows }: { rows: number }, from: From<void>) => {
      state.crawlers.push({ from, rows });
      if (state.breaker.state === "half_open") probeByCrawl(state);
      else letCrawl(state);
      return noReply;
    },

    /**
     * Repairs and crawled rows per second, from now on; 0 stops them. Errors: `bad_argument` for what is no rate.
     * A restart of this process goes back to the tuning's rates.
     */
    setRate: (state, { repairs, crawl }: { repairs: number; crawl: number }) => {
      checkRate("repairs", repairs);
      checkRate("crawl", crawl);
      const now = state.self.clock.now();
      state.repairs.setRate(repairs, now);
      state.crawl.setRate(crawl, now);
      // What waits for a token waits by the old rate.
      if (state.repairTimer !== undefined) state.self.cancelTimer(state.repairTimer);
      if (state.crawlTimer !== undefined) state.self.cancelTimer(state.crawlTimer);
      state.self.castSelf("resumeRepairs");
      state.self.castSelf("resumeCrawl");
    },

    statistics: (state): ReplayStatistics => {
      const { breaker, parked, inFlight, attempts, repaired, probes, sender, repairs } = state;
      const work = { parked: parked.size, inFlight, attempts, repaired, probes };
      return { breaker: breaker.state, ...work, pace: sender.pace, repairsPerSecond: repairs.rate };
    },
  },

  cast: {
    /** How a sender's batch went: every batch without any answer counts as one failure. */
    feedback: (state, { answered, unanswered }: { answered: number; unanswered: number }) =>
      feedback(state, answered, unanswered),

    pump: (state) => pump(state),

    resumeRepairs: (state) => {
      state.repairTimer = undefined;
      pump(state);
    },

    resumeCrawl: (state) => {
      state.crawlTimer = undefined;
      letCrawl(state);
    },

    /** The breaker's interval passed. */
    probe: (state) => {
      state.breaker.halfOpen();
      pump(state);
      probeByCrawl(state);
    },

    /** Some backoffs ended. */
    unpark: (state) => {
      state.wakeAtMs = Number.POSITIVE_INFINITY;
      const now = state.self.clock.monotonicMs();
      const due: RowKey[] = [];
      for (let at = state.parked.first; at !== undefined && at <= now; at = state.parked.first) {
        const key = state.parked.pop();
        if (key !== undefined) due.push(key);
      }
      if (due.length > 0) state.ledger.cast.unpark(due);
      wakeForParked(state);
    },

    letCrawl: (state) => letCrawl(state),

    taken: (state, result: Piped<undefined, TakenWithGrants[]>) => {
      state.asking = false;
      if (!result.ok) throw result.error;
      // The request may be older than the breaker's state and the rate: what may not go any more is ready again.
      const batch = result.value.slice(0, sendable(state));
      giveBack(state, result.value.slice(batch.length));
      if (batch.length > 0) {
        state.inFlight++;
        state.attempts += batch.length;
        state.repairs.take(batch.length);
        if (state.breaker.state !== "closed") state.probes++;
        state.self.pipe(state.sender.send(batch), "repairedBatch", undefined);
      }
      pump(state);
    },

    gaveBack: (_state, result: Piped<undefined, unknown>) => {
      if (!result.ok) throw result.error;
    },

    repairedBatch: (state, result: Piped<undefined, Sent[]>) => {
      if (!result.ok) throw result.error;
      return settle(state, result.value);
    },
  },
});

function pump(state: State): void {
  if (state.asking || !hasRoom(state)) return;
  const limit = sendable(state);
  if (limit < 1) {
    state.repairTimer ??= state.self.castAfter(tokenDelayMs(state, state.repairs), "resumeRepairs");
    return;
  }
  state.asking = true;
  const ready = state.ledger.call.takeReady({ limit }, { timeoutMs: Number.POSITIVE_INFINITY });
  state.self.pipe(ready, "taken", undefined);
}

/** Batches beside each other while the breaker is closed; one probe, and only if nothing is under way, half-open. */
function hasRoom({ breaker, inFlight, options }: State): boolean {
  switch (breaker.state) {
    case "closed":
      return inFlight < options.tuning.sendsInFlightMax;
    case "half_open":
      return inFlight === 0;
    case "open":
      return false;
  }
}

/** How many keys may go at once now. A probe is not the rate's matter. */
function sendable(state: State): number {
  if (!hasRoom(state)) return 0;
  if (state.breaker.state === "half_open") return 1;
  return state.repairs.available(state.options.tuning.sendBatchMax, state.self.clock.now());
}

function tokenDelayMs({ self }: State, bucket: TokenBucket): number {
  return Math.min(bucket.delayMs(1, self.clock.now()), dataLimits.tokenWaitMsMax);
}

function checkRate(field: string, rate: number): void {
  if (Number.isFinite(rate) && rate >= 0) return;
  throw new NanoError("bad_argument", `${field} is a number per second, 0 or more; got ${rate}`, { field });
}

function giveBack(state: State, taken: readonly Taken[]): void {
  if (taken.length === 0) return;
  const results = taken.map((each) => ({ taken: each, outcome: "again" as const }));
  state.self.pipe(state.ledger.call.release(results), "gaveBack", undefined);
}

function feedback(state: State, answered: number, unanswered: number): void {
  if (answered > 0) {
    if (state.breaker.answered()) tellBreaker(state, false);
  } else if (unanswered > 0 && state.breaker.failed()) {
    tellBreaker(state, true);
    state.self.castAfter(state.options.tuning.probeIntervalMs, "probe");
  }
}

function tellBreaker(state: State, open: boolean): void {
  const message: BreakerMessage = { type: "breaker", open };
  state.self.send(shardProcess(state.options.site, state.options.shard, "db_queuer"), message);
  if (!open) letCrawl(state);
}

async function settle(state: State, sent: readonly Sent[]): Promise<void> {
  const results: { taken: Taken; outcome: Outcome }[] = [];
  const amend: RowKey[] = [];
  const poison: Poison[] = [];
  let unanswered = 0;
  for (const { taken, outcome } of sent) {
    switch (outcome.status) {
      case "confirmed":
        results.push({ taken, outcome: "confirmed" });
        state.backoffs.delete(taken.key);
        state.repaired++;
        break;
      case "rejected": {
        const backoff = backOff(state, taken.key);
        backoff.rejections++;
        const isPoison = backoff.rejections >= state.options.tuning.rejectionsMax;
        // A poison key that was written meanwhile stays with replay: the new version is tried at once.
        results.push({ taken, outcome: isPoison ? "again" : "parked" });
        if (isPoison) poison.push({ ...taken, reason: outcome.code, attempts: backoff.attempts });
        else park(state, taken.key, backoff);
        break;
      }
      case "unknown":
      case "fenced":
      case "amend":
      case "again":
        if (outcome.status === "unknown") unanswered++;
        if (outcome.status === "amend") amend.push(taken.key);
        results.push({ taken, outcome: "parked" });
        park(state, taken.key, backOff(state, taken.key));
        break;
    }
  }
  feedback(state, sent.length - unanswered, unanswered);
  if (amend.length > 0) {
    const renew: RenewMessage = { type: "renew", keys: amend };
    state.self.send(shardProcess(state.options.site, state.options.shard, "db_switch"), renew);
  }
  if (poison.length > 0 && !(await hasQuarantined(state, poison))) {
    const kept = new Set(poison.map(({ key }) => key));
    for (const result of results) if (kept.has(result.taken.key)) result.outcome = "parked";
    for (const key of kept) park(state, key, backOff(state, key));
  }
  const { cleared } = await state.ledger.call.release(results);
  const healed = cleared.filter((each) => each.healed).map(({ key }) => key);
  if (healed.length > 0) state.perror.cast.left(healed);
  state.inFlight--;
  pump(state);
}

/** False if db_perror is full: replay keeps the keys then, at the pace of their backoff. */
async function hasQuarantined(state: State, poison: readonly Poison[]): Promise<boolean> {
  try {
    await state.perror.call.quarantine(poison);
  } catch (error) {
    if (!hasCode(error, "overloaded")) throw error;
    state.self.log.error({ keys: poison.length }, (error as NanoError).message);
    return false;
  }
  for (const { key } of poison) state.backoffs.delete(key);
  return true;
}

function backOff(state: State, key: RowKey): Backoff {
  let backoff = state.backoffs.get(key);
  if (backoff === undefined) {
    backoff = { attempts: 0, rejections: 0 };
    state.backoffs.set(key, backoff);
  }
  backoff.attempts++;
  return backoff;
}

/** Exponential with full jitter (Brooker, "Exponential Backoff And Jitter", AWS 2015). */
function park(state: State, key: RowKey, { attempts }: Backoff): void {
  const { backoffMinMs, backoffMaxMs } = state.options.tuning;
  const ceiling = Math.min(backoffMaxMs, backoffMinMs * 2 ** Math.min(attempts, 30));
  const delayMs = Math.max(1, state.self.random.next("db_replay.backoff") * ceiling);
  state.parked.push(state.self.clock.monotonicMs() + delayMs, key);
  wakeForParked(state);
}

function wakeForParked(state: State): void {
  const first = state.parked.first;
  if (first === undefined || first >= state.wakeAtMs) return;
  state.wakeAtMs = first;
  state.self.castAfter(Math.max(0, first - state.self.clock.monotonicMs()), "unpark");
}

/** A ready key goes first. With none, only the crawler can find out that the peer is back. */
function probeByCrawl(state: State): void {
  state.self.castAfter(state.options.tuning.backoffMinMs, "letCrawl");
}

function mayCrawl({ breaker, inFlight, crawlers, crawlTimer }: State): boolean {
  if (crawlers.length === 0 || crawlTimer !== undefined) return false;
  return breaker.state === "closed" || (breaker.state === "half_open" && inFlight === 0);
}

function letCrawl(state: State): void {
  while (mayCrawl(state)) {
    const delayMs = tokenDelayMs(state, state.crawl);
    if (delayMs > 0) {
      state.crawlTimer = state.self.castAfter(delayMs, "resumeCrawl");
      return;
    }
    const next = state.crawlers.shift();
    if (next === undefined) return;
    state.crawl.take(next.rows);
    state.self.reply(next.from, undefined);
  }
}

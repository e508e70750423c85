/**
 * db_crawler: works the dirty ranges of one shard: a copy is a range over everything, an overflow or a lost log
 * leaves one too. Reads both sides of a stretch, sends what is newer here, has amended what versions can't repair
 * (a row that exists only at the peer), and moves the range's cursor behind confirmed rows only.
 *
 * State: the range in work. Its cursor is the ledger's and survives a crash.
 * Messages: work (there is a range), pause, resume, statistics.
 *
 * Always true: keys with a mark or a lane are left to those; a stretch whose outcome is not known for every key is
 * read again; more than `deletesPerRangeMax` peer-only rows stop the range and ask an operator.
 */

import {
  type From,
  genServer,
  NanoError,
  noReply,
  type Piped,
  type Ref,
  type Self,
  type TimerRef,
} from "../src/index.ts";
import { compareRows } from "./compare.ts";
import { db_dirty_keys } from "./db_dirty_keys.ts";
import { db_queuer } from "./db_queuer.ts";
import { db_replay } from "./db_replay.ts";
import { db_store } from "./db_store.ts";
import { PeerSender } from "./peer_sender.ts";
import { RangeReader } from "./range_reader.ts";
import type { RowKey } from "./records.ts";
import type { PaceSums } from "./send_pace.ts";
import type { RenewMessage } from "./shard_messages.ts";
import { type ShardOptions, type ShardProcess, shardProcess } from "./shard_options.ts";

export interface CrawlerStatistics {
  readonly working: boolean;
  readonly rows: number;
  readonly sent: number;
  readonly peerOnly: number;
  /** Why it stopped and waits for an operator, or "". */
  readonly stopped: string;
  readonly pace: PaceSums;
}

interface State {
  readonly self: Self;
  readonly options: ShardOptions;
  readonly ledger: Ref<typeof db_dirty_keys>;
  readonly replay: Ref<typeof db_replay>;
  readonly queuer: Ref<typeof db_queuer>;
  readonly sender: PeerSender;
  readonly reader: RangeReader;
  busy: boolean;
  paused: boolean;
  /** The next look, if one is due; there is one at most. */
  timer: TimerRef | undefined;
  failures: number;
  rows: number;
  sent: number;
  peerOnly: number;
  /** Peer-only rows of the range in work. */
  peerOnlyInRange: number;
  rangeId: string;
  stopped: string;
}

export const db_crawler = genServer(import.meta.url, "db_crawler", {
  deadlines: "own",
  init: async (options: ShardOptions, self): Promise<State> => {
    const named = (process: ShardProcess) => shardProcess(options.site, options.shard, process);
    const ledger = self.ref(db_dirty_keys, named("db_dirty_keys"));
    await ledger.call.disown("crawler");
    self.castSelf("work");
    return {
      self,
      options,
      ledger,
      replay: self.ref(db_replay, named("db_replay")),
      queuer: self.ref(db_queuer, named("db_queuer")),
      sender: new PeerSender(self, options),
      reader: new RangeReader(self, options),
      busy: false,
      paused: false,
      timer: undefined,
      failures: 0,
      rows: 0,
      sent: 0,
      peerOnly: 0,
      peerOnlyInRange: 0,
      rangeId: "",
      stopped: "",
    };
  },

  call: {
    statistics: (state): CrawlerStatistics => {
      const { busy, rows, sent, peerOnly, stopped, sender } = state;
      return { working: busy, rows, sent, peerOnly, stopped, pace: sender.pace };
    },

    /** No stretch begins any more. One in work ends by itself: what it sends is checked against the fences. */
    pause: (state) => {
      state.paused = true;
      lookAgain(state, undefined);
    },

    /** An operator accepts that the peer's extra rows of this range are deleted. */
    allowDeletes: (state) => {
      state.stopped = "";
      state.peerOnlyInRange = Number.NEGATIVE_INFINITY;
      state.self.castSelf("work");
    },

    resume: (state) => {
      state.paused = false;
      state.self.castSelf("work");
    },

    /**
     * Removes the own store's tombstones: when nothing is replicated any more, nothing older can return. Returns how
     * many there were.
     */
    collectTombstones: (state, _: undefined, from: From<number>) => {
      state.self.pipe(collectTombstones(state), "collected", from);
      return noReply;
    },
  },

  cast: {
    collected: (state, { context: from, ...result }: Piped<From<number>, number>) => {
      if (result.ok) state.self.reply(from, result.value);
      else state.self.replyError(from, result.error);
    },

    /** Looks for a range and works it, stretch by stretch. */
    work: (state) => {
      if (state.busy || state.paused || state.stopped !== "") return;
      state.busy = true;
      state.self.pipe(workStretch(state), "worked", undefined);
    },

    worked: (state, result: Piped<undefined, "more" | "idle">) => {
      state.busy = false;
      if (result.ok) state.failures = 0;
      else state.failures++;
      if (state.paused) return;
      const { backoffMinMs, backoffMaxMs } = state.options.tuning;
      if (result.ok && result.value === "more") state.self.castSelf("work");
      else if (result.ok) lookAgain(state, backoffMinMs * 4);
      else lookAgain(state, Math.min(backoffMaxMs, backoffMinMs * 2 ** Math.min(state.failures, 16)));
    },
  },
});

/** After this delay, and not when it was due before; undefined: not at all. */
function lookAgain(state: State, delayMs: number | undefined): void {
  if (state.timer !== undefined) state.self.cancelTimer(state.timer);
  state.timer = delayMs === undefined ? undefined : state.self.castAfter(delayMs, "work");
}

async function collectTombstones({ self, options }: State): Promise<number> {
  const store = self.ref(db_store, shardProcess(options.site, options.shard, "db_store"));
  const limit = options.tuning.crawlBatchMax;
  let collected = 0;
  for (let from: RowKey = ""; ; ) {
    const rows = await store.call.scan({ range: { from, to: "" }, limit });
    for (const { key, version, value } of rows) {
      if (value === null && (await store.call.collect({ key, version }))) collected++;
    }
    const last = rows.at(-1);
    if (last === undefined || rows.length < limit) return collected;
    from = `${last.key}\u0000`;
  }
}

async function workStretch(state: State): Promise<"more" | "idle"> {
  const range = await state.ledger.call.nextRange();
  if (range === undefined) return "idle";
  if (range.id !== state.rangeId) {
    state.rangeId = range.id;
    state.peerOnlyInRange = 0;
  }
  const { crawlBatchMax } = state.options.tuning;
  await state.replay.call.crawlShare({ rows: crawlBatchMax }, { timeoutMs: Number.POSITIVE_INFINITY });
  const { pairs, next } = await state.reader.read({ from: range.cursor, to: range.to }, crawlBatchMax);
  const send: RowKey[] = [];
  const amend: RowKey[] = [];
  const peerOnly: RowKey[] = [];
  for (const { key, local, peer } of pairs) {
    // At time 0 nothing has expired: what has by this clock may live by another, and must not be missing then.
    const verdict = compareRows(local, peer, 0);
    if (verdict === "send") send.push(key);
    else if (verdict === "amend") amend.push(key);
    if (verdict === "amend" && local === undefined) peerOnly.push(key);
  }
  state.rows += pairs.length;
  state.peerOnlyInRange += await deletable(state, peerOnly);
  if (state.peerOnlyInRange > state.options.tuning.deletesPerRangeMax) {
    state.stopped = `${state.peerOnlyInRange} rows exist only at the peer; allowDeletes removes them, resume does not`;
    state.self.log.error({ range: range.id, cohort: range.cohort }, state.stopped);
    return "idle";
  }
  await repair(state, send, amend);
  await state.ledger.call.advance({ id: range.id, cursor: next });
  return "more";
}

/** How many of these keys are this crawl's to delete at the peer: not those that the peer serves, nor marked ones. */
async function deletable({ ledger, queuer }: State, keys: readonly RowKey[]): Promise<number> {
  if (keys.length === 0) return 0;
  const taken = await ledger.call.takeUnmarked({ sender: "crawler", keys });
  const again = await ledger.call.releaseUnmarked(taken.map(({ key }) => key));
  if (again.length > 0) queuer.cast.push(again);
  return taken.length;
}

/** Brings these keys to the peer, or leaves a durable mark for each that could not be. */
async function repair(state: State, send: readonly RowKey[], amend: readonly RowKey[]): Promise<void> {
  const suspects: RowKey[] = [...amend];
  if (send.length > 0) {
    const taken = await state.ledger.call.takeUnmarked({ sender: "crawler", keys: send });
    try {
      const sent = await state.sender.send(taken);
      for (const { taken: each, outcome } of sent) {
        if (outcome.status === "unknown")
          throw new NanoError("timeout", "the peer did not answer a crawled batch");
        if (outcome.status === "confirmed") state.sent++;
        else suspects.push(each.key);
      }
      state.replay.cast.feedback({ answered: sent.length, unanswered: 0 });
    } catch (error) {
      state.replay.cast.feedback({ answered: 0, unanswered: taken.length });
      throw error;
    } finally {
      const again = await state.ledger.call.releaseUnmarked(taken.map(({ key }) => key));
      if (again.length > 0) state.queuer.cast.push(again);
    }
  }
  if (suspects.length === 0) return;
  state.peerOnly += amend.length;
  await state.ledger.call.suspect({ keys: suspects, owner: "replay" });
  if (amend.length === 0) return;
  const renew: RenewMessage = { type: "renew", keys: amend };
  state.self.send(shardProcess(state.options.site, state.options.shard, "db_switch"), renew);
}

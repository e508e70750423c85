/**
 * db_queuer: the bounded queue of one shard to the remote side; answers "what if replication traffic is slow?".
 * Local latency does not move when the remote slows: db_switch hands over keys and goes on.
 *
 * State: keys that wait for their first send, in order, each at most once; batches in flight.
 * Messages: push (db_switch), breaker (info from db_replay).
 *
 * Always true: order per key is kept by lanes, and a batch sends current rows, so a key written often is sent in
 * its latest state; a discard, an open breaker, a failure and this process's death change the owner of the mark to
 * replay and lose nothing.
 */

import { genServer, type Info, type Piped, type Ref, type Self } from "../src/index.ts";
import { db_dirty_keys } from "./db_dirty_keys.ts";
import { db_perror } from "./db_perror.ts";
import { db_replay } from "./db_replay.ts";
import type { TakenWithGrants } from "./ledger_messages.ts";
import { PeerSender, type Sent } from "./peer_sender.ts";
import type { RowKey } from "./records.ts";
import type { PaceSums } from "./send_pace.ts";
import { isBreakerMessage, type RenewMessage } from "./shard_messages.ts";
import { type ShardOptions, shardProcess } from "./shard_options.ts";

export interface QueuerStatistics {
  readonly waiting: number;
  readonly inFlight: number;
  readonly sent: number;
  /** Keys handed to replay because the queue was full. */
  readonly discarded: number;
  readonly pace: PaceSums;
}

interface State {
  readonly self: Self;
  readonly options: ShardOptions;
  readonly ledger: Ref<typeof db_dirty_keys>;
  readonly replay: Ref<typeof db_replay>;
  readonly perror: Ref<typeof db_perror>;
  readonly sender: PeerSender;
  /** In order of their first push since they were last taken; none while the breaker is open. */
  readonly waiting: Set<RowKey>;
  inFlight: number;
  breakerOpen: boolean;
  sent: number;
  discarded: number;
}

export const db_queuer = genServer(import.meta.url, "db_queuer", {
  deadlines: "own",
  init: async (options: ShardOptions, self): Promise<State> => {
    const named = (process: "db_dirty_keys" | "db_replay" | "db_perror") =>
      shardProcess(options.site, options.shard, process);
    const ledger = self.ref(db_dirty_keys, named("db_dirty_keys"));
    const replay = self.ref(db_replay, named("db_replay"));
    await ledger.call.disown("queuer");
    // The breaker tells its changes only; one that follows this answer is on its way here.
    const { breaker } = await replay.call.statistics();
    return {
      self,
      options,
      ledger,
      replay,
      perror: self.ref(db_perror, named("db_perror")),
      sender: new PeerSender(self, options),
      waiting: new Set(),
      inFlight: 0,
      breakerOpen: breaker !== "closed",
      sent: 0,
      discarded: 0,
    };
  },

  call: {
    statistics: (state): QueuerStatistics => {
      const { waiting, inFlight, sent, discarded, sender } = state;
      return { waiting: waiting.size, inFlight, sent, discarded, pace: sender.pace };
    },
  },

  cast: {
    /** These keys have marks of the queuer and a locally durable row. */
    push: (state, keys: readonly RowKey[]) => {
      push(state, keys);
      pump(state);
    },

    taken: (state, result: Piped<undefined, { taken: TakenWithGrants[]; busy: RowKey[] }>) => {
      if (!result.ok) throw result.error;
      const { taken, busy } = result.value;
      if (busy.length > 0) state.self.castAfter(state.options.tuning.backoffMinMs, "push", busy);
      if (taken.length === 0) {
        state.inFlight--;
        pump(state);
        return;
      }
      state.self.pipe(state.sender.send(taken), "sentBatch", undefined);
    },

    sentBatch: (state, result: Piped<undefined, Sent[]>) => {
      if (!result.ok) throw result.error;
      settle(state, result.value);
    },

    released: (
      state,
      result: Piped<undefined, { again: RowKey[]; cleared: { key: RowKey; healed: boolean }[] }>,
    ) => {
      if (!result.ok) throw result.error;
      state.inFlight--;
      const healed = result.value.cleared.filter((each) => each.healed).map(({ key }) => key);
      if (healed.length > 0) state.perror.cast.left(healed);
      push(state, result.value.again);
      pump(state);
    },

    disowned: (_state, result: Piped<undefined, void>) => {
      if (!result.ok) throw result.error;
    },
  },

  info: (state, info: Info) => {
    if (info.type !== "message" || !isBreakerMessage(info.message)) return;
    state.breakerOpen = info.message.open;
    if (state.breakerOpen) {
      disown(state, [...state.waiting]);
      state.waiting.clear();
    }
    pump(state);
  },
});

function push(state: State, keys: readonly RowKey[]): void {
  const refused: RowKey[] = [];
  for (const key of keys) {
    if (state.breakerOpen) refused.push(key);
    else if (state.waiting.size < state.options.tuning.queueMax || state.waiting.has(key))
      state.waiting.add(key);
    else {
      state.discarded++;
      refused.push(key);
    }
  }
  disown(state, refused);
}

/** The keys stay marked; from now on replay works them. */
function disown(state: State, keys: readonly RowKey[]): void {
  if (keys.length === 0) return;
  state.self.pipe(state.ledger.call.own({ keys, owner: "replay" }), "disowned", undefined);
}

function pump(state: State): void {
  const { sendsInFlightMax, sendBatchMax } = state.options.tuning;
  while (state.inFlight < sendsInFlightMax && state.waiting.size > 0) {
    const batch: RowKey[] = [];
    for (const key of state.waiting) {
      if (batch.length >= sendBatchMax) break;
      batch.push(key);
      state.waiting.delete(key);
    }
    state.inFlight++;
    state.self.pipe(state.ledger.call.take(batch), "taken", undefined);
  }
}

function settle(state: State, sent: readonly Sent[]): void {
  const failed: RowKey[] = [];
  const amend: RowKey[] = [];
  let unknown = 0;
  for (const { taken, outcome } of sent) {
    if (outcome.status === "confirmed") continue;
    if (outcome.status === "unknown") unknown++;
    if (outcome.status === "amend") amend.push(taken.key);
    failed.push(taken.key);
  }
  state.sent += sent.length;
  state.replay.cast.feedback({ answered: sent.length - unknown, unanswered: unknown });
  if (amend.length > 0) {
    const renew: RenewMessage = { type: "renew", keys: amend };
    state.self.send(shardProcess(state.options.site, state.options.shard, "db_switch"), renew);
  }
  // Whoever failed here is repaired by replay, at its own pace: before the lane is given back.
  disown(state, failed);
  const results = sent.map(({ taken, outcome }) => ({
    taken,
    outcome: outcome.status === "confirmed" ? ("confirmed" as const) : ("again" as const),
  }));
  state.self.pipe(state.ledger.call.release(results), "released", undefined);
}

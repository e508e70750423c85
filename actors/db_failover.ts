/**
 * db_failover: moves the authority of one phone prefix from a site to the other, in seven durable steps: check,
 * announce, block, drain, verify, swap, unblock; and back, by the same steps. The steps are in failover_move.ts.
 *
 * State: the move in work and those that wait. What has been decided is in the control store's decision record only.
 * Messages: move, gates, abort, quarantine, decisions.
 *
 * Always true: whoever ends a decision does it by compare-and-set, so it ends once, swapped or aborted; `swapped` is
 * the one point of no return; before it, any failure aborts and the old side serves again. A decision that a dead
 * coordinator left open is ended by its successor, or by any other once its lease has ended.
 */

import { type From, genServer, NanoError, noReply, type Piped, toErrorData } from "../src/index.ts";
import type { ControlStore, DecisionRecord, DecisionState } from "./control_store.ts";
import { DecisionLog, type Digest, readEntries } from "./decision_log.ts";
import { endOverdue, hasLeft, isOpen, mayEnd, noteLetGo, readDecisions, renewLease } from "./decisions.ts";
import { type GatedMove, type Gates, readGates } from "./failover_gates.ts";
import {
  type Move,
  type MoveContext,
  MoveInWork,
  type MoveReport,
  VerificationPace,
} from "./failover_move.ts";
import { dataLimits } from "./limits.ts";
import { type Deed, Quarantine, type Stands } from "./quarantine.ts";
import type { CohortId, RowKey, Site } from "./records.ts";
import { type SiteOptions, SiteShards } from "./site_shards.ts";

export { readDecisions } from "./decisions.ts";
export type { Move, MoveReport } from "./failover_move.ts";

export interface QuarantineRequest {
  readonly deed: "retry" | "resolve" | "release";
  readonly keys: readonly RowKey[];
  /** Of a release. */
  readonly stands?: Stands;
}

interface Waiting {
  readonly move: Move;
  readonly from: From<MoveReport>;
}

interface State extends MoveContext {
  readonly quarantine: Quarantine;
  readonly waiting: Waiting[];
  /** A recovery or a move; one at a time. */
  working: boolean;
  inWork: MoveInWork | undefined;
  /** A recovery is due before the next move. */
  undone: boolean;
}

export const db_failover = genServer(import.meta.url, "db_failover", {
  deadlines: "own",
  init: async (options: SiteOptions, self): Promise<State> => {
    const control = self.resource<ControlStore>("control");
    const log = new DecisionLog(self, control, self.resource<Digest>("digest"));
    const shards = new SiteShards(self, options);
    const quarantine = new Quarantine(self, options, control, log);
    self.castSelf("next");
    self.castAfter(dataLimits.decisionBeatMs, "beat");
    const pace = new VerificationPace();
    const work = { pace, waiting: [], working: false, inWork: undefined, undone: true };
    return { self, options, control, shards, log, quarantine, ...work };
  },

  call: {
    /** Answered when the move ended, swapped or aborted. Errors: `conflict` when a gate refuses, in words. */
    move: (state, move: Move, from: From<MoveReport>) => {
      const { readOnlyMsMax = 1 } = move;
      if (!(readOnlyMsMax > 0)) {
        const text = `readOnlyMsMax is a time above 0 ms; got ${readOnlyMsMax}`;
        throw new NanoError("bad_argument", text, { field: "readOnlyMsMax" });
      }
      state.waiting.push({ move, from });
      next(state);
      return noReply;
    },

    /** What a move would lack now, in words; nothing moves. Errors: `unavailable`. */
    gates: (state, move: GatedMove, from: From<Gates>) => {
      state.self.pipe(readGates(state, move), "gatesRead", from);
      return noReply;
    },

    /** An operator's deed with quarantined or held keys: see Quarantine. */
    quarantine: (state, { deed, keys, stands = "here" }: QuarantineRequest, from: From<Deed>) => {
      const done = deed === "release" ? state.quarantine.release(keys, stands) : state.quarantine[deed](keys);
      state.self.pipe(done, "deedDone", from);
      return noReply;
    },

    /** The move in work is aborted at once, unless it has begun to swap. */
    abort: (state, why: string) => {
      state.inWork?.abort(`aborted on demand: ${why}`);
    },

    decisions: (state): Promise<DecisionRecord[]> => readDecisions(state.control),
  },

  cast: {
    next: (state) => next(state),

    gatesRead: (state, { context: from, ...result }: Piped<From<Gates>, Gates>) => {
      if (result.ok) state.self.reply(from, result.value);
      else state.self.replyError(from, result.error);
    },

    deedDone: (state, { context: from, ...result }: Piped<From<Deed>, Deed>) => {
      if (result.ok) state.self.reply(from, result.value);
      else state.self.replyError(from, result.error);
    },

    recovered: (state, result: Piped<undefined, void>) => {
      state.working = false;
      if (result.ok) {
        next(state);
        return;
      }
      state.undone = true;
      state.self.log.warn({ error: toErrorData(result.error) }, "a recovery has to be tried again");
      state.self.castAfter(dataLimits.retryPauseMs * 4, "next");
    },

    moved: (state, { context, ...result }: Piped<Waiting, MoveReport>) => {
      state.working = false;
      state.inWork = undefined;
      if (result.ok) state.self.reply(context.from, result.value);
      else state.self.replyError(context.from, result.error);
      next(state);
    },

    leftUndone: (state) => {
      state.undone = true;
      next(state);
    },

    /** Its own lease is renewed; decisions whose owners are silent are ended. */
    beat: (state) => {
      const held = state.inWork?.held;
      const beat = held === undefined ? endSilent(state) : renewLease(state.self, state.control, held);
      state.self.pipe(beat, "beaten", held);
    },

    /** A failed beat is followed by the next one: until then the lease is shorter. */
    beaten: (state, { context: held, ...result }: Piped<string | undefined, DecisionState | undefined>) => {
      state.self.castAfter(dataLimits.decisionBeatMs, "beat");
      const ended = result.ok && result.value !== undefined && !isOpen(result.value);
      if (ended && held !== undefined && state.inWork?.held === held) {
        state.inWork.abort(`decision ${held} was ended by another`);
      }
    },
  },
});

function next(state: State): void {
  if (state.working) return;
  if (state.undone) {
    state.undone = false;
    state.working = true;
    state.self.pipe(recover(state), "recovered", undefined);
    return;
  }
  const waiting = state.waiting.shift();
  if (waiting === undefined) return;
  state.working = true;
  state.inWork = new MoveInWork(state, waiting.move);
  state.self.pipe(state.inWork.run(), "moved", waiting);
}

/** Ends what an earlier coordinator left open, finishes what it had ended, lets every owner take over what stands. */
async function recover({ self, control, shards, log }: State): Promise<void> {
  for (const decision of await readDecisions(control)) {
    if (isOpen(decision.state) && mayEnd(decision, self)) await endOverdue(self, control, decision.id);
  }
  const decisions = await readDecisions(control);
  await releaseHolds(shards, decisions);
  for (const { id, from } of decisions.filter(hasLeft)) {
    await shards.letGo(from);
    await noteLetGo(control, id);
  }
  await shards.refreshAll();
  await logEnds(control, log, decisions);
  // Another coordinator's move rests on what stands still.
  if (!decisions.some(({ state }) => isOpen(state))) await shards.resumeCrawlers();
}

/** Between two moves: what others left open longer than their lease. */
async function endSilent({ self, control, working }: State): Promise<undefined> {
  if (working) return;
  const decisions = await readDecisions(control);
  const silent = decisions.filter((decision) => isOpen(decision.state) && mayEnd(decision, self));
  if (silent.length > 0) self.castSelf("leftUndone");
}

/** The last decision of each prefix, if its end did not get into the log before its coordinator died. */
async function logEnds(
  control: ControlStore,
  log: DecisionLog,
  decisions: readonly DecisionRecord[],
): Promise<void> {
  const last = new Map(decisions.map((decision) => [decision.prefix, decision]));
  for (const { prefix, id, state } of last.values()) {
    if (state !== "swapped" && state !== "aborted") continue;
    const entries = await readEntries(control, prefix);
    if (entries.some(({ decision, step }) => decision === id && step === state)) continue;
    await log.append({ prefix, decision: id, step: state, facts: { foundLater: true } });
  }
}

/**
 * A hold ends with its decision: an aborted one holds nothing, and the side that a prefix left last holds nothing of
 * it. Its coordinator may have died before it came to this, whatever the record says.
 */
async function releaseHolds(shards: SiteShards, decisions: readonly DecisionRecord[]): Promise<void> {
  const left = new Map<CohortId, Site>();
  for (const { state, from, cohorts } of decisions) {
    if (state === "swapped") for (const cohort of cohorts) left.set(cohort, from);
  }
  for (const site of shards.sites) {
    const aborted = decisions.filter(({ state, to }) => state === "aborted" && to === site);
    await shards.unhold(
      site,
      aborted.map(({ id }) => id),
    );
    const cohorts = [...left.keys()].filter((cohort) => left.get(cohort) === site);
    const known = decisions.filter(({ state }) => !isOpen(state)).map(({ id }) => id);
    await shards.retried(() => shards.releaseHeld(site, cohorts, known));
  }
}

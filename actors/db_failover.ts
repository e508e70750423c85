/**
 * db_failover: moves the authority of one phone prefix from a site to the other, in seven durable steps: check,
 * announce, block, drain, verify, swap, unblock; and back, by the same steps.
 *
 * State: the move in work and those that wait. What has been decided is in the control store's decision record only.
 * Messages: move, abort, decisions.
 *
 * Always true: whoever ends a decision does it by compare-and-set, so it ends once, swapped or aborted; `swapped` is
 * the one point of no return; before it, any failure aborts and the old side serves again. A decision that a dead
 * coordinator left open is ended by the next one.
 */

import {
  type From,
  genServer,
  NanoError,
  noReply,
  type Piped,
  type Self,
  toErrorData,
} from "../src/index.ts";
import {
  authorityOf,
  type CohortRecord,
  type ControlStore,
  controlKeys,
  type DecisionRecord,
  type DecisionState,
} from "./control_store.ts";
import { type Coverage, coverageOf } from "./coverage.ts";
import { dataLimits } from "./limits.ts";
import { mirrorGate } from "./mirror_staleness.ts";
import type { CohortId, Site } from "./records.ts";
import { type SiteOptions, SiteShards, type SiteVerification } from "./site_shards.ts";

export interface Move {
  readonly prefix: string;
  readonly cohorts: readonly CohortId[];
  readonly from: Site;
  readonly to: Site;
}

export interface MoveReport {
  readonly prefix: string;
  readonly decision: string;
  readonly outcome: "swapped" | "aborted";
  /** Why it was aborted, or "". */
  readonly reason: string;
  /** How long the prefix took no writes, ms: predicted before the block, and measured. */
  readonly predictedReadOnlyMs: number;
  readonly readOnlyMs: number;
  /** Keys that wait in db_perror and are held on the new side. */
  readonly held: number;
  /** Keys compared under the block. */
  readonly verified: number;
  /** What the swap rests on, and how old each part of it was; null before the verification. */
  readonly compared: Coverage | null;
}

interface Waiting {
  readonly move: Move;
  readonly from: From<MoveReport>;
}

interface State {
  readonly self: Self;
  readonly options: SiteOptions;
  readonly control: ControlStore;
  readonly shards: SiteShards;
  readonly waiting: Waiting[];
  working: boolean;
  /** Set by `abort`; looked at between the steps. */
  readonly wanted: { abort: string };
}

export const db_failover = genServer(import.meta.url, "db_failover", {
  init: async (options: SiteOptions, self): Promise<State> => {
    const control = self.resource<ControlStore>("control");
    const shards = new SiteShards(self, options);
    const wanted = { abort: "" };
    const state: State = { self, options, control, shards, waiting: [], working: false, wanted };
    self.castSelf("recover");
    return state;
  },

  call: {
    /** Answered when the move ended, swapped or aborted. Errors: `conflict` when a gate refuses, in words. */
    move: (state, move: Move, from: From<MoveReport>) => {
      state.waiting.push({ move, from });
      next(state);
      return noReply;
    },

    /** The move in work is aborted at its next step, unless it has swapped. */
    abort: (state, why: string) => {
      state.wanted.abort = why;
    },

    decisions: (state): Promise<DecisionRecord[]> => readDecisions(state.control),
  },

  cast: {
    recover: (state) => {
      state.working = true;
      state.self.pipe(recover(state), "recovered", undefined);
    },

    recovered: (state, result: Piped<undefined, void>) => {
      state.working = false;
      if (!result.ok) throw result.error;
      next(state);
    },

    moved: (state, { context, ...result }: Piped<Waiting, MoveReport>) => {
      state.working = false;
      if (result.ok) state.self.reply(context.from, result.value);
      else state.self.replyError(context.from, result.error);
      next(state);
    },
  },
});

export async function readDecisions(control: ControlStore): Promise<DecisionRecord[]> {
  const records = await control.list("decision/");
  return records.map(({ value }) => value as DecisionRecord).sort((a, b) => a.blockTerm - b.blockTerm);
}

function next(state: State): void {
  if (state.working) return;
  const waiting = state.waiting.shift();
  if (waiting === undefined) return;
  state.working = true;
  state.wanted.abort = "";
  state.self.pipe(new MoveInWork(state, waiting.move).run(), "moved", waiting);
}

/** Ends what an earlier coordinator left open, finishes what it had ended, lets every owner take over what stands. */
async function recover({ self, control, shards }: State): Promise<void> {
  for (const { id, state } of await readDecisions(control)) {
    if (isOpen(state)) await endDecision(self, control, id, "aborted");
  }
  await releaseHolds(shards, await readDecisions(control));
  await shards.refreshAll();
  await shards.resumeCrawlers();
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
    await shards.retried(() => shards.releaseHeld(site, cohorts));
  }
}

/** Writes the decision's end once. Returns the state that stands, which another coordinator may have written. */
async function endDecision(
  self: Self,
  control: ControlStore,
  id: string,
  end: "swapped" | "aborted",
  what: Pick<DecisionRecord, "compared"> = {},
): Promise<DecisionState> {
  for (;;) {
    const record = await control.get(controlKeys.decision(id));
    if (record === undefined) throw new NanoError("conflict", `decision ${id} is gone`);
    const decision = record.value as DecisionRecord;
    if (decision.state === "swapped" || decision.state === "aborted") return decision.state;
    if (end === "swapped" && decision.state !== "blocking") return decision.state;
    const ended: DecisionRecord = { ...decision, ...what, state: end, endedAtMs: self.clock.now() };
    if ((await control.compareAndSet(record.key, record.revision, ended)) !== undefined) return end;
  }
}

/** One move, step by step. What it must not forget is in the decision record; the rest dies with it. */
class MoveInWork {
  readonly #self: Self;
  readonly #control: ControlStore;
  readonly #shards: SiteShards;
  readonly #wanted: { readonly abort: string };
  readonly #move: Move;
  #decision: DecisionRecord | undefined;
  #predictedMs = 0;
  #blockedAtMs = 0;
  #verified = 0;
  #parts: SiteVerification["parts"] = [];
  #compared: Coverage | null = null;
  #epochs: readonly number[] = [];
  #held = 0;

  constructor({ self, control, shards, wanted }: State, move: Move) {
    this.#self = self;
    this.#control = control;
    this.#shards = shards;
    this.#wanted = wanted;
    this.#move = move;
  }

  async run(): Promise<MoveReport> {
    await this.#check();
    try {
      await this.#timed("announce", this.#announce());
      await this.#timed("block", this.#block());
      await this.#timed("drain and verify", this.#drainAndVerify());
      await this.#timed("carry held", this.#carryHeld());
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return await this.#abort(reason);
    }
    return await this.#timed("swap and unblock", this.#swap());
  }

  /** How long each step took is in the log. */
  async #timed<T>(step: string, work: Promise<T>): Promise<T> {
    const startedAtMs = this.#self.clock.monotonicMs();
    const result = await work;
    const ms = Math.round(this.#self.clock.monotonicMs() - startedAtMs);
    this.#self.log.info({ prefix: this.#move.prefix, step, ms }, "failover step");
    return result;
  }

  /** Gates, in words: what is missing, and how much. */
  async #check(): Promise<void> {
    const { from, prefix, cohorts } = this.#move;
    const counts = await this.#shards.counts(from, cohorts);
    if (counts.ranges > 0) {
      throw new NanoError("conflict", `${prefix}: ${counts.ranges} ranges are still copied or repaired`);
    }
    if (counts.perror > dataLimits.perrorPerMoveMax) {
      const most = dataLimits.perrorPerMoveMax;
      throw new NanoError(
        "conflict",
        `${prefix}: ${counts.perror} keys are in db_perror, at most ${most} may be`,
      );
    }
    const stale = await mirrorGate(this.#control, from);
    if (stale !== "") throw new NanoError("conflict", `${prefix}: ${stale}`);
    const open = await readDecisions(this.#control);
    const other = open.find(
      ({ state, cohorts: held }) => isOpen(state) && held.some((id) => cohorts.includes(id)),
    );
    if (other !== undefined) throw new NanoError("conflict", `${prefix}: decision ${other.id} is open`);
    await this.#checkAuthority(open);
  }

  /** An abort gives the cohorts to the site that the decision is from: it must be the one that serves them. */
  async #checkAuthority(decisions: readonly DecisionRecord[]): Promise<void> {
    const { from, cohorts } = this.#move;
    for (const id of cohorts) {
      const record = await this.#control.get(controlKeys.cohort(id));
      if (record === undefined) throw new NanoError("conflict", `${id}: no such cohort in control`);
      const { site } = authorityOf(record.value as CohortRecord, decisions);
      if (site !== from) throw new NanoError("conflict", `${id}: ${site} serves it, not ${from}`);
    }
  }

  /** Every owner hears of the decision; the prefix is compared as a whole while it is still written. */
  async #announce(): Promise<void> {
    const { from, to, prefix, cohorts } = this.#move;
    const blockTerm = await this.#control.nextTerm();
    const swapTerm = await this.#control.nextTerm();
    const decision: DecisionRecord = {
      id: `${prefix}-${String(blockTerm).padStart(8, "0")}`,
      prefix,
      cohorts,
      from,
      to,
      blockTerm,
      swapTerm,
      state: "announced",
      owner: this.#self.name,
      leaseUntilMs: this.#self.clock.now() + dataLimits.decisionLeaseMs,
      endedAtMs: 0,
    };
    const key = controlKeys.decision(decision.id);
    if ((await this.#control.compareAndSet(key, 0, decision)) === undefined) {
      throw new NanoError("conflict", `decision ${decision.id} exists`);
    }
    this.#decision = decision;
    await this.#shards.pauseCrawlers();
    const startedAtMs = this.#self.clock.monotonicMs();
    await this.#shards.refresh(from);
    const barrierMs = this.#self.clock.monotonicMs() - startedAtMs;
    await this.#compare();
    const { marks, perror } = await this.#shards.counts(from, cohorts);
    // Two barriers and one round to the peer, and what is dirty at the rate at which batches are sent.
    this.#predictedMs = Math.ceil(barrierMs * 3 + ((marks - perror) * 1_000) / dataLimits.drainRatePerSecond);
  }

  /** Every row: only reading it finds what a rogue writer left. Then what changed meanwhile, until that is little. */
  async #compare(): Promise<void> {
    const { from, prefix, cohorts } = this.#move;
    for (let round = 0; round <= dataLimits.roundsBeforeBlockMax; round++) {
      const mismatches = await this.#shards.validate(from, { cohorts, changedOnly: round > 0 });
      if (mismatches > 0)
        throw new NanoError("conflict", `${prefix}: ${mismatches} keys differ without a mark`);
      if ((await this.#shards.changed(from, cohorts)) <= dataLimits.changedBeforeBlockMax) return;
    }
  }

  async #block(): Promise<void> {
    this.#mayGoOn();
    const decision = this.#open();
    const record = await this.#control.get(controlKeys.decision(decision.id));
    if (record === undefined || (record.value as DecisionRecord).state !== "announced") {
      throw new NanoError("conflict", `decision ${decision.id} was ended by another`);
    }
    const blocking: DecisionRecord = { ...decision, state: "blocking" };
    if ((await this.#control.compareAndSet(record.key, record.revision, blocking)) === undefined) {
      throw new NanoError("conflict", `decision ${decision.id} was ended by another`);
    }
    this.#decision = blocking;
    this.#blockedAtMs = this.#self.clock.monotonicMs();
    await this.#shards.refresh(this.#move.from);
  }

  /** Until every mark of the cohorts is confirmed or in db_perror, and what changed since announce is equal. */
  async #drainAndVerify(): Promise<void> {
    const { from, prefix, cohorts } = this.#move;
    for (let round = 1; round <= dataLimits.verifyRoundsMax; round++) {
      await this.#drain();
      const { verified, differing, parts } = await this.#shards.verify(from, cohorts);
      this.#verified = Math.max(this.#verified, verified);
      if (differing > 0) continue;
      this.#parts = parts;
      this.#compared = coverageOf(parts.flat(), this.#self.clock.now());
      return;
    }
    throw new NanoError(
      "conflict",
      `${prefix}: keys still differ after ${dataLimits.verifyRoundsMax} rounds`,
    );
  }

  async #drain(): Promise<void> {
    const { from, prefix, cohorts } = this.#move;
    const deadlineMs = this.#blockedAtMs + dataLimits.readOnlyMsMax;
    for (;;) {
      this.#mayGoOn();
      const { marks, perror, ranges } = await this.#shards.counts(from, cohorts);
      if (perror > dataLimits.perrorPerMoveMax)
        throw new NanoError("conflict", `${prefix}: ${perror} keys in db_perror`);
      if (marks === perror && ranges === 0) return;
      if (this.#self.clock.monotonicMs() > deadlineMs) {
        throw new NanoError(
          "timeout",
          `${prefix}: ${marks - perror} keys not drained in ${dataLimits.readOnlyMsMax} ms`,
        );
      }
      await this.#shards.pause(dataLimits.drainPollMs);
    }
  }

  /** The peer must refuse what waits in db_perror here: durably, before the swap. */
  async #carryHeld(): Promise<void> {
    const { from, to, cohorts } = this.#move;
    this.#held = await this.#shards.carryHeld(from, to, cohorts, this.#open().id);
    this.#epochs = await this.#shards.adopt(to, cohorts);
  }

  async #swap(): Promise<MoveReport> {
    const { from, to, cohorts } = this.#move;
    const what = this.#compared === null ? {} : { compared: this.#compared };
    const { id } = this.#open();
    // Whether it was written is not known after a failure: asking again tells.
    const ended = await this.#shards.retried(() =>
      endDecision(this.#self, this.#control, id, "swapped", what),
    );
    if (ended !== "swapped") return this.#abort(`decision ended as ${ended} by another`);
    // From here on every failure is retried, never undone.
    await this.#shards.letGo(from);
    await this.#shards.letGo(to);
    const report = this.#report("swapped", "");
    await this.#shards.retried(() => this.#shards.releaseHeld(from, cohorts));
    await this.#shards.retried(() => this.#shards.resumeCrawlers());
    await this.#recordAdopted();
    return report;
  }

  /** Without it the new side's coverage is forgotten, until its next comparison: no reason to fail a move. */
  async #recordAdopted(): Promise<void> {
    try {
      await this.#shards.retried(() => this.#shards.recordAdopted(this.#move.to, this.#epochs, this.#parts));
    } catch (error) {
      this.#self.log.warn(
        { prefix: this.#move.prefix, ...toErrorData(error) },
        "coverage is not handed over",
      );
    }
  }

  async #abort(reason: string): Promise<MoveReport> {
    const { from, to } = this.#move;
    const decision = this.#decision;
    if (decision !== undefined) {
      await this.#shards.retried(() => endDecision(this.#self, this.#control, decision.id, "aborted"));
      await this.#shards.retried(() => this.#shards.unhold(to, [decision.id]));
      await this.#shards.retried(() => this.#shards.refresh(from));
    }
    const report = this.#report("aborted", reason);
    await this.#shards.retried(() => this.#shards.resumeCrawlers());
    return report;
  }

  #report(outcome: "swapped" | "aborted", reason: string): MoveReport {
    const readOnlyMs = this.#blockedAtMs === 0 ? 0 : this.#self.clock.monotonicMs() - this.#blockedAtMs;
    return {
      prefix: this.#move.prefix,
      decision: this.#decision?.id ?? "",
      outcome,
      reason,
      predictedReadOnlyMs: this.#predictedMs,
      readOnlyMs,
      held: this.#held,
      verified: this.#verified,
      compared: this.#compared,
    };
  }

  #open(): DecisionRecord {
    if (this.#decision === undefined) throw new NanoError("conflict", "no decision is open");
    return this.#decision;
  }

  #mayGoOn(): void {
    if (this.#wanted.abort !== "")
      throw new NanoError("conflict", `aborted on demand: ${this.#wanted.abort}`);
  }
}

function isOpen(state: DecisionState): boolean {
  return state === "announced" || state === "blocking";
}

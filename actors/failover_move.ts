/**
 * One move of a prefix, or its rehearsal, step by step: announce, block, drain and verify, carry held keys, swap. What
 * it must not forget is in the decision record and in the decision log; the rest dies with it.
 *
 * Always true: until the swap any failure, wish or deadline ends the step under way at once and aborts; whoever ended
 * the decision, what follows is what stands in control; a step that was left behind changes nothing any more.
 */

import { NanoError, type Self, toErrorData } from "../src/index.ts";
import {
  authorityOf,
  type ControlStore,
  controlKeys,
  type DecisionRecord,
  type DecisionState,
} from "./control_store.ts";
import { type Coverage, coverageOf } from "./coverage.ts";
import type { DecisionFacts, DecisionLog, DecisionStep } from "./decision_log.ts";
import {
  blockDecision,
  endDecision,
  isOpen,
  leaseEnd,
  noteLetGo,
  readCohort,
  readDecisions,
} from "./decisions.ts";
import {
  type GatedMove,
  type GateKeeper,
  inWords,
  readGates,
  readOnlyBoundMs,
  refuseRanges,
  refuseUnready,
} from "./failover_gates.ts";
import { dataLimits } from "./limits.ts";
import { predictReadOnly } from "./read_only_prediction.ts";
import type { RowKey } from "./records.ts";
import { noPace, notePace, paceOf } from "./send_pace.ts";
import type { SiteShards, SiteVerification } from "./site_shards.ts";
import { Surrender } from "./surrender.ts";

export interface Move extends GatedMove {
  /** Blocks, drains, verifies, and gives the prefix back: says what a real move would take. */
  readonly rehearsal?: boolean;
}

export interface MoveReport {
  readonly prefix: string;
  readonly decision: string;
  readonly outcome: "swapped" | "aborted" | "rehearsed";
  /** Why it was aborted, or "". */
  readonly reason: string;
  /** How long the prefix took no writes, ms: predicted before the block, and measured. */
  readonly predictedReadOnlyMs: number;
  readonly readOnlyMs: number;
  /** Of a rehearsal: what a real move would have taken, ms, the new side's part as it was measured before the block. */
  readonly wouldTakeMs: number;
  /** Keys that were dirty when the prediction was made. */
  readonly dirty: number;
  /** Keys that wait in db_perror and are held on the new side. */
  readonly held: number;
  /** Keys compared under the block. */
  readonly verified: number;
  /** What the swap rests on, and how old each part of it was; null before the verification. */
  readonly compared: Coverage | null;
  /** How long each step took, ms. */
  readonly steps: Readonly<Record<string, number>>;
}

export interface MoveContext extends GateKeeper {
  readonly log: DecisionLog;
  readonly pace: VerificationPace;
}

/** How long comparisons under a block took, over the moves of this coordinator's life. */
export class VerificationPace {
  #sums = noPace;

  verified(keys: number, ms: number): void {
    this.#sums = notePace(this.#sums, keys, ms);
  }

  /** Of so many keys; before the first one what is assumed of a row. */
  verifyMs(keys: number): number {
    const { roundTripMs, perRowMs } = paceOf(this.#sums) ?? {
      roundTripMs: 0,
      perRowMs: dataLimits.unmeasuredRowMs,
    };
    return roundTripMs + perRowMs * keys;
  }
}

export class MoveInWork {
  readonly #context: MoveContext;
  readonly #self: Self;
  readonly #control: ControlStore;
  readonly #shards: SiteShards;
  readonly #move: Move;
  readonly #boundMs: number;
  readonly #steps: Record<string, number> = {};
  /** Rejects when somebody wishes an abort, and when the read-only time is over. */
  readonly #given = new Surrender();
  #decision: DecisionRecord | undefined;
  #over = false;
  /** Crawlers are paused for it. */
  #pausing = false;
  #parts: SiteVerification["parts"] = [];
  #compared: Coverage | null = null;
  #epochs: readonly number[] = [];
  #predictedMs = 0;
  #dirty = 0;
  #barrierMs = { from: 0, to: 0 };
  #controlMs = 0;
  #blockedAtMs = 0;
  #verified = 0;
  #held: readonly RowKey[] = [];
  /** Decisions that stood before this one. */
  #earlier: readonly string[] = [];

  constructor(context: MoveContext, move: Move) {
    const { self, control, shards } = context;
    this.#context = context;
    this.#self = self;
    this.#control = control;
    this.#shards = shards;
    this.#move = move;
    this.#boundMs = readOnlyBoundMs(move);
  }

  /** The decision that it holds and has not begun to end; undefined without one. */
  get held(): string | undefined {
    return this.#over ? undefined : this.#decision?.id;
  }

  /** Before the swap the old side serves again at once; after it, this changes nothing. */
  abort(why: string): void {
    this.#given.up(new NanoError("conflict", why));
  }

  /** Errors: `conflict` when a gate refuses; nothing has changed then. */
  async run(): Promise<MoveReport> {
    const { prefix, rehearsal } = this.#move;
    refuseUnready(await readGates(this.#context, this.#move));
    try {
      await this.#step("announce", () => this.#announce());
      await this.#step("block", () => this.#block());
      await this.#step("drain and verify", () => this.#drainAndVerify());
      await this.#step("carry held", () => this.#carryHeld());
      // Nobody passes the point of no return whose way to it is not on record.
      await this.#step("log", () => this.#context.log.settled());
    } catch (error) {
      return await this.#abort(toErrorData(error).message);
    }
    if (rehearsal === true) return await this.#abort("");
    this.#over = true;
    const startedAtMs = this.#self.clock.monotonicMs();
    const report = await this.#swap();
    this.#noteStep("swap and unblock", startedAtMs);
    this.#self.log.info({ prefix, outcome: report.outcome, readOnlyMs: report.readOnlyMs }, "failover ended");
    return { ...report, steps: this.#steps };
  }

  /** How long each step took is in the log and in the report. A step that is given up goes on in vain. */
  async #step<T>(step: string, work: () => Promise<T>): Promise<T> {
    const startedAtMs = this.#self.clock.monotonicMs();
    const result = await Promise.race([work(), this.#given.wanted]);
    this.#noteStep(step, startedAtMs);
    return result;
  }

  #noteStep(step: string, startedAtMs: number): void {
    const ms = Math.round(this.#self.clock.monotonicMs() - startedAtMs);
    this.#steps[step] = ms;
    this.#self.log.info({ prefix: this.#move.prefix, step, ms }, "failover step");
  }

  /** Every owner hears of the decision; the prefix is compared as a whole while it is still written. */
  async #announce(): Promise<void> {
    const { from, to, prefix, cohorts, rehearsal = false } = this.#move;
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
      rehearsal,
      owner: this.#self.name,
      leaseUntilMs: leaseEnd(this.#self),
      endedAtMs: 0,
    };
    const startedAtMs = this.#self.clock.monotonicMs();
    const key = controlKeys.decision(decision.id);
    // Held from here on: an answer that is lost leaves a decision that has to be ended.
    this.#decision = decision;
    this.#mayGoOn();
    if ((await this.#control.compareAndSet(key, 0, decision)) === undefined) {
      throw new NanoError("conflict", `decision ${decision.id} exists`);
    }
    // Given up while it was on its way: nobody else knows of it.
    if (this.#given.reason !== undefined) await this.#end(decision.id);
    this.#mayGoOn();
    const wroteMs = this.#self.clock.monotonicMs() - startedAtMs;
    await this.#beAlone(decision);
    const notedFromMs = this.#self.clock.monotonicMs();
    await this.#note("announced", { from, to, blockTerm, swapTerm, rehearsal });
    // The decision, its entry and the log's head: three writes.
    this.#controlMs = (wroteMs + this.#self.clock.monotonicMs() - notedFromMs) / 3;
    this.#mayGoOn();
    this.#pausing = true;
    await this.#shards.pauseCrawlers();
    await this.#measureBarriers();
    await this.#compare();
    await this.#predict();
  }

  /** Every row: only reading it finds what a rogue writer left. Then what changed meanwhile, until that is little. */
  async #compare(): Promise<void> {
    const { from, prefix, cohorts } = this.#move;
    for (let round = 0; round <= dataLimits.roundsBeforeBlockMax; round++) {
      const mismatches = await this.#shards.validate(from, { cohorts, changedOnly: round > 0 });
      this.#mayGoOn();
      if (mismatches > 0)
        throw new NanoError("conflict", `${prefix}: ${mismatches} keys differ without a mark`);
      if ((await this.#shards.changed(from, cohorts)) <= dataLimits.changedBeforeBlockMax) return;
    }
  }

  /**
   * Two that announce at once see each other here, or one of them does, and withdraws: at most one goes on. Since no
   * other is open, what is the authority now stays so until this one ends.
   */
  async #beAlone({ id, cohorts }: DecisionRecord): Promise<void> {
    const { prefix, from } = this.#move;
    const decisions = await readDecisions(this.#control);
    this.#earlier = decisions.filter((each) => each.id !== id).map((each) => each.id);
    const overlapping = decisions.filter((each) => each.cohorts.some((cohort) => cohorts.includes(cohort)));
    const other = overlapping.find((each) => each.id !== id && isOpen(each.state));
    if (other !== undefined) {
      throw new NanoError(
        "conflict",
        `${prefix}: decision ${other.id} of ${other.owner} was made at the same time`,
      );
    }
    for (const cohort of cohorts) {
      const record = await readCohort(this.#control, cohort);
      if (record === undefined) throw new NanoError("conflict", `${cohort}: no such cohort in control`);
      const { site } = authorityOf(record, decisions);
      if (site !== from) throw new NanoError("conflict", `${cohort}: ${site} serves it now, not ${from}`);
    }
  }

  async #measureBarriers(): Promise<void> {
    const { from, to } = this.#move;
    const beganMs = this.#self.clock.monotonicMs();
    await this.#shards.refresh(from);
    const betweenMs = this.#self.clock.monotonicMs();
    await this.#shards.refresh(to);
    const endedMs = this.#self.clock.monotonicMs();
    this.#barrierMs = { from: betweenMs - beganMs, to: endedMs - betweenMs };
  }

  /** From what was just measured. Errors: `conflict` when it would take longer than this move may. */
  async #predict(): Promise<void> {
    const { from, prefix, cohorts } = this.#move;
    const askedMs = this.#self.clock.monotonicMs();
    await this.#shards.counts(from, cohorts);
    const messageMs = this.#self.clock.monotonicMs() - askedMs;
    const changed = await this.#shards.changed(from, cohorts);
    if (changed === Number.POSITIVE_INFINITY) {
      throw new NanoError("conflict", `${prefix}: what changed since the comparison is not known`);
    }
    const verifyMs = this.#context.pace.verifyMs(changed);
    const loads = await this.#shards.loads(from, cohorts);
    this.#dirty = loads.reduce((sum, { dirty }) => sum + dirty, 0);
    const { sending } = this.#context.options;
    const fixed = { barrierMs: this.#barrierMs, messageMs, controlMs: this.#controlMs, sending };
    const { readOnlyMs } = predictReadOnly({ ...fixed, loads, verifyMs });
    this.#predictedMs = readOnlyMs;
    const forEver = readOnlyMs === Number.POSITIVE_INFINITY;
    const facts = { changed, dirty: this.#dirty, predictedReadOnlyMs: forEver ? "no end" : readOnlyMs };
    await this.#note("compared", facts);
    if (readOnlyMs <= this.#boundMs) return;
    const time = forEver ? "until the remote answers" : `for about ${inWords(readOnlyMs)}`;
    const most = inWords(this.#boundMs);
    const text = `${prefix}: ${this.#dirty} dirty keys, it would be read-only ${time}, at most ${most}`;
    throw new NanoError("conflict", text);
  }

  async #block(): Promise<void> {
    this.#mayGoOn();
    // From before the write: its answer may be late, or never come.
    this.#blockedAtMs = this.#self.clock.monotonicMs();
    const deadline = this.#self.sleep(this.#boundMs).then(() => {
      const text = `${this.#move.prefix}: not ready to swap after ${inWords(this.#boundMs)} of being read-only`;
      this.#given.up(new NanoError("timeout", text));
    });
    deadline.catch(() => undefined);
    this.#decision = await blockDecision(this.#self, this.#control, this.#open().id);
    this.#mayGoOn();
    this.#noteLater("blocking");
    await this.#shards.refresh(this.#move.from);
    this.#noteLater("blocked");
  }

  /** Until every mark of the cohorts is confirmed or in db_perror, and what changed since announce is equal. */
  async #drainAndVerify(): Promise<void> {
    const { from, prefix, cohorts } = this.#move;
    for (let round = 1; round <= dataLimits.verifyRoundsMax; round++) {
      await this.#drain();
      const startedAtMs = this.#self.clock.monotonicMs();
      const { verified, differing, parts } = await this.#shards.verify(from, cohorts);
      this.#context.pace.verified(verified, this.#self.clock.monotonicMs() - startedAtMs);
      this.#mayGoOn();
      this.#verified = Math.max(this.#verified, verified);
      this.#noteLater("drained_and_verified", { round, verified, differing });
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
    for (;;) {
      const { marks, perror, ranges: all } = await this.#shards.counts(from, cohorts);
      const ranges = all === 0 ? [] : await this.#shards.ranges(from, cohorts);
      this.#mayGoOn();
      if (perror > dataLimits.perrorPerMoveMax)
        throw new NanoError("conflict", `${prefix}: ${perror} keys in db_perror`);
      // The gates saw none, and the crawlers stand still: it would never end.
      refuseRanges(this.#move, ranges);
      if (marks === perror) return;
      await this.#shards.pause(dataLimits.drainPollMs);
    }
  }

  /** The peer must refuse what waits in db_perror here: durably, before the swap. A rehearsal leaves the peer alone. */
  async #carryHeld(): Promise<void> {
    const { from, to, cohorts, rehearsal } = this.#move;
    if (rehearsal === true) {
      this.#held = await this.#shards.quarantined(from, cohorts);
      return;
    }
    const mayGoOn = (): void => this.#mayGoOn();
    const { id } = this.#open();
    this.#held = await this.#shards.carryHeld(from, to, cohorts, { decision: id, mayGoOn });
    mayGoOn();
    this.#epochs = await this.#shards.adopt(to, cohorts);
    if (this.#held.length > 0) this.#noteLater("carried", { held: this.#held.length }, this.#held);
  }

  async #swap(): Promise<MoveReport> {
    const { from, to, cohorts } = this.#move;
    let ended: DecisionState;
    try {
      const what = this.#compared === null ? {} : { compared: this.#compared };
      ended = await endDecision(this.#self, this.#control, this.#open().id, "swapped", what);
    } catch (error) {
      // It may have been written: abort finds out.
      return this.#abort(toErrorData(error).message);
    }
    if (ended !== "swapped") return this.#abort(`decision ended as ${ended} by another`);
    // From here on every failure is retried, by the next recovery at the latest, and never undone.
    const { id } = this.#open();
    await this.#tried(async () => {
      await this.#shards.letGo(from);
      await noteLetGo(this.#control, id);
    });
    await this.#tried(() => this.#shards.letGo(to));
    const report = this.#report("swapped", "");
    await this.#finish([
      () => this.#note("swapped", { readOnlyMs: Math.round(report.readOnlyMs) }),
      () => this.#note("unblocked", { site: to }),
      () => this.#shards.releaseHeld(from, cohorts, this.#earlier),
      () => this.#shards.recordAdopted(to, this.#epochs, this.#parts),
    ]);
    return report;
  }

  /** The old side serves first of all. Somebody else's swap stands, too: then this move has swapped. */
  async #abort(reason: string): Promise<MoveReport> {
    const { from, to, rehearsal } = this.#move;
    this.#over = true;
    this.#given.up(new NanoError("conflict", "the move has ended"));
    const { id } = this.#decision ?? { id: "" };
    const stands = id === "" ? "aborted" : await this.#end(id);
    if (stands === "swapped") return this.#swap();
    const startedAtMs = this.#self.clock.monotonicMs();
    await this.#tried(() => this.#shards.retried(() => this.#shards.refresh(from)));
    this.#noteStep("abort and unblock", startedAtMs);
    const rehearsed = rehearsal === true && reason === "";
    const report = this.#report(rehearsed ? "rehearsed" : "aborted", reason);
    await this.#finish([
      () => (id === "" ? Promise.resolve() : this.#note("aborted", { reason, rehearsed })),
      () => (id === "" ? Promise.resolve() : this.#shards.unhold(to, [id])),
    ]);
    return { ...report, steps: this.#steps };
  }

  /** Until control says how the decision ended: nobody else can tell, and the prefix waits for it. */
  async #end(id: string): Promise<DecisionState> {
    for (;;) {
      try {
        return await endDecision(this.#self, this.#control, id, "aborted");
      } catch (error) {
        // A decision that never came to be has nothing to end.
        if ((await this.#isAbsent(id)) === true) return "aborted";
        this.#self.log.warn({ decision: id, error: toErrorData(error) }, "control does not end a decision");
        await this.#shards.pause(dataLimits.retryPauseMs);
      }
    }
  }

  async #isAbsent(id: string): Promise<boolean | undefined> {
    try {
      return (await this.#control.get(controlKeys.decision(id))) === undefined;
    } catch {
      return undefined;
    }
  }

  /** What is left to do when the prefix is served again. What fails is done by the next recovery. */
  async #finish(deeds: readonly (() => Promise<unknown>)[]): Promise<void> {
    const last = this.#pausing ? [() => this.#shards.resumeCrawlers()] : [];
    for (const deed of [...deeds, ...last]) await this.#tried(() => this.#shards.retried(deed));
  }

  async #tried(deed: () => Promise<unknown>): Promise<void> {
    try {
      await deed();
    } catch (error) {
      const { code, message } = toErrorData(error);
      this.#self.log.error({ prefix: this.#move.prefix, code, message }, "a move left something undone");
      this.#self.castSelf("leftUndone");
    }
  }

  #report(outcome: MoveReport["outcome"], reason: string): MoveReport {
    const readOnlyMs = this.#blockedAtMs === 0 ? 0 : this.#self.clock.monotonicMs() - this.#blockedAtMs;
    return {
      prefix: this.#move.prefix,
      decision: this.#decision?.id ?? "",
      outcome,
      reason,
      predictedReadOnlyMs: this.#predictedMs,
      readOnlyMs,
      wouldTakeMs: outcome === "rehearsed" ? readOnlyMs + this.#barrierMs.to : 0,
      dirty: this.#dirty,
      held: this.#held.length,
      verified: this.#verified,
      compared: this.#compared,
      steps: this.#steps,
    };
  }

  #note(step: DecisionStep, facts: DecisionFacts = {}, keys: readonly RowKey[] = []): Promise<void> {
    const { prefix, id: decision } = this.#open();
    return this.#context.log.append({ prefix, decision, step, facts, keys });
  }

  /** While the prefix is read-only nobody waits for the log; the swap does. The head follows with a later entry. */
  #noteLater(step: DecisionStep, facts: DecisionFacts = {}, keys: readonly RowKey[] = []): void {
    const { prefix, id: decision } = this.#open();
    const draft = { prefix, decision, step, facts, keys, head: "later" } as const;
    this.#context.log.append(draft).catch(() => undefined);
  }

  #open(): DecisionRecord {
    if (this.#decision === undefined) throw new NanoError("conflict", "no decision is open");
    return this.#decision;
  }

  #mayGoOn(): void {
    if (this.#given.reason !== undefined) throw this.#given.reason;
  }
}

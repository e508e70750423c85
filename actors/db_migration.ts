/**
 * db_migration: runs the whole of it: off -> live -> copy -> validate -> ready -> failing_over -> swapped, and, when
 * asked, -> finished.
 *
 * State: none of its own; the phase and the moves done are in the control store, so a restart goes on from there.
 * Messages: run (with the plan of moves), finish, progress, coverage.
 *
 * Always true: a phase is entered only when what it rests on is acknowledged by every shard (everything is suspect
 * before a cohort is live, live everywhere before the copy starts); a move is repeated until it has swapped.
 */

import { type From, genServer, NanoError, noReply, type Piped, type Ref, type Self } from "../src/index.ts";
import { type CohortRecord, type ControlStore, controlKeys, type DecisionRecord } from "./control_store.ts";
import { oldestComparison, type SitesCoverage } from "./coverage.ts";
import { db_failover, type Move, type MoveReport } from "./db_failover.ts";
import { readAuthorities, readCohorts, readDecisions } from "./decisions.ts";
import { dataLimits } from "./limits.ts";
import type { CohortId, Site } from "./records.ts";
import { type SiteOptions, SiteShards } from "./site_shards.ts";

export type Phase = "off" | "live" | "copy" | "validate" | "ready" | "failing_over" | "swapped" | "finished";

/** `migration`: where the whole stands. */
export interface MigrationRecord {
  readonly phase: Phase;
}

/** Where a prefix is to go, in order: `["B"]`, or `["B", "A", "B"]` for one that is reversed and moved again. */
export interface PrefixPlan {
  readonly prefix: string;
  readonly cohorts: readonly CohortId[];
  readonly path: readonly Site[];
}

export interface MigrationPlan {
  readonly from: Site;
  readonly to: Site;
  readonly prefixes: readonly PrefixPlan[];
  /** No prefix moves before this, wall-clock ms since 1970; 0: at once. */
  readonly movesFromMs?: number;
  /** The moves are spread over the time until then, wall-clock ms; when it is late they follow each other at once. */
  readonly movesUntilMs?: number;
}

export interface MigrationProgress {
  readonly phase: Phase;
  readonly moves: readonly MoveReport[];
  /** Why it does not go on, or "". */
  readonly stopped: string;
}

interface State {
  readonly self: Self;
  readonly options: SiteOptions & { readonly failover: string };
  readonly control: ControlStore;
  readonly shards: SiteShards;
  readonly failover: Ref<typeof db_failover>;
  plan: MigrationPlan | undefined;
  phase: Phase;
  readonly moves: MoveReport[];
  stopped: string;
}

const key = "migration";

export const db_migration = genServer(import.meta.url, "db_migration", {
  deadlines: "own",
  init: async (options: SiteOptions & { failover: string }, self): Promise<State> => {
    const control = self.resource<ControlStore>("control");
    const phase = await readPhase(control);
    return {
      self,
      options,
      control,
      shards: new SiteShards(self, options),
      failover: self.ref(db_failover, options.failover),
      plan: undefined,
      phase,
      moves: [],
      stopped: "",
    };
  },

  call: {
    /** Starts, or goes on from the recorded phase. Repeating it changes nothing. */
    run: (state, plan: MigrationPlan) => {
      if (state.plan !== undefined) return;
      state.plan = plan;
      state.self.castSelf("step");
    },

    /**
     * After everything has swapped: stops the reverse replication and collects the new side's tombstones. From then on
     * writes make no marks, the old side is no longer kept equal, and no move back is possible. Answered when done;
     * repeating it changes nothing. Errors: `conflict` in words when a gate refuses.
     */
    finish: (state, ends: Pick<MigrationPlan, "from" | "to">, from: From<void>) => {
      state.self.pipe(finish(state, ends), "ended", from);
      return noReply;
    },

    /** What was compared of every cohort, when, and what may have changed since. */
    coverage: (state, _: undefined, from: From<SitesCoverage>) => {
      state.self.pipe(state.shards.coverage(state.control), "covered", from);
      return noReply;
    },

    progress: (state): MigrationProgress => ({
      phase: state.phase,
      moves: [...state.moves],
      stopped: state.stopped,
    }),
  },

  cast: {
    ended: async (state, { context: from, ...result }: Piped<From<void>, void>) => {
      if (!result.ok) {
        state.self.replyError(from, result.error);
        return;
      }
      state.phase = "finished";
      state.self.reply(from, undefined);
    },

    covered: (state, { context: from, ...result }: Piped<From<SitesCoverage>, SitesCoverage>) => {
      if (result.ok) state.self.reply(from, result.value);
      else state.self.replyError(from, result.error);
    },

    step: (state) => {
      const { plan } = state;
      if (plan === undefined || state.phase === "swapped" || state.phase === "finished") return;
      state.self.pipe(step(state, plan), "stepped", undefined);
    },

    stepped: async (state, result: Piped<undefined, Phase>) => {
      if (!result.ok) {
        state.stopped = result.error.message;
        state.self.log.warn(
          { phase: state.phase, code: result.error.code },
          `migration waits: ${state.stopped}`,
        );
        state.self.castAfter(dataLimits.retryPauseMs * 4, "step");
        return;
      }
      state.stopped = "";
      if (result.value !== state.phase) {
        await writePhase(state.control, result.value);
        state.self.log.info({ from: state.phase, to: result.value }, "migration phase");
        state.phase = result.value;
      }
      state.self.castSelf("step");
    },
  },
});

export async function readPhase(control: ControlStore): Promise<Phase> {
  const record = await control.get(key);
  return record === undefined ? "off" : (record.value as MigrationRecord).phase;
}

async function writePhase(control: ControlStore, phase: Phase): Promise<void> {
  const record = await control.get(key);
  const written = await control.compareAndSet(key, record?.revision ?? 0, {
    phase,
  } satisfies MigrationRecord);
  if (written === undefined) throw new NanoError("conflict", "another migration writes this control store");
}

/** Does the phase's work; returns the phase that follows. Repeatable. */
async function step(state: State, plan: MigrationPlan): Promise<Phase> {
  switch (state.phase) {
    case "off":
      // Suspect first, live second: no key may differ between the two without a range over it.
      await state.shards.openCopy(plan.from);
      return "live";
    case "live":
      await setPhase(state.control, "live");
      await state.shards.refreshAll();
      await state.shards.resumeCrawlers();
      return "copy";
    case "copy": {
      const { ranges } = await state.shards.counts(plan.from);
      if (ranges === 0) return "validate";
      await state.shards.pause(dataLimits.retryPauseMs * 2);
      return "copy";
    }
    case "validate": {
      // After the first time only what changed since: each of its mismatches is in db_perror by now.
      const mismatches = await state.shards.validate(plan.from, { changedOnly: true });
      if (mismatches > 0)
        throw new NanoError("conflict", `${mismatches} keys differ and nothing stands for it`);
      return "ready";
    }
    case "ready":
      if (state.self.clock.now() >= (plan.movesFromMs ?? 0)) return "failing_over";
      await state.shards.pause(dataLimits.retryPauseMs);
      return "ready";
    case "failing_over":
      return moveNext(state, plan);
    case "swapped":
    case "finished":
      return state.phase;
  }
}

async function finish(state: State, { from, to }: Pick<MigrationPlan, "from" | "to">): Promise<void> {
  const { control, shards, phase } = state;
  if (phase === "finished") return;
  if (phase !== "swapped") throw new NanoError("conflict", `the phase is ${phase}; finish follows swapped`);
  await checkFinish(state, from, to);
  await setPhase(control, "off");
  await shards.refreshAll();
  // What was marked before is still sent: both sides part as equals.
  const deadlineMs = state.self.clock.monotonicMs() + dataLimits.finishTimeoutMs;
  for (;;) {
    const { marks } = await shards.counts(to);
    if (marks === 0) break;
    if (state.self.clock.monotonicMs() > deadlineMs) {
      throw new NanoError("timeout", `${marks} keys are still dirty; finish again later`);
    }
    await shards.pause(dataLimits.retryPauseMs);
  }
  const collected = await shards.collectTombstones(to);
  await setPhase(control, "finished");
  await shards.refreshAll();
  await writePhase(control, "finished");
  state.self.log.info({ collected }, "migration finished");
}

/** Everything is served by the new side, and nobody has to be asked about any key. */
async function checkFinish({ control, shards }: State, from: Site, to: Site): Promise<void> {
  const authorities = [...(await readAuthorities(control))];
  const left = authorities.filter(([, { site }]) => site !== to).map(([cohort]) => cohort);
  if (left.length > 0) {
    const shown = left.slice(0, 5).join(", ");
    throw new NanoError(
      "conflict",
      `${left.length} cohorts are not served by ${to} yet; move them: ${shown}`,
    );
  }
  const counts = await shards.counts(to);
  if (counts.ranges > 0)
    throw new NanoError("conflict", `${counts.ranges} ranges are still repaired on ${to}`);
  const quarantined = (await shards.counts(from)).perror + counts.perror;
  const held = await shards.held(to);
  if (quarantined + held > 0) {
    const text = `${quarantined} keys are in db_perror and ${held} are held on ${to}; resolve them first`;
    throw new NanoError("conflict", text);
  }
}

/** Of every cohort. Errors: `conflict` when somebody else changes one meanwhile. */
async function setPhase(control: ControlStore, phase: CohortRecord["phase"]): Promise<void> {
  for (const { key: cohortKey, value, revision } of await control.list("cohort/")) {
    const cohort = value as CohortRecord;
    if (cohort.phase === phase) continue;
    await control.compareAndSet(cohortKey, revision, { ...cohort, phase } satisfies CohortRecord);
  }
  const left = (await readCohorts(control)).filter((cohort) => cohort.phase !== phase);
  if (left.length > 0)
    throw new NanoError("conflict", `${left.length} cohorts changed while they went ${phase}`);
}

/** The next move, then a pause as long as the plan leaves time for. */
async function moveNext(state: State, plan: MigrationPlan): Promise<Phase> {
  const [next, ...later] = movesLeft(plan, await readDecisions(state.control));
  if (next === undefined) return "swapped";
  await compareIfOld(state, plan);
  const startedAtMs = state.self.clock.now();
  const report = await state.failover.call.move(next, { timeoutMs: dataLimits.moveTimeoutMs });
  state.moves.push(report);
  if (report.outcome === "aborted") throw new NanoError("conflict", `${next.prefix}: ${report.reason}`);
  const now = state.self.clock.now();
  const shareMs = ((plan.movesUntilMs ?? 0) - startedAtMs) / (later.length + 1);
  if (later.length > 0) await state.shards.pause(Math.max(0, shareMs - (now - startedAtMs)));
  return "failing_over";
}

/** A migration that was begun long ago does not wait for an operator: each side compares what it serves. */
async function compareIfOld(state: State, { from, to, prefixes }: MigrationPlan): Promise<void> {
  const { control, options, shards, self } = state;
  const cohorts = prefixes.flatMap((prefix) => prefix.cohorts);
  const oldest = await oldestComparison(control, options.shards, cohorts);
  if (oldest !== undefined && self.clock.now() - oldest <= dataLimits.comparisonAgeMsMax) return;
  for (const site of [from, to]) {
    const mismatches = await shards.validate(site, {});
    if (mismatches > 0)
      throw new NanoError("conflict", `${mismatches} keys differ and nothing stands for it`);
  }
}

/** Round by round, so that a reversal happens after the other prefixes have moved once. */
function movesLeft(plan: MigrationPlan, decisions: readonly DecisionRecord[]): Move[] {
  const moves: Move[] = [];
  const rounds = Math.max(...plan.prefixes.map(({ path }) => path.length));
  for (let round = 0; round < rounds; round++) {
    for (const { prefix, cohorts, path } of plan.prefixes) {
      const to = path[round];
      if (to === undefined || swaps(decisions, prefix).length > round) continue;
      moves.push({ prefix, cohorts, from: to === plan.to ? plan.from : plan.to, to });
    }
  }
  return moves;
}

/** The decisions that moved a prefix, in order. */
export function swaps(decisions: readonly DecisionRecord[], prefix: string): DecisionRecord[] {
  return decisions.filter((decision) => decision.prefix === prefix && decision.state === "swapped");
}

/**
 * What plan writes before anything runs: each cohort's first authority and term. Repeatable. Errors: `config` for a new
 * prefix or canary of a backend whose migration has begun: its keys are another cohort's, and may have moved.
 */
export async function writeCohorts(
  control: ControlStore,
  cohorts: readonly CohortId[],
  site: Site,
): Promise<void> {
  const backendOf = (cohort: CohortId): string => cohort.slice(0, cohort.indexOf("/"));
  const begun = new Set(
    (await readCohorts(control))
      .filter(({ phase }) => phase !== "off")
      .map(({ cohort }) => backendOf(cohort)),
  );
  for (const cohort of cohorts) {
    if ((await control.get(controlKeys.cohort(cohort))) !== undefined) continue;
    if (begun.has(backendOf(cohort))) {
      const cure = "finish with the prefixes it began with";
      throw new NanoError("config", `${cohort}: the migration has begun without it; ${cure}`, { cure });
    }
    const term = await control.nextTerm();
    const record: CohortRecord = { cohort, phase: "off", site, term };
    await control.compareAndSet(controlKeys.cohort(cohort), 0, record);
  }
}

/**
 * db_compare: decides whether a difference between the sides is real; answers "how to deal with a flaky compare?".
 * A suspect is looked at again after each pause of `recheckMs`; it is a mismatch only if both versions stood still
 * across the comparison, every time, and no mark or range stands for it.
 *
 * State: the suspects with their recheck, the passes in work. What was compared, and when, is in control's coverage.
 * Messages: validate (every row of some cohorts, both directions at once, or what changed since the last pass),
 * verify (the same under a failover's block: one immediate re-read), sample (shadow reads, off the request path).
 *
 * Always true: a mismatch goes to db_perror and is counted in `unaccountedFound`; it is never repaired by itself. A
 * pass keeps nothing for a row but its suspects, which are bounded: beyond it waits; a pass with too many mismatches
 * makes its whole range dirty instead, and says so.
 */

import {
  type From,
  genServer,
  Heap,
  NanoError,
  noReply,
  type Piped,
  type Ref,
  type Self,
} from "../src/index.ts";
import { type CohortFinder, cohortFinder } from "./cohorts.ts";
import { compareRows, type Pair, type Stamp, stampOf, stoodStill } from "./compare.ts";
import type { CompareStatistics, Validation, ValidationRequest } from "./compare_messages.ts";
import { type Begun, newPass, type Pass } from "./compare_pass.ts";
import { nextLimit, type Portion, planWork, readPortion, Tally, type Work } from "./compare_work.ts";
import type { ControlStore } from "./control_store.ts";
import { type CoveragePart, changeCoverage, readCoverage } from "./coverage.ts";
import { db_dirty_keys } from "./db_dirty_keys.ts";
import { db_perror } from "./db_perror.ts";
import type { Account } from "./ledger.ts";
import { dataLimits } from "./limits.ts";
import { openRanges, quarantineMismatches } from "./mismatches.ts";
import { RangeReader } from "./range_reader.ts";
import { type CohortId, everyCohort, type RowKey } from "./records.ts";
import { type ShardOptions, type ShardProcess, shardProcess } from "./shard_options.ts";
import { type Verification, verifyChanged } from "./verify_changed.ts";

export * from "./compare_messages.ts";

interface Suspect {
  readonly key: RowKey;
  readonly stamp: Stamp;
  readonly round: number;
  readonly pass: Pass | undefined;
}

interface State {
  readonly self: Self;
  readonly options: ShardOptions;
  readonly control: ControlStore;
  readonly ledger: Ref<typeof db_dirty_keys>;
  readonly perror: Ref<typeof db_perror>;
  readonly reader: RangeReader;
  readonly cohortOf: CohortFinder;
  readonly suspects: Heap<Suspect>;
  readonly passes: Set<Pass>;
  wakeAtMs: number;
  comparedRows: number;
  unaccountedFound: number;
  /** Of these, how many control does not know of yet. */
  unrecorded: number;
  samplesSkipped: number;
}

interface PortionContext {
  readonly pass: Pass;
  readonly work: Work;
  /** When it was asked for, monotonic ms. */
  readonly atMs: number;
}

export const db_compare = genServer(import.meta.url, "db_compare", {
  deadlines: "own",
  init: (options: ShardOptions, self): State => {
    const named = (process: ShardProcess) => shardProcess(options.site, options.shard, process);
    return {
      self,
      options,
      control: self.resource<ControlStore>("control"),
      ledger: self.ref(db_dirty_keys, named("db_dirty_keys")),
      perror: self.ref(db_perror, named("db_perror")),
      reader: new RangeReader(self, options),
      cohortOf: cohortFinder(options.prefixes),
      suspects: new Heap(),
      passes: new Set(),
      wakeAtMs: Number.POSITIVE_INFINITY,
      comparedRows: 0,
      unaccountedFound: 0,
      unrecorded: 0,
      samplesSkipped: 0,
    };
  },

  call: {
    /**
     * Compares rows on both sides; answered when the last suspect is settled and what was covered is recorded. Errors:
     * those of the peer's store and of control, after which the pass must be started again; `canceled` when that is
     * done before it has ended.
     */
    validate: (state, request: ValidationRequest, from: From<Validation>) => {
      const scope = request.cohorts?.join() ?? "";
      abandon(state, scope);
      const startedAtMs = state.self.clock.now();
      const pass = newPass({ from, scope, request, startedAtMs }, state.options.tuning.crawlBatchMax);
      state.passes.add(pass);
      state.self.pipe(begin(state, request), "begun", pass);
      return noReply;
    },

    /**
     * What changed in these cohorts since their last comparison, now, with one immediate re-read; what differs gets a
     * mark of replay, so that a drain repairs it, and is verified again. Errors: `conflict` in words if it is not known
     * what changed; those of the peer's store.
     */
    verify: (state, cohorts: readonly CohortId[], from: From<Verification>) => {
      const { ledger, reader, control, options, self } = state;
      const verified = verifyChanged(cohorts, { ledger, reader, control, options, clock: self.clock });
      self.pipe(verified, "verified", from);
      return noReply;
    },

    /** The other site verified these parts under its block, and this one serves them from now on. */
    adopt: async (
      { control, options },
      { epoch, parts }: { epoch: number; parts: readonly CoveragePart[] },
    ): Promise<void> => {
      const adopted = parts.map((part) => ({ ...part, site: options.site, epoch }));
      await changeCoverage(control, options.shard, { found: 0, parts: adopted });
    },

    statistics: (state): CompareStatistics => {
      const { comparedRows, unaccountedFound, samplesSkipped } = state;
      return { comparedRows, suspects: state.suspects.size, unaccountedFound, samplesSkipped };
    },
  },

  cast: {
    /** Keys just read or written by clients, compared off their path. */
    sample: (state, keys: readonly RowKey[]) => {
      state.self.pipe(state.reader.get(keys), "sampled", undefined);
    },

    sampled: (state, result: Piped<undefined, Pair[]>) => {
      if (!result.ok) return;
      const now = state.self.clock.now();
      state.comparedRows += result.value.length;
      for (const pair of result.value) {
        if (compareRows(pair.local, pair.peer, now) === "equal") continue;
        if (state.suspects.size >= dataLimits.suspectsMax) state.samplesSkipped++;
        else hold(state, { key: pair.key, stamp: stampOf(pair), round: 0, pass: undefined });
      }
    },

    begun: (state, { context: pass, ...result }: Piped<Pass, Omit<Begun, "again"> & { work: Work[] }>) => {
      if (pass.ended) return;
      if (!result.ok) {
        fail(state, pass, result.error);
        return;
      }
      const { work, ...begun } = result.value;
      const again = work.filter(({ type }) => type === "changed").map(({ cohort }) => cohort ?? "");
      pass.begun = { ...begun, again: new Set(again) };
      pass.work = work;
      readNext(state, pass);
    },

    portionRead: (state, { context, ...result }: Piped<PortionContext, Portion>) => {
      const { pass, work, atMs } = context;
      if (pass.ended) return;
      if (!result.ok) {
        fail(state, pass, result.error);
        return;
      }
      try {
        comparePortion(state, pass, work, result.value);
      } catch (error) {
        // A row that can't be read is not equal, and nobody can say how it differs.
        if (!(error instanceof NanoError)) throw error;
        fail(state, pass, error);
        return;
      }
      pass.limit = nextLimit(result.value, state.options.tuning.crawlBatchMax);
      if (result.value.rest !== undefined) pass.work.unshift(result.value.rest);
      // Live traffic first: the pass takes its share of the time at most.
      const share = state.options.tuning.compareShare;
      const pauseMs = (state.self.clock.monotonicMs() - atMs) * (1 / share - 1);
      if (pauseMs <= 0) readNext(state, pass);
      else state.self.castAfter(Math.min(dataLimits.comparePauseMsMax, pauseMs), "nextPortion", pass);
    },

    nextPortion: (state, pass: Pass) => readNext(state, pass),

    recheck: (state) => {
      state.wakeAtMs = Number.POSITIVE_INFINITY;
      const now = state.self.clock.now();
      const due: Suspect[] = [];
      for (let at = state.suspects.first; at !== undefined && at <= now; at = state.suspects.first) {
        const suspect = state.suspects.pop();
        if (suspect === undefined || due.push(suspect) >= state.options.tuning.crawlBatchMax) break;
      }
      wake(state);
      if (due.length > 0) state.self.pipe(reread(state, due), "rechecked", due);
    },

    rechecked: (state, { context: due, ...result }: Piped<readonly Suspect[], Reread>) => {
      // The peer did not answer: the same look again, later.
      if (!result.ok) for (const suspect of due) hold(state, suspect);
      else judge(state, due, result.value);
    },

    quarantined: (
      state,
      { context: found, ...result }: Piped<readonly Suspect[], readonly RowKey[] | "full">,
    ) => {
      for (const { pass } of found) if (pass !== undefined) pass.handingOver--;
      // The ledger does not know yet what is served here, or its process restarts.
      if (!result.ok) for (const suspect of found) hold(state, suspect);
      else if (result.value === "full") {
        for (const suspect of found) {
          if (suspect.pass === undefined) hold(state, suspect);
          else degrade(state, suspect.pass);
        }
      } else settleMismatches(state, found, result.value);
      for (const { pass } of found) if (pass !== undefined) endDegraded(state, pass);
    },

    recorded: (state, { context: pass, ...result }: Piped<Pass, readonly CohortId[]>) => {
      if (pass.ended) return;
      if (result.ok) end(state, pass, { cohorts: result.value, degraded: false });
      else fail(state, pass, result.error);
    },

    degraded: (state, { context: pass, ...result }: Piped<Pass, void>) => {
      if (!result.ok) {
        fail(state, pass, result.error);
        return;
      }
      pass.degraded = true;
      endDegraded(state, pass);
    },

    verified: (state, { context: from, ...result }: Piped<From<Verification>, Verification>) => {
      if (result.ok) state.self.reply(from, result.value);
      else state.self.replyError(from, result.error);
    },

    counted: (state, { context: found, ...result }: Piped<number, void>) => {
      if (!result.ok) state.unrecorded += found;
    },
  },
});

interface Reread {
  readonly pairs: readonly Pair[];
  readonly accounts: readonly Account[];
  /** Read once more after the ledger answered: what stood still across it was so at that moment. */
  readonly after: readonly Pair[];
}

// --- passes ------------------------------------------------------------------------------------------------------

/** Its caller is told; what was found so far stays suspect. */
function abandon(state: State, scope: string): void {
  for (const pass of state.passes) {
    if (pass.scope !== scope || pass.ended) continue;
    fail(state, pass, new NanoError("canceled", "another comparison of the same cohorts began"));
  }
}

function fail(state: State, pass: Pass, error: { readonly code: string; readonly message: string }): void {
  pass.ended = true;
  state.passes.delete(pass);
  state.self.replyError(pass.from, error);
}

async function begin({ ledger, control, options, cohortOf }: State, request: ValidationRequest) {
  const start = await ledger.call.beginPass(request.cohorts);
  const record = await readCoverage(control, options.shard);
  const all = request.cohorts === undefined;
  const changedOnly = request.changedOnly === true;
  const work = planWork({ start, record, site: options.site, all, changedOnly }, cohortOf);
  const tally = new Tally(
    start.cohorts.map(({ cohort }) => cohort),
    cohortOf,
  );
  return { start, record, tally, work };
}

/** The next portion, once there is room for what it may find. */
function readNext(state: State, pass: Pass): void {
  if (pass.ended) return;
  if (state.suspects.size + pass.limit > dataLimits.suspectsMax) {
    state.self.castAfter(dataLimits.comparePauseMsMax, "nextPortion", pass);
    return;
  }
  const work = pass.work.shift();
  if (work === undefined) {
    pass.reading = false;
    recordWhenDone(state, pass);
    return;
  }
  const context: PortionContext = { pass, work, atMs: state.self.clock.monotonicMs() };
  state.self.pipe(readPortion(work, pass.limit, state), "portionRead", context);
}

function comparePortion(state: State, pass: Pass, work: Work, portion: Portion): void {
  const now = state.self.clock.now();
  const rows = pass.begun?.tally.each(work, portion, (key, local, peer) => {
    if (compareRows(local, peer, now) === "equal") return;
    pass.suspects++;
    pass.open++;
    hold(state, { key, stamp: stampOf({ local, peer }), round: 0, pass });
  });
  pass.rows += rows ?? 0;
  state.comparedRows += rows ?? 0;
}

/** When everything was read and settled: what was covered, durably, and only then the answer. */
function recordWhenDone(state: State, pass: Pass): void {
  const { begun } = pass;
  if (pass.reading || pass.open > 0 || pass.ended || begun === undefined) return;
  state.self.pipe(recordCoverage(state, pass, begun), "recorded", pass);
}

async function recordCoverage(
  { ledger, control, options, self }: State,
  pass: Pass,
  { start, record, tally, again }: Begun,
): Promise<readonly CohortId[]> {
  const stand = await ledger.call.endPass(start.cohorts);
  const parts = stand.map((cohort): CoveragePart => {
    const part = record.parts[cohort];
    const againFromMs = pass.startedAtMs;
    const rows = tally.rows(cohort);
    if (again.has(cohort) && part !== undefined) {
      return { ...part, againFromMs, againRows: part.againRows + rows };
    }
    const full = {
      rows,
      fullFromMs: pass.startedAtMs,
      fullToMs: self.clock.now(),
      againFromMs,
      againRows: 0,
    };
    return { cohort, site: options.site, epoch: start.epoch, ...full };
  });
  await changeCoverage(control, options.shard, { found: 0, parts });
  return stand;
}

function end(state: State, pass: Pass, how: Pick<Validation, "cohorts" | "degraded">): void {
  pass.ended = true;
  state.passes.delete(pass);
  const { rows, suspects, accounted, mismatches, examples, startedAtMs } = pass;
  const endedAtMs = state.self.clock.now();
  const found = { rows, suspects, accounted, mismatches, examples };
  state.self.reply(pass.from, { ...found, ...how, startedAtMs, endedAtMs });
}

// --- suspects ----------------------------------------------------------------------------------------------------

/** Looks at the suspect again after its round's pause. */
function hold(state: State, suspect: Suspect): void {
  const pauses = state.options.tuning.recheckMs;
  const pauseMs = pauses[Math.min(suspect.round, pauses.length - 1)] ?? 0;
  state.suspects.push(state.self.clock.now() + pauseMs, suspect);
  wake(state);
}

function wake(state: State): void {
  const first = state.suspects.first;
  if (first === undefined || first >= state.wakeAtMs) return;
  state.wakeAtMs = first;
  state.self.castAfter(Math.max(0, first - state.self.clock.now()), "recheck");
}

async function reread(state: State, suspects: readonly Suspect[]): Promise<Reread> {
  const keys = suspects.map(({ key }) => key);
  const pairs = await state.reader.get(keys);
  const accounts = await state.ledger.call.account(keys);
  const after = await state.reader.get(keys);
  return { pairs, accounts, after };
}

function judge(state: State, due: readonly Suspect[], { pairs, accounts, after }: Reread): void {
  const now = state.self.clock.now();
  const found: Suspect[] = [];
  due.forEach((suspect, i) => {
    const pair = pairs[i];
    const later = after[i];
    if (pair === undefined || later === undefined) return;
    const equal = compareRows(later.local, later.peer, now) === "equal";
    if (equal || accounts[i] !== "none") {
      settle(state, suspect, !equal);
      return;
    }
    const stamp = stampOf(later);
    const unmoved = stoodStill(stampOf(pair), stamp) && stoodStill(suspect.stamp, stamp);
    const round = unmoved ? suspect.round + 1 : 0;
    const next: Suspect = { ...suspect, stamp, round };
    if (round < state.options.tuning.recheckMs.length) hold(state, next);
    else found.push(next);
  });
  if (found.length === 0) return;
  const room = found.filter(({ pass }) => {
    if (pass === undefined) return true;
    if (pass.mismatches + pass.handingOver >= dataLimits.mismatchesPerPassMax) {
      degrade(state, pass);
      return false;
    }
    pass.handingOver++;
    return true;
  });
  if (room.length === 0) return;
  const keys = room.map(({ key }) => key);
  state.self.pipe(quarantineMismatches(keys, state), "quarantined", room);
}

function settleMismatches(state: State, found: readonly Suspect[], marked: readonly RowKey[]): void {
  const mismatches = new Set(marked);
  state.unaccountedFound += mismatches.size;
  if (mismatches.size + state.unrecorded > 0) {
    const count = mismatches.size + state.unrecorded;
    state.unrecorded = 0;
    const { control, options } = state;
    state.self.pipe(changeCoverage(control, options.shard, { found: count, parts: [] }), "counted", count);
  }
  for (const suspect of found) {
    const { pass } = suspect;
    const isMismatch = mismatches.has(suspect.key);
    if (isMismatch && pass !== undefined) {
      pass.mismatches++;
      if (pass.examples.length < dataLimits.mismatchesNamedMax) pass.examples.push(suspect.key);
    }
    settle(state, suspect, !isMismatch);
  }
}

function settle(state: State, { pass }: Suspect, accounted: boolean): void {
  if (pass === undefined) return;
  if (accounted) pass.accounted++;
  pass.open--;
  recordWhenDone(state, pass);
}

/**
 * Too many keys differ to name them: whatever the pass was to compare is suspect, so it becomes a range, which the
 * crawler repairs. Nothing of the pass stands.
 */
function degrade(state: State, pass: Pass): void {
  if (pass.ended) return;
  pass.ended = true;
  const { cohorts } = pass.request;
  const { mismatches } = pass;
  state.self.log.error(
    { mismatches, cohorts: cohorts ?? everyCohort },
    "too many differ: all is a dirty range",
  );
  state.self.pipe(openRanges(cohorts, state), "degraded", pass);
}

/** Its answer names every mismatch that was counted: it waits for those on the way to db_perror. */
function endDegraded(state: State, pass: Pass): void {
  if (!pass.degraded || pass.handingOver > 0 || !state.passes.has(pass)) return;
  end(state, pass, { cohorts: [], degraded: true });
}

/**
 * db_compare: decides whether a difference between the sides is real; answers "how to deal with a flaky compare?".
 * A suspect is looked at again after each pause of `recheckMs`; it is a mismatch only if both versions stood still
 * across the comparison, every time, and no mark or range stands for it.
 *
 * State: the suspects with their recheck, the validation in work, counters with coverage.
 * Messages: validate (one pass over key ranges, both directions at once), verify (exact keys, one immediate
 * re-read: for a failover under its block), sample (shadow reads, off the request path), statistics.
 *
 * Always true: a mismatch goes to db_perror and is counted in `unaccountedFound`; it is never repaired by itself.
 */

import { type From, genServer, Heap, noReply, type Piped, type Ref, type Self } from "../src/index.ts";
import { compareRows, type Pair, stoodStill } from "./compare.ts";
import { db_dirty_keys } from "./db_dirty_keys.ts";
import { db_perror } from "./db_perror.ts";
import type { Account } from "./ledger.ts";
import { dataLimits } from "./limits.ts";
import { RangeReader } from "./range_reader.ts";
import type { Row, RowKey } from "./records.ts";
import { versionZero } from "./records.ts";
import { type ShardOptions, type ShardProcess, shardProcess } from "./shard_options.ts";
import type { ScanRange } from "./store_messages.ts";

export interface Validation {
  readonly rows: number;
  /** Keys that differed at first sight, most of them written while they were read. */
  readonly suspects: number;
  readonly mismatches: readonly RowKey[];
  readonly startedAtMs: number;
  readonly endedAtMs: number;
}

export interface CompareStatistics {
  readonly comparedRows: number;
  readonly suspects: number;
  readonly unaccountedFound: number;
  /** When the last full pass ended, wall-clock ms; 0: never, so nothing is known. */
  readonly lastFullPassAtMs: number;
}

interface Suspect {
  readonly key: RowKey;
  readonly rows: readonly [local: Row | undefined, peer: Row | undefined];
  readonly round: number;
  readonly pass: Pass | undefined;
}

/** One validation: open until the last stretch was read and its last suspect settled. */
interface Pass {
  readonly from: From<Validation>;
  readonly range: ScanRange;
  readonly startedAtMs: number;
  readonly full: boolean;
  rows: number;
  suspects: number;
  open: number;
  reading: boolean;
  /** Another pass over the same range began: its caller had given this one up. */
  abandoned: boolean;
  readonly mismatches: RowKey[];
}

interface State {
  readonly self: Self;
  readonly options: ShardOptions;
  readonly ledger: Ref<typeof db_dirty_keys>;
  readonly perror: Ref<typeof db_perror>;
  readonly reader: RangeReader;
  readonly suspects: Heap<Suspect>;
  readonly passes: Set<Pass>;
  wakeAtMs: number;
  comparedRows: number;
  unaccountedFound: number;
  lastFullPassAtMs: number;
}

interface StretchContext {
  readonly pass: Pass;
  readonly range: ScanRange;
  /** When it was asked for, monotonic ms. */
  readonly atMs: number;
}

export const db_compare = genServer(import.meta.url, "db_compare", {
  init: (options: ShardOptions, self): State => {
    const named = (process: ShardProcess) => shardProcess(options.site, options.shard, process);
    return {
      self,
      options,
      ledger: self.ref(db_dirty_keys, named("db_dirty_keys")),
      perror: self.ref(db_perror, named("db_perror")),
      reader: new RangeReader(self, options),
      suspects: new Heap(),
      passes: new Set(),
      wakeAtMs: Number.POSITIVE_INFINITY,
      comparedRows: 0,
      unaccountedFound: 0,
      lastFullPassAtMs: 0,
    };
  },

  call: {
    /**
     * Compares every row of the range on both sides; answered when the last suspect is settled. Errors: those of the
     * peer's store, after which the pass must be started again; `canceled` when that is done before it has ended.
     */
    validate: (state, range: ScanRange, from: From<Validation>) => {
      abandon(state, range);
      const pass: Pass = {
        from,
        range,
        startedAtMs: state.self.clock.now(),
        full: range.from === "" && range.to === "",
        rows: 0,
        suspects: 0,
        open: 0,
        reading: true,
        abandoned: false,
        mismatches: [],
      };
      state.passes.add(pass);
      readStretch(state, { pass, range });
      return noReply;
    },

    /** These keys, now, with one immediate re-read. Returns those that differ; nothing is quarantined. */
    verify: async (state, keys: readonly RowKey[]): Promise<RowKey[]> => {
      const differing = await differ(state, keys);
      return differing.length === 0 ? [] : differ(state, differing);
    },

    statistics: (state): CompareStatistics => {
      const { comparedRows, unaccountedFound, lastFullPassAtMs } = state;
      return { comparedRows, suspects: state.suspects.size, unaccountedFound, lastFullPassAtMs };
    },
  },

  cast: {
    /** Keys just read or written by clients, compared off their path. */
    sample: (state, keys: readonly RowKey[]) => {
      state.self.pipe(state.reader.get(keys), "sampled", undefined);
    },

    sampled: (state, result: Piped<undefined, Pair[]>) => {
      if (result.ok) suspectAll(state, result.value, undefined);
    },

    stretchRead: (
      state,
      { context, ...result }: Piped<StretchContext, { pairs: Pair[]; next: RowKey | undefined }>,
    ) => {
      const { pass, range, atMs } = context;
      if (pass.abandoned) return;
      if (!result.ok) {
        state.passes.delete(pass);
        state.self.replyError(pass.from, result.error);
        return;
      }
      pass.rows += result.value.pairs.length;
      suspectAll(state, result.value.pairs, pass);
      if (result.value.next === undefined) {
        pass.reading = false;
        endPass(state, pass);
        return;
      }
      // Live traffic first: the pass takes half of the time at most.
      const tookMs = Math.min(dataLimits.comparePauseMsMax, state.self.clock.monotonicMs() - atMs);
      state.self.castAfter(tookMs, "nextStretch", { pass, range: { from: result.value.next, to: range.to } });
    },

    nextStretch: (state, next: Pick<StretchContext, "pass" | "range">) => {
      if (!next.pass.abandoned) readStretch(state, next);
    },

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
      if (!result.ok) {
        // The peer did not answer: the same look again, later.
        for (const suspect of due) hold(state, suspect);
        return undefined;
      }
      return judge(state, due, result.value);
    },
  },
});

interface Reread {
  readonly pairs: readonly Pair[];
  readonly accounts: readonly Account[];
  /** Read once more after the ledger answered: what stood still across it was so at that moment. */
  readonly after: readonly Pair[];
}

/** Its caller is told; what was found so far stays suspect. */
function abandon(state: State, { from, to }: ScanRange): void {
  for (const pass of state.passes) {
    if (pass.range.from !== from || pass.range.to !== to) continue;
    pass.abandoned = true;
    state.passes.delete(pass);
    const message = "another comparison of this range began";
    state.self.replyError(pass.from, { code: "canceled", message });
  }
}

function readStretch(state: State, stretch: Pick<StretchContext, "pass" | "range">): void {
  const context: StretchContext = { ...stretch, atMs: state.self.clock.monotonicMs() };
  const limit = state.options.tuning.crawlBatchMax;
  state.self.pipe(state.reader.read(context.range, limit), "stretchRead", context);
}

function suspectAll(state: State, pairs: readonly Pair[], pass: Pass | undefined): void {
  const now = state.self.clock.now();
  state.comparedRows += pairs.length;
  for (const { key, local, peer } of pairs) {
    if (compareRows(local, peer, now) === "equal") continue;
    if (pass === undefined && state.suspects.size >= dataLimits.suspectsMax) continue;
    if (pass !== undefined) {
      pass.suspects++;
      pass.open++;
    }
    hold(state, { key, rows: [local, peer], round: 0, pass });
  }
}

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

async function judge(
  state: State,
  due: readonly Suspect[],
  { pairs, accounts, after }: Reread,
): Promise<void> {
  const now = state.self.clock.now();
  const found: Suspect[] = [];
  due.forEach((suspect, i) => {
    const pair = pairs[i];
    const later = after[i];
    if (pair === undefined || later === undefined) return;
    if (compareRows(later.local, later.peer, now) === "equal" || accounts[i] !== "none") {
      settle(state, suspect);
      return;
    }
    const still = stoodStill([pair.local, pair.peer], [later.local, later.peer]);
    const rows: Suspect["rows"] = [later.local, later.peer];
    const unmoved = still && stoodStill(suspect.rows, rows);
    const round = unmoved ? suspect.round + 1 : 0;
    if (round < state.options.tuning.recheckMs.length) {
      hold(state, { ...suspect, rows, round });
      return;
    }
    found.push(suspect);
  });
  if (found.length === 0) return;
  const mismatches = new Set(
    await quarantine(
      state,
      found.map(({ key }) => key),
    ),
  );
  for (const suspect of found) {
    if (mismatches.has(suspect.key)) suspect.pass?.mismatches.push(suspect.key);
    settle(state, suspect);
  }
}

/** Returns those for which really nothing stood: others were marked meanwhile, or are served by the other site. */
async function quarantine(state: State, suspects: readonly RowKey[]): Promise<readonly RowKey[]> {
  const keys = await state.ledger.call.suspect({ keys: suspects, owner: "perror" });
  if (keys.length === 0) return keys;
  state.unaccountedFound += keys.length;
  state.self.log.error({ keys }, "the sides differ and nothing stands for it");
  const entries = keys.map((key) => ({ key, version: versionZero, reason: "mismatch", attempts: 0 }));
  await state.perror.call.quarantine(entries);
  return keys;
}

function settle(state: State, { pass }: Suspect): void {
  if (pass === undefined) return;
  pass.open--;
  endPass(state, pass);
}

function endPass(state: State, pass: Pass): void {
  if (pass.reading || pass.open > 0 || pass.abandoned) return;
  state.passes.delete(pass);
  const endedAtMs = state.self.clock.now();
  if (pass.full) state.lastFullPassAtMs = endedAtMs;
  const { rows, suspects, mismatches, startedAtMs } = pass;
  state.self.reply(pass.from, { rows, suspects, mismatches, startedAtMs, endedAtMs });
}

async function differ(state: State, keys: readonly RowKey[]): Promise<RowKey[]> {
  const now = state.self.clock.now();
  const pairs = await state.reader.get(keys);
  return pairs.filter(({ local, peer }) => compareRows(local, peer, now) !== "equal").map(({ key }) => key);
}

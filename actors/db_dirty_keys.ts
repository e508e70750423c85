/**
 * db_dirty_keys: the ledger of one shard. Which keys differ or may differ from the peer, who works on each, and
 * which ranges are suspect as a whole; answers "what if db_queuer discarded?".
 *
 * State: the ledger (ledger.ts), the terms under which rows are sent, what changed since the last comparison.
 * Messages: admit, settle (from db_switch); follow (db_feed); take, release, own, disown (from the senders); ranges
 * (db_crawler); counts, account (db_migration, db_failover, operators); beginPass, changedKeys, endPass (db_compare).
 *
 * Always true: a mark or range is durable in the log before `admit` is answered; a clear is logged after it
 * happened, so a crash can only bring a mark back, never lose one.
 */

import { type From, genServer, NanoError, noReply, type Piped, type Ref, type Self } from "../src/index.ts";
import { ChangedKeys, type PassStart } from "./changed_keys.ts";
import { type CohortFinder, cohortFinder, cohortOfRow } from "./cohorts.ts";
import { db_dirty_log } from "./db_dirty_log.ts";
import { followChanges } from "./foreign_changes.ts";
import { type HoldFilter, Holds } from "./holds.ts";
import type { Account, Ledger, Outcome, Released, Sender, Taken } from "./ledger.ts";
import {
  type Absorbed,
  type Admission,
  type ForeignChanges,
  type LedgerCounts,
  notLive,
  type SendTerms,
  type TakenWithGrants,
} from "./ledger_messages.ts";
import { openRange, rangeOver } from "./ledger_ranges.ts";
import { recoveredLedger } from "./ledger_recovery.ts";
import { type LogRecord, ShardRecords } from "./log_records.ts";
import {
  type CohortId,
  type DirtyRange,
  everyCohort,
  type MarkOwner,
  type RowKey,
  shardScope,
  type Version,
} from "./records.ts";
import type { ShardOptions } from "./shard_options.ts";

export * from "./ledger_messages.ts";

interface State {
  readonly self: Self;
  readonly options: ShardOptions;
  readonly log: Ref<typeof db_dirty_log>;
  readonly ledger: Ledger;
  readonly cohortOf: CohortFinder;
  /** The range that stands for everything until the shard starts; "" from then on. */
  provisional: string;
  /** Cohorts whose recovered marks did not all fit: the next start opens a range over each. */
  readonly unfit: Set<CohortId>;
  /** The highest term that the log knows for this shard; 0 if it knows nothing of it. */
  loggedTerm: number;
  terms: SendTerms;
  /** Makes what is logged under the shard term. */
  records: ShardRecords;
  /** The terms are those of this shard term: false from a start until db_switch has read control. */
  termsKnown: boolean;
  /** Every write of this shard makes a mark, so that what a scan misses is marked. */
  mayScan: boolean;
  /** Distinguishes marks that no admission made. */
  serial: number;
  /** Who waits for keys to become ready; at most one, the newest. */
  waiting: { readonly from: From<TakenWithGrants[]>; readonly limit: number } | undefined;
  /** Since the last comparison. */
  readonly changed: ChangedKeys;
  /** Keys that a swap carried over: neither read nor written until reconciled. Only `unhold` ends that, durably. */
  readonly held: Holds;
}

export const db_dirty_keys = genServer(import.meta.url, "db_dirty_keys", {
  deadlines: "own",
  init: async (options: ShardOptions, self): Promise<State> => {
    const log = self.ref(db_dirty_log, options.log);
    const recovered = await log.call.recover({ shard: options.shard });
    const cohortOf = cohortFinder(options.prefixes);
    const { ledgerBytesMax: bytesMax } = options.tuning;
    const nowMs = self.clock.now();
    const { ledger, provisional, unfit } = recoveredLedger(recovered, { bytesMax, cohortOf, nowMs });
    return {
      self,
      options,
      log,
      ledger,
      cohortOf,
      provisional,
      unfit,
      loggedTerm: recovered.shardTerm,
      terms: { shardTerm: 0, cohorts: {}, lost: "", finished: false },
      // Until a new term begins: what is logged under an older one than the log's own is void.
      records: new ShardRecords(options.shard, recovered.shardTerm),
      termsKnown: false,
      mayScan: false,
      serial: 1,
      waiting: undefined,
      changed: new ChangedKeys(),
      held: new Holds(recovered.held, (key) => cohortOfRow(cohortOf, key)),
    };
  },

  call: {
    /** The highest term of this shard in the log: below control's, the log was lost. */
    loggedTerm: (state) => state.loggedTerm,

    /**
     * A new shard term: what was pending or is not being sent takes a version that nobody has seen, with nothing
     * pending, and all marks are logged again *before* the start record that voids what is older. A lost log makes
     * every key suspect, in the same append.
     */
    start: async (state, { shardTerm, logLost }: { shardTerm: number; logLost: boolean }): Promise<void> => {
      state.terms = { shardTerm, cohorts: {}, lost: "", finished: false };
      state.records = new ShardRecords(state.options.shard, shardTerm);
      state.termsKnown = false;
      state.mayScan = false;
      state.changed.live(shardTerm);
      const records: LogRecord[] = [state.records.account()];
      if (logLost) state.changed.overflow(everyCohort);
      else state.ledger.removeRange(state.provisional);
      state.provisional = "";
      for (const cohort of state.unfit) rangeOver(state, cohort, []);
      state.unfit.clear();
      for (const { key, version, owner } of state.ledger.begin(() => [0, shardTerm, state.serial++])) {
        records.push(state.records.mark(key, version, owner));
      }
      for (const range of state.ledger.ranges()) records.push(state.records.range(range));
      for (const [key, decision] of state.held) records.push(state.records.held(key, decision));
      records.push(state.records.start());
      await state.log.call.append(records);
      // A db_switch that dies alone asks the same ledger again: its log is not lost.
      state.loggedTerm = shardTerm;
    },

    /** Under which terms rows may be sent from now on. */
    sendUnder: (state, terms: SendTerms) => {
      state.terms = terms;
      state.termsKnown = true;
      dropForeign(state);
      state.changed.serve(Object.keys(terms.cohorts));
      if (terms.finished) for (const range of state.ledger.ranges()) removeRange(state, range);
      answerWaiting(state);
    },

    /**
     * Marks before the local commit; answered when they are durable. Errors: `unavailable`; then nothing of it waits to
     * be settled: the keys are suspect all the same, and db_replay looks after them.
     */
    admit: (state, admissions: readonly Admission[], from: From<Absorbed>) => {
      const records: LogRecord[] = [];
      const absorbed = admissions.map((admission) => admit(state, admission, records));
      const keys = admissions.map(({ key }) => key);
      state.self.pipe(state.log.call.append(records), "admitted", { from, keys, absorbed });
      return noReply;
    },

    /** Lanes and grants for the queuer's keys. `busy`: somebody else has the lane now. */
    take: (state, keys: readonly RowKey[]): { taken: TakenWithGrants[]; busy: readonly RowKey[] } => {
      if (!state.termsKnown) return { taken: [], busy: keys };
      const { taken, busy } = state.ledger.take("queuer", keys);
      return { taken: withGrants(state, taken), busy };
    },

    /** Lanes and grants for keys under repair; answered when there is at least one. */
    takeReady: (state, { limit }: { limit: number }, from: From<TakenWithGrants[]>) => {
      state.waiting = { from, limit };
      answerWaiting(state);
      return noReply;
    },

    /**
     * Lanes and grants for a crawl: only keys that have neither mark nor lane, and whose cohort is served here.
     * Errors: `unavailable` until that is known; a crawl that took nothing then would pass by what it must send.
     */
    takeUnmarked: (state, { sender, keys }: { sender: "crawler" | "compare"; keys: readonly RowKey[] }) => {
      knowTerms(state);
      const taken = state.ledger.takeUnmarked(sender, keys).map((key) => unmarked(state, key));
      return withGrants(state, taken);
    },

    release: (state, results: readonly { taken: Taken; outcome: Outcome }[]): Released => {
      const released = state.ledger.release(results);
      for (const { taken } of results) state.changed.changed(taken.cohort, taken.key);
      state.log.cast.note(released.cleared.map(({ key, version }) => state.records.clear(key, version)));
      answerWaiting(state);
      return released;
    },

    releaseUnmarked: (state, keys: readonly RowKey[]): RowKey[] => {
      const again = state.ledger.releaseUnmarked(keys);
      answerWaiting(state);
      return again;
    },

    /**
     * Marks for keys that a comparison or a crawl could not settle, or a range over their cohort while the ledger is
     * full; durable when answered. Keys that the other site serves are left to its ledger, held ones to who reconciles
     * them. Returns those that are accounted for by this.
     * Errors: `unavailable` until it is known who serves which.
     */
    suspect: async (
      state,
      { keys, owner }: { keys: readonly RowKey[]; owner: MarkOwner },
    ): Promise<RowKey[]> => {
      knowTerms(state);
      const marked: RowKey[] = [];
      const records: LogRecord[] = [];
      for (const key of keys) {
        if (!isServed(state, key) || state.held.has(key)) continue;
        const cohort = cohortOfRow(state.cohortOf, key);
        if (owner !== "perror" && !state.ledger.fits(key)) {
          rangeOver(state, cohort, records);
          marked.push(key);
          continue;
        }
        const version: Version = [0, state.terms.shardTerm, state.serial++];
        if (!state.ledger.suspect(key, cohort, version, owner, state.self.clock.now())) continue;
        marked.push(key);
        records.push(state.records.mark(key, version, owner));
      }
      await state.log.call.append(records);
      answerWaiting(state);
      return marked;
    },

    /** Before a start, which logs them: db_perror's marks for keys that the other site holds for what stands here. */
    recall: (state, keys: readonly RowKey[]) => {
      const now = state.self.clock.now();
      for (const key of keys)
        state.ledger.suspect(key, cohortOfRow(state.cohortOf, key), [0, 0, state.serial++], "perror", now);
    },

    /** Changes that others made; durable when answered. Errors: `unavailable` until it is known who serves which. */
    follow: async (state, changes: ForeignChanges): Promise<void> => {
      knowTerms(state);
      await state.log.call.append(followChanges(state, changes));
      answerWaiting(state);
    },

    /** db_perror's keys that the other site serves stay: nobody here may send them. Returns how many were others. */
    own: (state, { keys, owner }: { keys: readonly RowKey[]; owner: MarkOwner }): number => {
      const owned = keys.filter((key) => state.ledger.owner(key) !== "perror" || isServed(state, key));
      for (const key of owned) state.ledger.own(key, owner);
      answerWaiting(state);
      return owned.length;
    },

    /**
     * These keys are db_perror's, unless they were written since the version that was rejected: that one has not been
     * tried. Durable when answered: unlike other owners, this one survives a crash.
     */
    quarantine: async (
      state,
      rejected: readonly { readonly key: RowKey; readonly version: Version }[],
    ): Promise<void> => {
      const taken = rejected.filter(({ key, version }) => state.ledger.mayQuarantine(key, version));
      await state.log.call.append(
        taken.map(({ key, version }) => state.records.mark(key, version, "perror")),
      );
      for (const { key, version } of rejected) state.ledger.quarantine(key, version);
    },

    /** A sender started: what an earlier one held is free, and the queuer's keys go to replay. */
    disown: (state, sender: Sender) => {
      state.ledger.disown(sender);
      if (sender === "replay") state.waiting = undefined;
      answerWaiting(state);
    },

    /** An operator or a swap took the key out of the ledger. */
    drop: async (state, keys: readonly RowKey[]): Promise<void> => {
      const records: LogRecord[] = [];
      for (const key of keys) {
        const version = state.ledger.version(key);
        if (version === undefined) continue;
        state.ledger.drop(key);
        state.changed.changed(cohortOfRow(state.cohortOf, key), key);
        records.push(state.records.clear(key, version));
      }
      await state.log.call.append(records);
    },

    // --- ranges ------------------------------------------------------------------------------------------------

    /** Every key of [from, to) is suspect from now on; durable when answered. */
    openRange: async (
      state,
      asked: Pick<DirtyRange, "cohort" | "from" | "to" | "reason">,
    ): Promise<string> => {
      const range = openRange(state, asked);
      await state.log.call.append([state.records.range(range)]);
      return range.id;
    },

    /** The next range to scan, closed to writes and with nothing pending in it; undefined if there is none. */
    nextRange: (state): DirtyRange | undefined => {
      if (!state.mayScan) return undefined;
      for (const range of state.ledger.ranges()) {
        if (range.state === "collecting") {
          const closed: DirtyRange = { ...range, state: "scanning" };
          state.ledger.setRange(closed);
          state.log.cast.note([state.records.range(closed)]);
        }
        if (state.ledger.rangePending(range.id) === 0) return state.ledger.range(range.id);
      }
      return undefined;
    },

    /** All rows before `cursor` are confirmed; undefined as cursor: the whole range is. */
    advance: (state, { id, cursor }: { id: string; cursor: RowKey | undefined }) => {
      const range = state.ledger.range(id);
      if (range === undefined) return;
      if (cursor === undefined) {
        removeRange(state, range);
      } else {
        state.ledger.setRange({ ...range, cursor });
        state.log.cast.note([state.records.cursor(id, cursor)]);
      }
    },

    ranges: (state): DirtyRange[] => state.ledger.ranges(),

    // --- what others want to know ------------------------------------------------------------------------------

    /** Errors: `lost`: what such a store lacks is not counted, so nothing may rest on the count. */
    counts: (state, cohorts?: readonly CohortId[]): LedgerCounts => {
      if (state.terms.lost !== "") throw new NanoError("lost", state.terms.lost);
      const oldest = state.ledger.oldestMs();
      return {
        ...state.ledger.counts(cohorts),
        ranges: state.ledger.ranges().length,
        lanes: state.ledger.lanes,
        bytes: state.ledger.bytes,
        lagMs: oldest === undefined ? 0 : Math.max(0, state.self.clock.now() - oldest),
      };
    },

    account: (state, keys: readonly RowKey[]): Account[] =>
      keys.map((key) => (state.held.has(key) ? "perror" : state.ledger.account(key))),

    /** A comparison begins: see ChangedKeys. Errors: `unavailable` until it is known what is served here. */
    beginPass: (state, cohorts?: readonly CohortId[]): PassStart => {
      knowTerms(state);
      return state.changed.beginPass(cohorts);
    },

    changedKeys: (state, cohort: CohortId) => state.changed.keys(cohort),

    endPass: (state, begun: PassStart["cohorts"]) => state.changed.endPass(begun),

    /** One that is late, of a move that was aborted, makes nobody forget what changed since a cohort is served here. */
    adoptPass: ({ changed, terms }, cohorts: readonly CohortId[]) =>
      changed.adoptPass(cohorts.filter((cohort) => terms.cohorts[cohort] === undefined)),

    changes: ({ changed, self }, cohorts: readonly CohortId[]) => changed.changes(cohorts, self.clock.now()),

    /**
     * Keys that may be neither read nor written here: the other side's quarantine at the swap. Errors: `conflict` for a
     * decision whose holds were all released: its move is over, and this was late.
     */
    hold: async (state, { keys, decision }: { keys: readonly RowKey[]; decision: string }): Promise<void> => {
      if (!state.held.hold(keys, decision))
        throw new NanoError("conflict", `${decision} holds nothing any more`);
      await state.log.call.append(keys.map((key) => state.records.held(key, decision)));
    },

    /** Those that all of what is given applies to; durable when answered. Returns how many. */
    unhold: async (state, filter: HoldFilter): Promise<number> => {
      const released = state.held.release(filter);
      await state.log.call.append(released.map((key) => state.records.held(key, "")));
      return released.length;
    },

    held: (state): RowKey[] => state.held.keys(),

    /** The keys that db_perror owns, for its restart. */
    quarantined: (state): RowKey[] =>
      [...state.ledger.marks()].filter(({ owner }) => owner === "perror").map(({ key }) => key),
  },

  cast: {
    admitted: (
      state,
      { context, ...result }: Piped<{ from: From<Absorbed>; keys: RowKey[]; absorbed: Absorbed }, void>,
    ) => {
      const { from, keys, absorbed } = context;
      if (result.ok) {
        state.self.reply(from, absorbed);
        return;
      }
      keys.forEach((key, i) => {
        settle(state, key, absorbed[i] ?? "");
        if (state.ledger.owner(key) === "queuer") state.ledger.own(key, "replay");
      });
      dropForeign(state, new Set(keys));
      answerWaiting(state);
      state.self.replyError(from, result.error);
    },

    /** These admissions are settled locally; `range` as `admit` answered it. */
    settle: (state, settled: readonly { key: RowKey; range: string }[]) => {
      for (const { key, range } of settled) settle(state, key, range);
      dropForeign(state, new Set(settled.map(({ key }) => key)));
      answerWaiting(state);
    },

    /** From db_switch, when nothing is in flight that made no mark. */
    mayScan: (state, allowed: boolean) => {
      state.mayScan = allowed;
    },

    /** Backoffs ended. */
    unpark: (state, keys: readonly RowKey[]) => {
      for (const key of keys) state.ledger.unpark(key);
      answerWaiting(state);
    },
  },
});

function admit(state: State, { key, cohort, version, live }: Admission, records: LogRecord[]): string {
  // What makes no mark is compared before a swap all the same.
  state.changed.changed(cohort, key);
  if (!live) return notLive;
  if (state.ledger.fits(key)) {
    state.ledger.admit(key, cohort, version, state.self.clock.now());
    records.push(state.records.mark(key, version, "queuer"));
    return "";
  }
  const range = rangeOver(state, cohort, records);
  state.ledger.absorb(range.id);
  return range.id;
}

/** `range`: as `admit` answered it. */
function settle(state: State, key: RowKey, range: string): void {
  if (range === "") state.ledger.settle(key);
  else state.ledger.settleAbsorbed(range);
}

function removeRange(state: State, { id, cohort }: DirtyRange): void {
  state.changed.overflow(cohort);
  state.ledger.removeRange(id);
  state.log.cast.note([state.records.rangeRemoved(id)]);
}

function answerWaiting(state: State): void {
  const { waiting, ledger } = state;
  if (waiting === undefined || !state.termsKnown) return;
  const taken = withGrants(state, ledger.takeReady(waiting.limit));
  if (taken.length === 0) return;
  state.waiting = undefined;
  state.self.reply(waiting.from, taken);
}

/** Leaves out what the other site serves; its lane is given back. */
function withGrants(state: State, taken: readonly Taken[]): TakenWithGrants[] {
  const { site, shard } = state.options;
  const shardGrant = { scope: shardScope(site, shard), term: state.terms.shardTerm };
  const granted: TakenWithGrants[] = [];
  for (const each of taken) {
    const term = state.terms.cohorts[each.cohort];
    if (term === undefined) state.ledger.release([{ taken: each, outcome: "parked" }]);
    else granted.push({ ...each, grants: [{ scope: each.cohort, term }, shardGrant] });
  }
  return granted;
}

function knowTerms({ termsKnown }: State): void {
  if (!termsKnown) throw new NanoError("unavailable", "db_switch has not read control yet");
}

function isServed(state: State, key: RowKey): boolean {
  return state.terms.cohorts[cohortOfRow(state.cohortOf, key)] !== undefined;
}

/**
 * Marks of cohorts that the other site serves: a crash brought them back after the drain, a crawl made them before the
 * swap was known here, or a write or a renewal was under way meanwhile. Nobody here would ever send them. What differs
 * there is accounted for by the other ledger; db_perror's stay for its operator.
 */
function dropForeign(state: State, keys?: ReadonlySet<RowKey>): void {
  if (!state.termsKnown) return;
  const records: LogRecord[] = [];
  for (const { key, cohort, version, owner, pending } of [...state.ledger.marks(keys)]) {
    if (state.terms.cohorts[cohort] !== undefined || owner === "perror" || pending > 0) continue;
    state.ledger.drop(key);
    records.push(state.records.clear(key, version));
  }
  if (records.length > 0) state.log.cast.note(records);
}

function unmarked(state: State, key: RowKey): Taken {
  return { key, cohort: cohortOfRow(state.cohortOf, key), version: [0, 0, 0], pending: 0 };
}

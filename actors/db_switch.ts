/**
 * db_switch: the admission of one shard of one site; answers "which side is the truth, and who may write?".
 *
 * State: the cohorts' authority as control says it, the shard's term and counter, operations between admission and
 * local commit. Messages: write, amend, get, scan, lookup (clients, through db_module); refresh (db_failover,
 * db_migration: a barrier); renew (info from the senders).
 *
 * Always true: a version is drawn once; its mark is durable before its local commit, the commit before the answer,
 * the answer before the send; no client's write is admitted under a block's term; the own store is fenced at a term
 * before anything is admitted under it. Any local outcome that is unknown ends this process: the next start settles
 * it by a fence and a new term.
 */

import {
  assert,
  type From,
  genServer,
  type Info,
  NanoError,
  noReply,
  type Piped,
  type Ref,
  type Self,
  stop,
} from "../src/index.ts";
import { type AmendJob, AmendQueue } from "./amend_queue.ts";
import { AuthorityTable, type CohortState } from "./authority.ts";
import { Barriers } from "./barriers.ts";
import { type CohortFinder, cohortFinder, cohortOfRow } from "./cohorts.ts";
import { type ControlReading, LeavingSides, readControl, ServingLease } from "./control_reading.ts";
import type { ControlStore } from "./control_store.ts";
import { db_dirty_keys } from "./db_dirty_keys.ts";
import { db_perror } from "./db_perror.ts";
import { db_queuer } from "./db_queuer.ts";
import { db_store, liveRow } from "./db_store.ts";
import { amendFunctions } from "./kinds/index.ts";
import type { Absorbed, Admission } from "./ledger_messages.ts";
import { dataLimits } from "./limits.ts";
import {
  compareKeys,
  type Row,
  type RowKey,
  rowKey,
  type Scope,
  shardScope,
  splitRowKey,
  type Version,
} from "./records.ts";
import { takeBackReplica } from "./shard_mending.ts";
import {
  type AmendRequest,
  type GetRequest,
  isRenewMessage,
  type LiveRow,
  type RowWrite,
  type ScanRequest,
  type WriteRequest,
  type WriteResult,
} from "./shard_messages.ts";
import { type ShardOptions, type ShardProcess, shardProcess } from "./shard_options.ts";
import { takeShard } from "./shard_start.ts";
import type { ApplyGroup, ApplyResult, ScanRange } from "./store_messages.ts";
import { writeResult } from "./write_result.ts";

/** One admitted row on its way to the local store. */
interface Admitted {
  readonly row: Row;
  readonly cohort: CohortState;
  readonly operation: Operation;
  /** Its place in the operation's results. */
  readonly index: number;
  readonly epoch: number;
}

/** A client's request, or a renewal, between admission and its answer. */
interface Operation {
  readonly results: (WriteResult | undefined)[];
  missing: number;
  readonly done: (results: WriteResult[]) => void;
}

interface State {
  readonly self: Self;
  readonly options: ShardOptions;
  readonly control: ControlStore;
  readonly store: Ref<typeof db_store>;
  readonly ledger: Ref<typeof db_dirty_keys>;
  readonly queuer: Ref<typeof db_queuer>;
  readonly cohortOf: CohortFinder;
  authority: AuthorityTable;
  readonly shardTerm: number;
  /** Why nothing is served, or "". */
  readonly lost: string;
  n: number;
  held: Set<RowKey>;
  filling: Admitted[];
  flushing: boolean;
  batchesInFlight: number;
  readonly amends: AmendQueue;
  readonly barriers: Barriers;
  readonly lease: ServingLease;
  readonly leaving: LeavingSides;
}

export const db_switch = genServer(import.meta.url, "db_switch", {
  deadlines: "own",
  init: async (options: ShardOptions, self): Promise<State> => {
    const named = (process: ShardProcess) => shardProcess(options.site, options.shard, process);
    const control = self.resource<ControlStore>("control");
    const store = self.ref(db_store, named("db_store"));
    const ledger = self.ref(db_dirty_keys, named("db_dirty_keys"));
    const perror = self.ref(db_perror, named("db_perror"));
    const shardTerm = await control.nextTerm();
    const lost = await takeShard(options, shardTerm, control, { store, ledger, perror });
    const state: State = {
      self,
      options,
      control,
      store,
      ledger,
      queuer: self.ref(db_queuer, named("db_queuer")),
      cohortOf: cohortFinder(options.prefixes),
      authority: new AuthorityTable(options.site),
      shardTerm,
      lost,
      n: 0,
      held: new Set(),
      filling: [],
      flushing: false,
      batchesInFlight: 0,
      amends: new AmendQueue(),
      barriers: new Barriers(),
      lease: new ServingLease(self.clock, options.tuning.leaseMs),
      leaving: new LeavingSides(self.clock, options.tuning.leaseMs),
    };
    await applyControl(state);
    // Nothing of this term is in flight yet, and the fence keeps out what is older.
    ledger.cast.mayScan(state.authority.allLive && state.lost === "");
    if (state.lost !== "") self.castSelf("takeBack");
    if (options.tuning.leaseMs > 0) self.castAfter(state.lease.renewalMs, "renewLease");
    return state;
  },

  call: {
    /** Answered when every row is durable here or refused; each row by itself. */
    write: (state, request: WriteRequest, from: From<WriteResult[]>) => {
      const cohort = serving(state).writing(request.cohort);
      admit(state, cohort, request.rows, (results) => state.self.reply(from, results));
      return noReply;
    },

    /** As `write`, of held keys: an operator's word on what stands. Those that are durable are held no more. */
    reconcile: (state, request: WriteRequest, from: From<WriteResult[]>) => {
      const cohort = serving(state).writing(request.cohort);
      const done = (results: WriteResult[]): void => {
        const keys = request.rows.filter((_, i) => results[i]?.ok === true).map(({ key }) => key);
        state.self.pipe(state.ledger.call.unhold({ keys }), "reconciled", { from, results, keys });
      };
      admit(state, cohort, request.rows, done, "of held keys");
      return noReply;
    },

    /** Errors: as `write`, and what the kind's function refuses with. */
    amend: (state, request: AmendRequest, from: From<unknown>) => {
      serving(state).writing(request.cohort);
      const base = rowKey(request.backend, request.key);
      state.amends.push({ type: "request", base, request, from });
      pumpAmends(state, base);
      return noReply;
    },

    get: (state, { cohort, keys }: GetRequest, from: From<(LiveRow | undefined)[]>) => {
      const { decidedAtMs } = serving(state).reading(cohort);
      for (const key of keys) refuseHeld(state, key);
      state.store.cast.readFor({ keys, from, decidedAtMs });
      return noReply;
    },

    scan: (state, { cohort, range, limit }: ScanRequest, from: From<LiveRow[]>) => {
      const { decidedAtMs } = serving(state).reading(cohort);
      refuseHeldIn(state, range);
      state.store.cast.scanFor({ range, limit, from, decidedAtMs });
      return noReply;
    },

    /**
     * Reads control again and takes it over. Answered when the own store is fenced and nothing that was admitted
     * before is in flight: then the ledger's counts of what is closed here are final, and what became live is
     * marked from here on, so that ranges may be scanned.
     */
    refresh: async (state, _: undefined, from: From<void>) => {
      await applyControl(state);
      raiseBarrier(state, () => state.self.reply(from, undefined));
      return noReply;
    },

    term: (state) => state.shardTerm,
  },

  cast: {
    /** Of a lost store: whether it can be taken back by now. */
    takeBack: ({ self, options, control }) =>
      self.pipe(takeBackReplica(self, options, control), "takenBack", undefined),

    takenBack: (state, result: Piped<undefined, void>) => {
      // A store that control knows again is started from the beginning.
      if (result.ok) return stop({ shutdown: "the peer fills the store again" });
      state.self.castAfter(dataLimits.takeBackPauseMs, "takeBack");
      return undefined;
    },

    /** With a lease: looks again what control says, in time before the last reading is too old to serve by. */
    renewLease: (state) =>
      state.self.pipe(readControl(state.control, state.self.clock), "leaseRead", undefined),

    leaseRead: async (state, result: Piped<undefined, ControlReading>) => {
      state.self.castAfter(state.lease.renewalMs, "renewLease");
      // While control is not reached, the lease runs out.
      if (!result.ok || !state.lease.isNews(result.value)) return;
      await applyReading(state, result.value);
      raiseBarrier(state, () => undefined);
    },

    reconciled: (
      state,
      {
        context,
        ...result
      }: Piped<{ from: From<WriteResult[]>; results: WriteResult[]; keys: RowKey[] }, number>,
    ) => {
      if (!result.ok) throw result.error;
      for (const key of context.keys) state.held.delete(key);
      state.self.reply(context.from, context.results);
    },

    flush: (state) => flush(state),

    marked: (state, { context: batch, ...result }: Piped<Admitted[], Absorbed>) => {
      if (!result.ok) refuseBatch(state, batch, result.error);
      else commit(state, batch, result.value);
    },

    committed: (
      state,
      { context, ...result }: Piped<{ batch: Admitted[]; absorbed: Absorbed }, ApplyResult[][]>,
    ) => {
      if (!result.ok) throw result.error;
      acknowledge(state, context.batch, context.absorbed, result.value);
    },

    amendRead: (state, { context: job, ...result }: Piped<AmendJob, (Row | undefined)[]>) => {
      if (result.ok) decideAmend(state, job, result.value);
      else amendUnread(state, job, result.error);
    },
  },

  info: (state, info: Info) => {
    if (info.type !== "message" || !isRenewMessage(info.message)) return;
    for (const key of info.message.keys) {
      const base = baseOf(key);
      state.amends.push({ type: "renew", base, key });
      pumpAmends(state, base);
    }
  },
});

// --- what control says -------------------------------------------------------------------------------------------

/** Reads control and takes it over. */
async function applyControl(state: State): Promise<void> {
  await applyReading(state, await readControl(state.control, state.self.clock));
}

/** Serves by it only once the store is fenced and the ledger knows: a failure on the way leaves what was in force. */
async function applyReading(state: State, reading: ControlReading): Promise<void> {
  state.leaving.seen(reading.decisions);
  const next = new AuthorityTable(state.options.site, (swap) => state.leaving.mayServe(swap));
  next.update(reading.cohorts, reading.decisions);
  const cohorts = next.ownTerms();
  await fenceOwnStore(state, cohorts);
  const { shardTerm, lost } = state;
  await state.ledger.call.sendUnder({ shardTerm, cohorts, lost, finished: next.allFinished });
  state.held = new Set(await state.ledger.call.held());
  state.authority = next;
  state.lease.takenOver(reading);
}

/** `passed` runs when nothing that was admitted before is in flight; ranges may be scanned then, if all is live. */
function raiseBarrier(state: State, passed: () => void): void {
  state.barriers.raise(() => {
    state.ledger.cast.mayScan(state.authority.allLive && state.lost === "");
    passed();
  });
}

async function fenceOwnStore(state: State, cohorts: Readonly<Record<Scope, number>>): Promise<void> {
  const terms = Object.entries(cohorts);
  const inForce = await state.store.call.fences(terms.map(([scope]) => scope));
  const behind = terms.filter(([, term], index) => (inForce[index] ?? 0) < term);
  // A prefix is read-only meanwhile: all at once, so that their commits share syncs.
  await Promise.all(behind.map(([scope, term]) => state.store.call.fence({ scope, term })));
}

function serving(state: State): AuthorityTable {
  if (state.lost !== "")
    throw new NanoError("lost", `${state.lost}; promote the other side or restore the store`);
  state.lease.check();
  return state.authority;
}

function refuseHeld(state: State, key: RowKey): void {
  if (!state.held.has(key)) return;
  throw new NanoError("held", "the key waits in db_perror for reconciliation", { key });
}

/** A held row may be missing here: what is shown without it would be wrong. */
function refuseHeldIn(state: State, range: ScanRange): void {
  for (const key of state.held) {
    if (compareKeys(key, range.from) >= 0 && (range.to === "" || compareKeys(key, range.to) < 0)) {
      refuseHeld(state, key);
    }
  }
}

// --- a write's way -----------------------------------------------------------------------------------------------

/** Gives each row its version and puts it into the next batch. */
function admit(
  state: State,
  cohort: CohortState,
  rows: readonly RowWrite[],
  done: (results: WriteResult[]) => void,
  which: "of held keys" | "of others" = "of others",
): void {
  const operation: Operation = { results: new Array(rows.length), missing: rows.length, done };
  if (rows.length === 0) done([]);
  rows.forEach((write, index) => {
    if (which === "of others" && state.held.has(write.key)) {
      const message = "the key waits in db_perror for reconciliation";
      finishRow(operation, index, { ok: false, code: "held", message });
      return;
    }
    const version: Version = [cohort.term, state.shardTerm, ++state.n];
    state.amends.admitted(baseOf(write.key));
    const epoch = state.barriers.begin();
    const row: Row = { key: write.key, version, value: write.value, expiresAtMs: write.expiresAtMs };
    state.filling.push({ row, cohort, operation, index, epoch });
  });
  wantFlush(state);
}

function wantFlush(state: State): void {
  if (state.flushing || state.filling.length === 0) return;
  if (state.batchesInFlight >= dataLimits.admitBatchesInFlightMax) return;
  state.flushing = true;
  state.self.castSelf("flush");
}

/** Marks first. Rows of cohorts that are not migrated need none. Only `wantFlush` asks for it, when there are rows. */
function flush(state: State): void {
  state.flushing = false;
  const batch = state.filling.splice(0, dataLimits.admitBatchMax);
  state.batchesInFlight++;
  const admissions: Admission[] = batch.map(({ row, cohort }) => ({
    key: row.key,
    cohort: cohort.cohort,
    version: row.version,
    live: cohort.live,
  }));
  // No time-out, as below: the ledger answers what the log says, or ends, and then this process does.
  const marked = state.ledger.call.admit(admissions, { timeoutMs: Number.POSITIVE_INFINITY });
  state.self.pipe(marked, "marked", batch);
  wantFlush(state);
}

function commit(state: State, batch: Admitted[], absorbed: Absorbed): void {
  const shard = { scope: shardScope(state.options.site, state.options.shard), term: state.shardTerm };
  const groups = batch.map(({ row, cohort: { cohort: scope, term } }): ApplyGroup => {
    return { grants: [{ scope, term }, shard], rows: [row] };
  });
  // No time-out: an outcome that is never known ends with this process or the store's, and is settled by a restart.
  const applied = state.store.call.apply(groups, { timeoutMs: Number.POSITIVE_INFINITY });
  state.self.pipe(applied, "committed", { batch, absorbed });
}

/** Answers each client, settles the marks, then hands the keys to the queuer. */
function acknowledge(state: State, batch: Admitted[], absorbed: Absorbed, results: ApplyResult[][]): void {
  assert(results.length === batch.length, "a result for each row");
  const forward: RowKey[] = [];
  batch.forEach(({ row, operation, index }, i) => {
    finishRow(operation, index, writeResult(row, results[i]?.[0]));
    if (absorbed[i] === "") forward.push(row.key);
  });
  settle(state, batch, absorbed);
  if (forward.length > 0) state.queuer.cast.push(forward);
  endBatch(state, batch);
}

/** The log could not take the marks: nothing was written, and the ledger has settled them. */
function refuseBatch(state: State, batch: Admitted[], error: NanoError): void {
  for (const { operation, index } of batch) {
    finishRow(operation, index, { ok: false, code: "unavailable", message: error.message });
  }
  endBatch(state, batch);
}

function settle(state: State, batch: Admitted[], absorbed: Absorbed): void {
  state.ledger.cast.settle(batch.map(({ row }, i) => ({ key: row.key, range: absorbed[i] ?? "" })));
}

function endBatch(state: State, batch: Admitted[]): void {
  state.batchesInFlight--;
  const bases = new Set<RowKey>();
  for (const { row, epoch } of batch) {
    const base = baseOf(row.key);
    state.amends.settled(base);
    bases.add(base);
    state.barriers.end(epoch);
  }
  for (const base of bases) pumpAmends(state, base);
  wantFlush(state);
}

function finishRow(operation: Operation, index: number, result: WriteResult): void {
  operation.results[index] = result;
  if (--operation.missing === 0) operation.done(operation.results as WriteResult[]);
}

// --- amends ------------------------------------------------------------------------------------------------------

/** Starts the next amend of a key once nothing of that key is pending. */
function pumpAmends(state: State, base: RowKey): void {
  const job = state.amends.begin(base);
  if (job === undefined) return;
  const rows: Promise<(Row | undefined)[]> =
    job.type === "renew"
      ? state.store.call.get([job.key])
      : state.store.call.scan({ range: keyRange(base), limit: dataLimits.rowsPerKeyMax });
  state.self.pipe(rows, "amendRead", job);
}

function decideAmend(state: State, job: AmendJob, rows: (Row | undefined)[]): void {
  if (state.amends.movedSince(job)) {
    pumpAmends(state, job.base);
    return;
  }
  state.amends.finish(job);
  try {
    if (job.type === "renew") renew(state, job.key, rows[0]);
    else amend(state, job.request, job.from, rows);
  } catch (error) {
    if (!(error instanceof NanoError)) throw error;
    if (job.type === "request") state.self.replyError(job.from, error);
  }
  pumpAmends(state, job.base);
}

/** Nothing was done, so a request is refused; a renewal is owed to the ledger, so this process starts anew. */
function amendUnread(state: State, job: AmendJob, error: NanoError): void {
  if (job.type === "renew") throw error;
  state.amends.finish(job);
  const { code: reason, message } = error;
  state.self.replyError(job.from, { code: "unavailable", message, details: { reason } });
  pumpAmends(state, job.base);
}

function amend(state: State, request: AmendRequest, from: From<unknown>, rows: (Row | undefined)[]): void {
  const cohort = serving(state).writing(request.cohort);
  const decide = amendFunctions[request.operation];
  if (decide === undefined) {
    throw new NanoError("bad_argument", `no amend named ${request.operation}`, { field: "operation" });
  }
  const nowMs = Math.max(state.self.clock.now(), cohort.decidedAtMs);
  const live = rows.map((row) => liveRow(row, nowMs)).filter((row) => row !== undefined);
  refuseHeldIn(state, keyRange(rowKey(request.backend, request.key)));
  const rowKeyOf = (sub: string): RowKey => rowKey(request.backend, request.key, sub);
  const { writes, answer } = decide(live, request.message, { nowMs, rowKeyOf });
  admit(state, cohort, writes, (results) => {
    const failed = results.find((result) => !result.ok);
    if (failed === undefined) state.self.reply(from, answer);
    else state.self.replyError(from, { code: failed.code, message: failed.message });
  });
}

/** The current row, or its absence, gets a version that is newer than anything the peer can have of ours. */
function renew(state: State, key: RowKey, row: Row | undefined): void {
  const cohort = serving(state).reading(cohortOfRow(state.cohortOf, key));
  const write: RowWrite = { key, value: row?.value ?? null, expiresAtMs: row?.expiresAtMs ?? 0 };
  admit(state, cohort, [write], () => undefined);
}

function baseOf(key: RowKey): RowKey {
  const { backend, key: plain } = splitRowKey(key);
  return rowKey(backend, plain);
}

/** All rows of one key: `base` ends in the separator before the sub-key. */
function keyRange(base: RowKey): ScanRange {
  return { from: base, to: `${base.slice(0, -1)}\u0001` };
}

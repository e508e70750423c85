/**
 * db_store: owns one shard's store of one site. Nobody else opens it; the other site reaches it by these messages.
 *
 * State: the open store, the applies that wait for the next commit, whether one is under way. Applies that wait
 * together are committed together. Messages are the store contract's (stores/contract.ts).
 *
 * Always true: an apply sent after a fence was answered is checked against it; an apply is answered only when it is
 * as durable as the store's capabilities say; one commit at a time.
 */

import { type From, genServer, noReply, type Piped, type Self, toErrorData } from "../src/index.ts";
import type { Row, RowKey, Scope, Version } from "./records.ts";
import type { LiveRow } from "./shard_messages.ts";
import type { ShardOptions } from "./shard_options.ts";
import type { ApplyGroup, ApplyResult, EncodedRow, Identity, ScanRange } from "./store_messages.ts";
import type { Store } from "./stores/contract.ts";
import { encodeRow } from "./stores/row_codec.ts";

/** The resource named `stores`: opens the store of a shard. */
export interface StoreOpener {
  open(site: string, shard: number): Promise<Store>;
}

interface WaitingApply {
  readonly groups: readonly ApplyGroup[];
  readonly from: From<ApplyResult[][]>;
}

interface State {
  readonly self: Self;
  readonly store: Store;
  waiting: WaitingApply[];
  committing: boolean;
}

export const db_store = genServer(import.meta.url, "db_store", {
  deadlines: "own",
  init: async (options: ShardOptions, self): Promise<State> => {
    const store = await self.resource<StoreOpener>("stores").open(options.site, options.shard);
    return { self, store, waiting: [], committing: false };
  },

  call: {
    apply: (state, groups: readonly ApplyGroup[], from: From<ApplyResult[][]>) => {
      if (state.waiting.push({ groups, from }) === 1 && !state.committing) state.self.castSelf("commit");
      return noReply;
    },
    get: (state, keys: readonly RowKey[], from: From<(Row | undefined)[]>) =>
      answer(state, from, state.store.get(keys)),
    scan: (state, { range, limit }: RangeRequest, from: From<Row[]>) =>
      answer(state, from, state.store.scan(range, limit)),
    peek: (state, { range, limit }: RangeRequest, from: From<Row[]>) =>
      answer(state, from, state.store.peek(range, limit)),
    peekEncoded: (state, { range, limit }: RangeRequest, from: From<EncodedRow[]>) =>
      answer(state, from, peekEncoded(state.store, range, limit)),
    lookup: (
      state,
      { backend, sub, limit }: { backend: string; sub: string; limit: number },
      from: From<string[]>,
    ) => answer(state, from, state.store.lookup(backend, sub, limit)),
    fence: (state, { scope, term }: { scope: Scope; term: number }, from: From<number>) =>
      answer(state, from, state.store.fence(scope, term)),
    fences: (state, scopes: readonly Scope[], from: From<number[]>) =>
      answer(state, from, state.store.fences(scopes)),
    collect: (state, { key, version }: { key: RowKey; version: Version }, from: From<boolean>) =>
      answer(state, from, state.store.collect(key, version)),
    identity: (state, _: undefined, from: From<Identity>) => answer(state, from, state.store.identity()),
    sync: (state, _: undefined, from: From<void>) => answer(state, from, state.store.sync()),
  },

  cast: {
    /** Everything that waits becomes one batch; what comes meanwhile, the next. */
    commit: (state) => {
      if (state.committing || state.waiting.length === 0) return;
      const batch = state.waiting;
      state.waiting = [];
      state.committing = true;
      const applied = state.store.apply(batch.flatMap(({ groups }) => groups));
      state.self.pipe(applied, "committed", batch);
    },

    /** A failure ends this process: its outcome is unknown. */
    committed: (state, { context: batch, ...result }: Piped<WaitingApply[], ApplyResult[][]>) => {
      if (!result.ok) throw result.error;
      state.committing = false;
      let next = 0;
      for (const { groups, from } of batch) {
        state.self.reply(from, result.value.slice(next, next + groups.length));
        next += groups.length;
      }
      if (state.waiting.length > 0) state.self.castSelf("commit");
    },

    /** Reads for a client whose request db_switch let pass; answers the client itself. */
    readFor: (
      state,
      { keys, from, decidedAtMs }: Judged & { keys: readonly RowKey[]; from: From<(LiveRow | undefined)[]> },
    ) => {
      const now = Math.max(state.self.clock.now(), decidedAtMs);
      const shown = state.store.get(keys).then((rows) => rows.map((row) => liveRow(row, now)));
      answer(state, from, shown);
    },
    scanFor: (state, { from, ...request }: Judged & RangeRequest & { readonly from: From<LiveRow[]> }) => {
      answer(state, from, liveRows(state, request));
    },
  },

  terminate: async (state) => {
    // What still waits is committed; nobody hears of it any more.
    if (state.waiting.length > 0) await state.store.apply(state.waiting.flatMap(({ groups }) => groups));
    await state.store.close();
  },
});

interface RangeRequest {
  readonly range: ScanRange;
  readonly limit: number;
}

/** What has expired is judged by the later of the own clock and this, ms since 1970: the side that left may lead. */
export interface Judged {
  readonly decidedAtMs: number;
}

/** Answers when the store has: other requests go on meanwhile, in the store's order. */
function answer<T>({ self }: State, from: From<T>, result: Promise<T>) {
  result.then(
    (value) => self.reply(from, value),
    (error) => self.replyError(from, toErrorData(error)),
  );
  return noReply;
}

async function peekEncoded(store: Store, range: ScanRange, limit: number): Promise<EncodedRow[]> {
  if (store.peekEncoded !== undefined) return store.peekEncoded(range, limit);
  const rows = await store.peek(range, limit);
  return rows.map((row) => ({ key: row.key, value: encodeRow(row) }));
}

/** Up to `limit` rows that are shown, however many are not between them. */
async function liveRows(
  { self, store }: State,
  { range, limit, decidedAtMs }: RangeRequest & Judged,
): Promise<LiveRow[]> {
  const now = Math.max(self.clock.now(), decidedAtMs);
  const live: LiveRow[] = [];
  for (let from = range.from; ; ) {
    const rows = await store.scan({ from, to: range.to }, limit);
    for (const row of rows) {
      const shown = liveRow(row, now);
      if (shown !== undefined && live.length < limit) live.push(shown);
    }
    const last = rows.at(-1);
    if (last === undefined || rows.length < limit || live.length >= limit) return live;
    from = `${last.key}\u0000`;
  }
}

/** What a client may see of a row: nothing of a tombstone or of what has expired. */
export function liveRow(row: Row | undefined, nowMs: number): LiveRow | undefined {
  if (row === undefined || row.value === null) return undefined;
  if (row.expiresAtMs > 0 && row.expiresAtMs <= nowMs) return undefined;
  return { key: row.key, value: row.value, expiresAtMs: row.expiresAtMs };
}

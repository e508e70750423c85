/**
 * db_store: owns one shard's store of one site. Nobody else opens it; the other site reaches it by these messages.
 *
 * State: the open store, and the applies that wait for the next commit. Applies that wait together are committed
 * together. Messages are the store contract's (stores/contract.ts).
 *
 * Always true: calls are served in order, so an apply sent after a fence was answered is checked against it;
 * an apply is answered only when it is as durable as the store's capabilities say.
 */

import { type From, genServer, noReply, type Self } from "../src/index.ts";
import type { Row, RowKey, Scope, Version } from "./records.ts";
import type { LiveRow } from "./shard_messages.ts";
import type { ShardOptions } from "./shard_options.ts";
import type { ApplyGroup, ApplyResult, Identity, ScanRange } from "./store_messages.ts";
import type { Store } from "./stores/contract.ts";

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
}

export const db_store = genServer(import.meta.url, "db_store", {
  init: async (options: ShardOptions, self): Promise<State> => {
    const store = await self.resource<StoreOpener>("stores").open(options.site, options.shard);
    return { self, store, waiting: [] };
  },

  call: {
    apply: (state, groups: readonly ApplyGroup[], from: From<ApplyResult[][]>) => {
      if (state.waiting.push({ groups, from }) === 1) state.self.castSelf("commit");
      return noReply;
    },
    get: async (state, keys: readonly RowKey[]): Promise<(Row | undefined)[]> => {
      await commit(state);
      return state.store.get(keys);
    },
    scan: async (state, { range, limit }: { range: ScanRange; limit: number }): Promise<Row[]> => {
      await commit(state);
      return state.store.scan(range, limit);
    },
    lookup: (
      state,
      { backend, sub, limit }: { backend: string; sub: string; limit: number },
    ): Promise<string[]> => state.store.lookup(backend, sub, limit),
    fence: async (state, { scope, term }: { scope: Scope; term: number }): Promise<number> => {
      await commit(state);
      return state.store.fence(scope, term);
    },
    fences: (state, scopes: readonly Scope[]): Promise<number[]> => state.store.fences(scopes),
    collect: async (state, { key, version }: { key: RowKey; version: Version }): Promise<boolean> => {
      await commit(state);
      return state.store.collect(key, version);
    },
    identity: (state): Promise<Identity> => state.store.identity(),
    sync: async (state): Promise<void> => {
      await commit(state);
      await state.store.sync();
    },
  },

  cast: {
    commit: (state) => commit(state),
    /** Reads for a client whose request db_switch let pass; answers the client itself. */
    readFor: async (
      state,
      { keys, from }: { keys: readonly RowKey[]; from: From<(LiveRow | undefined)[]> },
    ) => {
      const now = state.self.clock.now();
      const rows = await state.store.get(keys);
      state.self.reply(
        from,
        rows.map((row) => liveRow(row, now)),
      );
    },
    scanFor: async (
      state,
      { range, limit, from }: { range: ScanRange; limit: number; from: From<LiveRow[]> },
    ) => {
      const now = state.self.clock.now();
      const live: LiveRow[] = [];
      let next = range.from;
      for (;;) {
        const rows = await state.store.scan({ from: next, to: range.to }, limit);
        for (const row of rows) {
          const shown = liveRow(row, now);
          if (shown !== undefined && live.length < limit) live.push(shown);
        }
        const last = rows.at(-1);
        if (last === undefined || rows.length < limit || live.length >= limit) break;
        next = `${last.key}\u0000`;
      }
      state.self.reply(from, live);
    },
  },

  terminate: async (state) => {
    await commit(state);
    await state.store.close();
  },
});

/** What a client may see of a row: nothing of a tombstone or of what has expired. */
export function liveRow(row: Row | undefined, nowMs: number): LiveRow | undefined {
  if (row === undefined || row.value === null) return undefined;
  if (row.expiresAtMs > 0 && row.expiresAtMs <= nowMs) return undefined;
  return { key: row.key, value: row.value, expiresAtMs: row.expiresAtMs };
}

/** Commits all applies that wait, in one batch, and answers each. A failure crashes the process: outcome unknown. */
async function commit(state: State): Promise<void> {
  if (state.waiting.length === 0) return;
  const batch = state.waiting;
  state.waiting = [];
  const results = await state.store.apply(batch.flatMap(({ groups }) => groups));
  let next = 0;
  for (const { groups, from } of batch) {
    state.self.reply(from, results.slice(next, next + groups.length));
    next += groups.length;
  }
}

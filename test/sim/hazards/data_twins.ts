/**
 * Broken twins for the hazards of what a store holds: its identity, expiry, one-time keys, relations, ranges. Each leaves
 * out one thing of a db_* actor and is the product's own otherwise.
 */

import { db_crawler } from "../../../actors/db_crawler.ts";
import { db_store } from "../../../actors/db_store.ts";
import type { Row, RowKey } from "../../../actors/records.ts";
import type { ShardOptions } from "../../../actors/shard_options.ts";
import type { ApplyGroup } from "../../../actors/store_messages.ts";
import type { Store } from "../../../actors/stores/contract.ts";
import { type Definition, type From, genServer, noReply, type Self } from "../../../src/index.ts";
import type { Callbacks } from "./late_messages.ts";

const crawler: Callbacks<typeof db_crawler> = db_crawler.callbacks;
const store: Callbacks<typeof db_store> = db_store.callbacks;

// --- N: identity -------------------------------------------------------------------------------------------------

const never = Number.MAX_SAFE_INTEGER;

/** The product's own over another store. */
function over(name: string, change: (store: Store) => Partial<Store>): Definition<ShardOptions> {
  return genServer(import.meta.url, name, {
    ...(store as Callbacks<Definition>),
    init: async (options: ShardOptions, self) => {
      const state: { readonly store: Store } = await store.init(options, self);
      return { ...state, store: { ...state.store, ...change(state.store) } };
    },
  });
}

/** Of an incarnation, and fenced, as high as anybody could remember it. */
export const incarnate_store = over("incarnate_store", (own) => ({
  identity: async () => ({ ...(await own.identity()), incarnation: never }),
  fences: async (scopes) => scopes.map(() => never),
}));

/** Fenced as high as anybody could remember it. */
export const unfenced_identity_store = over("unfenced_identity_store", (own) => ({
  fences: async (scopes) => (scopes.some((scope) => scope.startsWith("A/")) ? [never] : own.fences(scopes)),
}));

/** Goes on, however many rows only the peer has. */
export const uncounting_crawler: Definition<ShardOptions> = genServer(import.meta.url, "uncounting_crawler", {
  ...(crawler as Callbacks<Definition>),
  init: async (options: ShardOptions, self) =>
    crawler.init({ ...options, tuning: { ...options.tuning, deletesPerRangeMax: never } }, self),
});

// --- expiry ------------------------------------------------------------------------------------------------------

/** No absolute time is as small, ms. */
const leftMsMax = 1e9;

interface Timed {
  readonly self: Self;
}

/** What is read for the peer tells how long it still lives, and that is counted from its arrival. */
export const relative_store: Definition<ShardOptions> = genServer(import.meta.url, "relative_store", {
  ...(store as Callbacks<Definition>),
  call: {
    ...store.call,
    get: (state: Timed, keys: readonly RowKey[], from: From<(Row | undefined)[]>) => {
      const { self, store: own } = state as Timed & { readonly store: Store };
      const left = (row: Row): Row =>
        row.expiresAtMs === 0 ? row : { ...row, expiresAtMs: row.expiresAtMs - self.clock.now() };
      void own.get(keys).then((rows) =>
        self.reply(
          from,
          rows.map((row) => row && left(row)),
        ),
      );
      return noReply;
    },
    apply: (state: Timed, groups: readonly ApplyGroup[], from: never) => {
      const absolute = (row: Row): Row =>
        row.expiresAtMs > 0 && row.expiresAtMs < leftMsMax
          ? { ...row, expiresAtMs: row.expiresAtMs + state.self.clock.now() }
          : row;
      const timed = groups.map((group) => ({ ...group, rows: group.rows.map(absolute) }));
      return store.call.apply(state as never, timed, from);
    },
  },
});

/**
 * Broken twins for the hazards of what a store holds: its identity, expiry, one-time keys, relations, ranges. Each
 * leaves out one thing of a db_* actor and is the product's own otherwise.
 */

import { db_crawler } from "../../../actors/db_crawler.ts";
import { type Admission, db_dirty_keys } from "../../../actors/db_dirty_keys.ts";
import { db_store } from "../../../actors/db_store.ts";
import { db_switch } from "../../../actors/db_switch.ts";
import type { Ledger } from "../../../actors/ledger.ts";
import { type Row, type RowKey, splitRowKey } from "../../../actors/records.ts";
import type { ShardOptions } from "../../../actors/shard_options.ts";
import type { ApplyGroup } from "../../../actors/store_messages.ts";
import type { Store } from "../../../actors/stores/contract.ts";
import { type Definition, type From, genServer, noReply, type Self } from "../../../src/index.ts";
import type { Callbacks } from "./late_messages.ts";

const admission: Callbacks<typeof db_switch> = db_switch.callbacks;
const crawler: Callbacks<typeof db_crawler> = db_crawler.callbacks;
const ledger: Callbacks<typeof db_dirty_keys> = db_dirty_keys.callbacks;
const store: Callbacks<typeof db_store> = db_store.callbacks;

// --- N: identity -------------------------------------------------------------------------------------------------

const never = Number.MAX_SAFE_INTEGER;

/** The product's own over another store. */
function over(
  name: string,
  change: (store: Store, options: ShardOptions) => Partial<Store>,
): Definition<ShardOptions> {
  return genServer(import.meta.url, name, {
    ...(store as Callbacks<Definition>),
    init: async (options: ShardOptions, self) => {
      const state: { readonly store: Store } = await store.init(options, self);
      return { ...state, store: { ...state.store, ...change(state.store, options) } };
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

// --- A: nothing pending ------------------------------------------------------------------------------------------

/** A client's patience, ms. */
const patienceMs = 500;

/** What is not committed after a while is taken for settled, and repaired. */
export const impatient_ledger: Definition<ShardOptions> = genServer(import.meta.url, "impatient_ledger", {
  ...(ledger as Callbacks<Definition>),
  call: {
    ...ledger.call,
    admit: (state: Timed, admissions: readonly Admission[], from: never) => {
      state.self.castAfter(
        patienceMs,
        "lostPatience",
        admissions.map((each) => each.key),
      );
      return ledger.call.admit(state as never, admissions, from);
    },
  },
  cast: {
    ...ledger.cast,
    lostPatience: (state: Timed & { readonly ledger: Ledger }, keys: readonly RowKey[]) => {
      for (const key of keys) {
        if (state.ledger.settle(key) !== undefined) state.ledger.own(key, "replay");
      }
      ledger.cast.unpark(state as never, []);
    },
  },
});

// --- W: a range closes first -------------------------------------------------------------------------------------

/** The ledger's own start, over a `Ledger` with other answers. */
function withLedger(name: string, change: (own: Ledger) => Partial<Ledger>): Definition<ShardOptions> {
  return genServer(import.meta.url, name, {
    ...(ledger as Callbacks<Definition>),
    init: async (options: ShardOptions, self) => {
      const state: { readonly ledger: Ledger } = await ledger.init(options, self);
      Object.assign(state.ledger, change(state.ledger));
      return state;
    },
  });
}

/** Gives a range away whatever is pending in it. */
export const impatient_range_ledger = withLedger("impatient_range_ledger", () => ({ rangePending: () => 0 }));

/** Writes are absorbed by a range that is being scanned. */
export const open_range_ledger = withLedger("open_range_ledger", (own) => ({
  collecting: (cohort) => own.ranges().find((range) => range.cohort === cohort),
}));

// --- one-time keys -----------------------------------------------------------------------------------------------

interface AmendRequestOf {
  readonly message: { readonly requestId?: string };
}

/** Every take is another request. */
export const forgetting_switch: Definition<ShardOptions> = genServer(import.meta.url, "forgetting_switch", {
  ...(admission as Callbacks<Definition>),
  call: {
    ...admission.call,
    amend: (state: Timed, request: AmendRequestOf, from: never) => {
      const { requestId } = request.message;
      const once = `${requestId} at ${state.self.clock.monotonicMs()}`;
      const message = requestId === undefined ? request.message : { requestId: once };
      return admission.call.amend(state as never, { ...request, message } as never, from);
    },
  },
});

/** Amends do not wait for what is admitted and not committed. */
export const hasty_amends_switch: Definition<ShardOptions> = genServer(
  import.meta.url,
  "hasty_amends_switch",
  {
    ...(admission as Callbacks<Definition>),
    init: async (options: ShardOptions, self) => {
      const state: { readonly amends: object } = await admission.init(options, self);
      Object.assign(state.amends, { admitted: () => undefined, settled: () => undefined });
      return state;
    },
  },
);

// --- relations ---------------------------------------------------------------------------------------------------

/** Its reverse index knows the rows that its own site admitted, not those that the peer sent. */
export const own_index_store = over("own_index_store", (own, { site }) => {
  const index = new Map<string, Set<string>>();
  const note = ({ key: row, value }: Row): void => {
    const { key, sub } = splitRowKey(row);
    const keys = new Set(index.get(sub));
    if (value === null) keys.delete(key);
    else keys.add(key);
    index.set(sub, keys);
  };
  return {
    apply: (groups) => {
      for (const { grants, rows } of groups) {
        if (grants.some(({ scope }) => scope.startsWith(`${site}/`))) for (const row of rows) note(row);
      }
      return own.apply(groups);
    },
    lookup: async (_backend, sub) => [...(index.get(sub) ?? [])],
  };
});

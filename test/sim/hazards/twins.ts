/**
 * Broken twins for the hazards: each is a db_* actor without one mechanism, and the product's own otherwise. They are
 * planted by name through `WorldOptions.replaced`.
 */

import { db_crawler } from "../../../actors/db_crawler.ts";
import { db_dirty_keys } from "../../../actors/db_dirty_keys.ts";
import type { db_dirty_log } from "../../../actors/db_dirty_log.ts";
import { db_queuer } from "../../../actors/db_queuer.ts";
import { db_store } from "../../../actors/db_store.ts";
import type { Ledger, Outcome, Taken } from "../../../actors/ledger.ts";
import type { Admission } from "../../../actors/ledger_messages.ts";
import type { LogRecord } from "../../../actors/log_records.ts";
import { PeerSender } from "../../../actors/peer_sender.ts";
import type { RangeReader } from "../../../actors/range_reader.ts";
import type { Row, RowKey } from "../../../actors/records.ts";
import { type ShardOptions, shardProcess } from "../../../actors/shard_options.ts";
import type { ApplyGroup } from "../../../actors/store_messages.ts";
import type { Store } from "../../../actors/stores/contract.ts";
import { type Definition, genServer, type Ref, type Self } from "../../../src/index.ts";

type Callbacks<D> = D extends Definition ? D["callbacks"] : never;

const crawler: Callbacks<typeof db_crawler> = db_crawler.callbacks;
const ledger: Callbacks<typeof db_dirty_keys> = db_dirty_keys.callbacks;
const queuer: Callbacks<typeof db_queuer> = db_queuer.callbacks;
const store: Callbacks<typeof db_store> = db_store.callbacks;

// --- V: versions -------------------------------------------------------------------------------------------------

/** Whatever comes last is written, however old it is. */
export const unversioned_store: Definition<ShardOptions> = genServer(import.meta.url, "unversioned_store", {
  ...(store as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => {
    const state: { readonly store: Store } = await store.init(options, self);
    return { ...state, store: lastWins(state.store) };
  },
});

function lastWins(checked: Store): Store {
  return {
    ...checked,
    apply: async (groups) => {
      const results = await checked.apply(groups);
      for (const [g, { grants, rows }] of groups.entries()) {
        for (const [i, row] of rows.entries()) {
          const result = results[g]?.[i];
          if (result?.status !== "stale") continue;
          const [cohortTerm, shardTerm, n] = result.current;
          await checked.apply([{ grants, rows: [{ ...row, version: [cohortTerm, shardTerm, n + 1] }] }]);
          results[g]?.splice(i, 1, { status: "applied" });
        }
      }
      return results;
    },
  };
}

// --- S: state, not operations ------------------------------------------------------------------------------------

/** Sends the rows that its scan saw, not the current ones. */
export const scanning_crawler: Definition<ShardOptions> = genServer(import.meta.url, "scanning_crawler", {
  ...(crawler as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => {
    const seen = new Map<RowKey, Row | undefined>();
    const state: { readonly reader: RangeReader } = await crawler.init(options, self);
    const own = shardProcess(options.site, options.shard, "db_store");
    const seenRows = { call: { get: async (keys: readonly RowKey[]) => keys.map((key) => seen.get(key)) } };
    const blind = {
      clock: self.clock,
      ref: (definition: Definition, name: string) => (name === own ? seenRows : self.ref(definition, name)),
    } as unknown as Self;
    const reader: Pick<RangeReader, "read"> = {
      read: async (range, limit) => {
        const stretch = await state.reader.read(range, limit);
        for (const { key, local } of stretch.pairs) seen.set(key, local);
        return stretch;
      },
    };
    return { ...state, reader, sender: new PeerSender(blind, options) };
  },
});

// --- D: dirty first ----------------------------------------------------------------------------------------------

interface LateState {
  readonly self: Self;
  readonly ledger: Ledger;
  readonly log: Ref<typeof db_dirty_log>;
  readonly options: ShardOptions;
  readonly admitted: Map<RowKey, Admission[]>;
}

/** Makes the mark when the local write is done. */
export const late_ledger: Definition<ShardOptions> = genServer(import.meta.url, "late_ledger", {
  ...(ledger as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => ({
    ...(await ledger.init(options, self)),
    admitted: new Map(),
  }),
  call: {
    ...ledger.call,
    admit: (state: LateState, admissions: readonly Admission[]) =>
      admissions.map((admission) => {
        const earlier = state.admitted.get(admission.key);
        if (earlier === undefined) state.admitted.set(admission.key, [admission]);
        else earlier.push(admission);
        return "";
      }),
  },
  cast: {
    ...ledger.cast,
    settle: (state: LateState, settled: readonly { readonly key: RowKey; readonly range: string }[]) => {
      const records: LogRecord[] = [];
      for (const { key } of settled) {
        const admission = state.admitted.get(key)?.shift();
        if (admission === undefined || !admission.live) continue;
        const { cohort, version } = admission;
        state.ledger.admit(key, cohort, version, state.self.clock.now());
        const { shard } = state.options;
        records.push({ type: "mark", shard, shardTerm: version[1], key, version, owner: "queuer" });
      }
      state.self.pipe(state.log.call.append(records), "noted", undefined);
      return ledger.cast.settle(state as never, settled);
    },
    noted: () => undefined,
  },
});

type Append = (records: readonly LogRecord[]) => Promise<void>;

/** The ledger's own start, with another way to append to its log. */
async function withAppend(options: ShardOptions, self: Self, appendBy: (own: Append) => Append) {
  const state: { readonly log: Ref<typeof db_dirty_log> } = await ledger.init(options, self);
  const { call, cast } = state.log;
  return { ...state, log: { call: { append: appendBy((records) => call.append(records)) }, cast } };
}

/** Keeps marks in memory only; what it logs in their place says nothing. */
export const volatile_ledger: Definition<ShardOptions> = genServer(import.meta.url, "volatile_ledger", {
  ...(ledger as Callbacks<Definition>),
  init: (options: ShardOptions, self) =>
    withAppend(options, self, (append) => (records) => {
      const unmarked = records.map((record): LogRecord => {
        if (record.type !== "mark") return record;
        const { shard, shardTerm, key, version } = record;
        return { type: "clear", shard, shardTerm, key, version };
      });
      return append(unmarked);
    }),
});

/** Says that a mark is durable when it has been handed to the log. */
export const unsynced_ledger: Definition<ShardOptions> = genServer(import.meta.url, "unsynced_ledger", {
  ...(ledger as Callbacks<Definition>),
  init: (options: ShardOptions, self) =>
    withAppend(options, self, (append) => async (records) => {
      append(records).catch(() => undefined);
    }),
});

/** A confirmed send clears the mark, whatever was admitted meanwhile. */
export const unversioned_ledger: Definition<ShardOptions> = genServer(import.meta.url, "unversioned_ledger", {
  ...(ledger as Callbacks<Definition>),
  call: {
    ...ledger.call,
    release: (
      state: { readonly ledger: Ledger },
      results: readonly { readonly taken: Taken; readonly outcome: Outcome }[],
    ) => {
      const current = results.map(({ taken, outcome }) => {
        const version = state.ledger.version(taken.key) ?? taken.version;
        return { taken: { ...taken, version }, outcome };
      });
      return ledger.call.release(state as never, current);
    },
  },
});

/** Clears a mark by a send that read its row while a newer version was on its way to the local store. */
export const hasty_ledger: Definition<ShardOptions> = genServer(import.meta.url, "hasty_ledger", {
  ...(ledger as Callbacks<Definition>),
  call: {
    ...ledger.call,
    release: (state: never, results: readonly { readonly taken: Taken; readonly outcome: Outcome }[]) =>
      ledger.call.release(
        state,
        results.map(({ taken, outcome }) => ({ taken: { ...taken, pending: 0 }, outcome })),
      ),
  },
});

// --- order: local commit before the send -------------------------------------------------------------------------

interface EagerState {
  readonly options: ShardOptions;
  readonly peer: Ref<typeof db_store>;
}

/** Site A's store tells the peer before it commits. */
export const eager_store: Definition<ShardOptions> = genServer(import.meta.url, "eager_store", {
  ...(store as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => {
    const peer = self.ref(db_store, shardProcess(options.peerSite, options.shard, "db_store"));
    return { ...(await store.init(options, self)), options, peer };
  },
  call: {
    ...store.call,
    apply: (state: EagerState, groups: readonly ApplyGroup[], from: never) => {
      if (state.options.site === "A") state.peer.call.apply(groups).catch(() => undefined);
      return store.call.apply(state as never, groups, from);
    },
  },
});

// --- Q: a discard degrades ---------------------------------------------------------------------------------------

interface SilentState {
  readonly options: ShardOptions;
  readonly waiting: ReadonlySet<RowKey>;
  discarded: number;
}

/** Drops what does not fit into its queue. */
export const silent_queuer: Definition<ShardOptions> = genServer(import.meta.url, "silent_queuer", {
  ...(queuer as Callbacks<Definition>),
  cast: {
    ...queuer.cast,
    push: (state: SilentState, keys: readonly RowKey[]) => {
      for (const key of keys) {
        if (state.waiting.size < state.options.tuning.queueMax) queuer.cast.push(state as never, [key]);
        else state.discarded++;
      }
    },
  },
});

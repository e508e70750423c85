/**
 * Broken twins of the db_* actors: each leaves out one thing that keeps a promise, and is the product's own
 * otherwise. The main job with one of them must end with a lost or unaccounted key; a proof that passes with a twin
 * proves nothing.
 */

import type { ControlStore, DecisionRecord } from "../../actors/control_store.ts";
import { db_dirty_keys } from "../../actors/db_dirty_keys.ts";
import { db_store } from "../../actors/db_store.ts";
import { db_switch } from "../../actors/db_switch.ts";
import type { Outcome, Taken } from "../../actors/ledger.ts";
import type { Admission } from "../../actors/ledger_messages.ts";
import type { CohortId, Row, RowKey, Scope, Site } from "../../actors/records.ts";
import type { ShardOptions } from "../../actors/shard_options.ts";
import type { Store } from "../../actors/stores/contract.ts";
import type { JobReplacements } from "../../app/system/job.ts";
import { crc32c, type Definition, type From, genServer, type Self } from "../../src/index.ts";

type Callbacks<D> = D extends Definition ? D["callbacks"] : never;

const ledger: Callbacks<typeof db_dirty_keys> = db_dirty_keys.callbacks;
const store: Callbacks<typeof db_store> = db_store.callbacks;
const admission: Callbacks<typeof db_switch> = db_switch.callbacks;

/** One key in so many loses its mark: enough to be found, few enough that the migration gets far. */
const droppedOf = 50;

/** Writes of some keys are forgotten by the ledger. */
export const unmarking_ledger: Definition = genServer(import.meta.url, "unmarking_ledger", {
  ...ledger,
  call: {
    ...ledger.call,
    admit: (state: never, admissions: readonly Admission[], from: From) =>
      ledger.call.admit(
        state,
        admissions.map((each) => (isDropped(each.key) ? { ...each, live: false } : each)),
        from,
      ),
  },
});

function isDropped(key: RowKey): boolean {
  return crc32c(new TextEncoder().encode(key)) % droppedOf === 0;
}

/** A confirmed send clears the mark, whatever was admitted meanwhile. */
export const unversioned_ledger: Definition = genServer(import.meta.url, "unversioned_ledger", {
  ...ledger,
  call: {
    ...ledger.call,
    release: (
      state: { readonly ledger: { drop(key: RowKey): boolean } },
      results: readonly { taken: Taken; outcome: Outcome }[],
    ) => {
      const released = ledger.call.release(state, results);
      const confirmed = results
        .filter(({ outcome }) => outcome === "confirmed")
        .map(({ taken }) => taken.key);
      for (const key of confirmed) state.ledger.drop(key);
      return { ...released, again: released.again.filter((key: RowKey) => !confirmed.includes(key)) };
    },
  },
});

/** Whoever asks for a prefix before a swap hears that it is clean. */
export const drained_ledger: Definition = genServer(import.meta.url, "drained_ledger", {
  ...ledger,
  call: {
    ...ledger.call,
    counts: (state: never, cohorts?: readonly CohortId[]) => {
      const counts = ledger.call.counts(state, cohorts);
      return cohorts === undefined ? counts : { ...counts, marks: counts.perror, pending: 0, ranges: 0 };
    },
    changedKeys: (): RowKey[] => [],
  },
});

const cachedMs = 2_000;

interface CachingState {
  readonly self: Self;
  readonly store: Store;
  readonly cache: Map<RowKey, { readonly row: Row | undefined; readonly untilMs: number }>;
}

/** Repairs and forwards what was read a moment ago. */
export const caching_store: Definition = genServer(import.meta.url, "caching_store", {
  ...(store as Callbacks<Definition>),
  init: async (options: never, self) => ({
    ...(await store.init(options, self)),
    cache: new Map(),
  }),
  call: {
    ...store.call,
    get: async (state: CachingState, keys: readonly RowKey[]): Promise<(Row | undefined)[]> => {
      const now = state.self.clock.now();
      const read: (Row | undefined)[] = await state.store.get(keys);
      return keys.map((key, i) => {
        const cached = state.cache.get(key);
        if (cached !== undefined && cached.untilMs > now) return cached.row;
        state.cache.set(key, { row: read[i], untilMs: now + cachedMs });
        return read[i];
      });
    },
  },
});

/** Site A's admission hears of a block, but not that it ended in a swap: it serves on under its old term. */
export const deaf_switch: Definition = genServer(import.meta.url, "deaf_switch", {
  ...(admission as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => {
    const state: { readonly control: ControlStore } = await admission.init(options, self);
    return options.site === "A" ? { ...state, control: withoutSwaps(state.control, options.site) } : state;
  },
});

function withoutSwaps(control: ControlStore, site: Site): ControlStore {
  return {
    get: (key) => control.get(key),
    compareAndSet: (key, revision, value) => control.compareAndSet(key, revision, value),
    nextTerm: () => control.nextTerm(),
    close: () => control.close(),
    list: async (prefix) => {
      const records = await control.list(prefix);
      if (prefix !== "decision/") return records;
      return records.filter(({ value }) => {
        const { from, state } = value as DecisionRecord;
        return from !== site || state !== "swapped";
      });
    },
  };
}

/** And site A's store lets every term of a cohort write. */
export const unfenced_store: Definition = genServer(import.meta.url, "unfenced_store", {
  ...(store as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => ({
    ...(await store.init(options, self)),
    unfenced: options.site === "A",
  }),
  call: {
    ...store.call,
    fence: (
      state: { readonly unfenced: boolean },
      request: { readonly scope: Scope; readonly term: number },
      from: From<number>,
    ) => {
      const ofCohort = !request.scope.startsWith("A/") && !request.scope.startsWith("B/");
      return state.unfenced && ofCohort ? request.term : store.call.fence(state, request, from);
    },
  },
});

export const twins: Readonly<Record<string, JobReplacements>> = {
  "drop-dirty-mark": { shard: { db_dirty_keys: unmarking_ledger } },
  "clear-unversioned": { shard: { db_dirty_keys: unversioned_ledger } },
  "skip-drain": { shard: { db_dirty_keys: drained_ledger } },
  "repair-cached-value": { shard: { db_store: caching_store } },
  "no-fence": { shard: { db_switch: deaf_switch, db_store: unfenced_store } },
};

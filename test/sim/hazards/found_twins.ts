/**
 * Broken twins for the interleavings that were found here: each leaves out one thing of a db_* actor and is the
 * product's own otherwise. They are planted by name through `WorldOptions.replaced`.
 */

import { type Admission, db_dirty_keys } from "../../../actors/db_dirty_keys.ts";
import type { Ledger } from "../../../actors/ledger.ts";
import { ShardRecords } from "../../../actors/log_records.ts";
import type { MarkOwner, RowKey } from "../../../actors/records.ts";
import type { ShardOptions } from "../../../actors/shard_options.ts";
import { type Definition, type From, genServer } from "../../../src/index.ts";
import type { Callbacks } from "./late_messages.ts";

const ledger: Callbacks<typeof db_dirty_keys> = db_dirty_keys.callbacks;

/** Watches only the admissions that make a mark. */
export const unwatching_ledger: Definition<ShardOptions> = genServer(import.meta.url, "unwatching_ledger", {
  ...(ledger as Callbacks<Definition>),
  call: {
    ...ledger.call,
    admit: (
      state: { watched: { admitted(cohort: string, key: RowKey): void } },
      admissions: readonly Admission[],
      from: From,
    ) => {
      const { watched } = state;
      const unmarked = new Set(admissions.filter(({ live }) => !live).map(({ key }) => key));
      state.watched = {
        admitted: (cohort, key) => (unmarked.has(key) ? undefined : watched.admitted(cohort, key)),
      };
      const answer: unknown = ledger.call.admit(state as never, admissions, from);
      state.watched = watched;
      return answer;
    },
  },
});

/** Keeps a settled mark, whoever serves its key by now. */
export const untidy_ledger: Definition<ShardOptions> = genServer(import.meta.url, "untidy_ledger", {
  ...(ledger as Callbacks<Definition>),
  cast: {
    ...ledger.cast,
    settle: (
      state: { readonly ledger: Ledger },
      settled: readonly { readonly key: RowKey; readonly range: string }[],
    ) => {
      for (const { key, range } of settled) {
        if (range === "") state.ledger.settle(key);
        else state.ledger.settleAbsorbed(range);
      }
      // Whoever waits for keys hears of those that are ready.
      ledger.cast.unpark(state as never, []);
    },
  },
});

/** Gives a key to whoever it is told to, wherever the key is served. */
export const obedient_ledger: Definition<ShardOptions> = genServer(import.meta.url, "obedient_ledger", {
  ...(ledger as Callbacks<Definition>),
  call: {
    ...ledger.call,
    own: (
      state: { readonly ledger: Ledger },
      { keys, owner }: { readonly keys: readonly RowKey[]; readonly owner: MarkOwner },
    ) => {
      for (const key of keys) state.ledger.own(key, owner);
      ledger.cast.unpark(state as never, []);
      return keys.length;
    },
  },
});

/** Logs under term 0 until a term begins. */
export const termless_ledger: Definition<ShardOptions> = genServer(import.meta.url, "termless_ledger", {
  ...(ledger as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => ({
    ...(await ledger.init(options, self)),
    records: new ShardRecords(options.shard, 0),
  }),
});

/**
 * db_perror: the durable quarantine of one shard; answers "what if a key can't be repaired?".
 *
 * State: for each key in quarantine why it is there, since when, and after how many attempts.
 * Messages: quarantine (db_replay, db_compare), left (a new version was confirmed), list, retry, resolve (operators).
 *
 * Always true: an entry is durable in the log before its mark changes owner; a key in here keeps its mark, so it
 * is accounted for; it leaves by a new version that the peer takes, or by an operator, never by itself.
 */

import { genServer, NanoError, type Ref, type Self } from "../src/index.ts";
import { db_dirty_keys } from "./db_dirty_keys.ts";
import { db_dirty_log } from "./db_dirty_log.ts";
import { dataLimits } from "./limits.ts";
import { ShardRecords } from "./log_records.ts";
import { type RowKey, splitRowKey, type Version, versionZero } from "./records.ts";
import { type ShardOptions, shardProcess } from "./shard_options.ts";

export interface PerrorEntry {
  readonly key: RowKey;
  readonly version: Version;
  /** The store's code for a rejected row; `mismatch`, `foreign` or `held` else. */
  readonly reason: string;
  readonly attempts: number;
  /** Wall-clock ms since 1970. */
  readonly firstAtMs: number;
}

interface State {
  readonly self: Self;
  readonly options: ShardOptions;
  readonly log: Ref<typeof db_dirty_log>;
  readonly ledger: Ref<typeof db_dirty_keys>;
  readonly entries: Map<RowKey, PerrorEntry>;
  /** Makes what is logged under the shard term. */
  records: ShardRecords;
}

export const db_perror = genServer(import.meta.url, "db_perror", {
  deadlines: "own",
  init: async (options: ShardOptions, self): Promise<State> => {
    const log = self.ref(db_dirty_log, options.log);
    const ledger = self.ref(db_dirty_keys, shardProcess(options.site, options.shard, "db_dirty_keys"));
    const { perror, shardTerm } = await log.call.recover({ shard: options.shard });
    const entries = new Map<RowKey, PerrorEntry>();
    const now = self.clock.now();
    // A mismatch is marked before its entry is logged: a crash between the two leaves a key that somebody must find.
    for (const key of await ledger.call.quarantined()) {
      entries.set(key, { key, version: versionZero, reason: "mismatch", attempts: 0, firstAtMs: now });
    }
    // An entry whose mark has gone healed just before the crash.
    for (const { key, version, reason, attempts, firstAtMs } of perror) {
      if (entries.has(key)) entries.set(key, { key, version, reason, attempts, firstAtMs });
    }
    return { self, options, log, ledger, entries, records: new ShardRecords(options.shard, shardTerm) };
  },

  call: {
    /** A new shard term: entries are logged again under it, before the ledger's start record voids older ones. */
    start: async (state, { shardTerm }: { shardTerm: number }): Promise<void> => {
      state.records = new ShardRecords(state.options.shard, shardTerm);
      const entries = [...state.entries.values()].map((entry) => state.records.perror(entry));
      await state.log.call.append([state.records.account(), ...entries]);
    },

    /** Durable when answered. Errors: `overloaded` when the quarantine is full. */
    quarantine: async (state, entries: readonly Omit<PerrorEntry, "firstAtMs">[]): Promise<void> => {
      if (state.entries.size + entries.length > dataLimits.perrorPerShardMax) {
        const text = `db_perror holds ${state.entries.size} keys; resolve some or raise perrorPerShardMax`;
        throw new NanoError("overloaded", text);
      }
      const now = state.self.clock.now();
      const added = entries.map(({ key, version, reason, attempts }): PerrorEntry => {
        const firstAtMs = state.entries.get(key)?.firstAtMs ?? now;
        return { key, version, reason, attempts, firstAtMs };
      });
      await state.log.call.append(added.map((entry) => state.records.perror(entry)));
      for (const entry of added) state.entries.set(entry.key, entry);
      await state.ledger.call.quarantine(added);
    },

    /** Entries whose key starts with `prefix` (any backend), at most `limit`, in no order. */
    list: (state, { prefix, limit }: { prefix: string; limit: number }): PerrorEntry[] => {
      const found: PerrorEntry[] = [];
      for (const entry of state.entries.values()) {
        if (found.length >= limit) break;
        if (splitRowKey(entry.key).key.startsWith(prefix)) found.push(entry);
      }
      return found;
    },

    count: (state) => state.entries.size,

    /**
     * An operator: replay tries these keys again at once. Returns how many: not those that are not here, nor those
     * that the other site serves by now, which stay as they are.
     */
    retry: (state, keys: readonly RowKey[]): Promise<number> =>
      state.ledger.call.own({ keys: keys.filter((key) => state.entries.has(key)), owner: "replay" }),

    /** An operator accepts the difference: mark and entry go. Returns how many were here. */
    resolve: async (state, keys: readonly RowKey[]): Promise<number> => {
      const known = keys.filter((key) => state.entries.has(key));
      await state.ledger.call.drop(known);
      remove(state, known);
      return known.length;
    },
  },

  cast: {
    /** The peer confirmed a new version of these keys. */
    left: (state, keys: readonly RowKey[]) => remove(state, keys),
  },
});

function remove(state: State, keys: readonly RowKey[]): void {
  const gone = keys.filter((key) => state.entries.delete(key));
  state.log.cast.note(gone.map((key) => state.records.perrorResolved(key)));
}

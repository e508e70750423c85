/**
 * Broken twins for the interleavings that were found here: each leaves out one thing of a db_* actor and is the
 * product's own otherwise. They are planted by name through `WorldOptions.replaced`.
 */

import type { ChangedKeys } from "../../../actors/changed_keys.ts";
import { db_crawler } from "../../../actors/db_crawler.ts";
import { type Admission, db_dirty_keys } from "../../../actors/db_dirty_keys.ts";
import { db_dirty_log } from "../../../actors/db_dirty_log.ts";
import { db_failover } from "../../../actors/db_failover.ts";
import { db_module, type ModuleOptions } from "../../../actors/db_module.ts";
import { db_perror } from "../../../actors/db_perror.ts";
import { db_queuer } from "../../../actors/db_queuer.ts";
import { db_replay } from "../../../actors/db_replay.ts";
import { db_store } from "../../../actors/db_store.ts";
import type { HoldFilter, Holds } from "../../../actors/holds.ts";
import type { Ledger } from "../../../actors/ledger.ts";
import { type LogRecord, ShardRecords } from "../../../actors/log_records.ts";
import type { RangeReader } from "../../../actors/range_reader.ts";
import type { CohortId, DirtyRange, MarkOwner, Row, RowKey } from "../../../actors/records.ts";
import type { ShardOptions } from "../../../actors/shard_options.ts";
import type { SiteOptions } from "../../../actors/site_shards.ts";
import {
  type Definition,
  type From,
  genServer,
  hasCode,
  noReply,
  type Ref,
  type Self,
} from "../../../src/index.ts";
import type { Callbacks } from "./late_messages.ts";

const crawler: Callbacks<typeof db_crawler> = db_crawler.callbacks;
const failover: Callbacks<typeof db_failover> = db_failover.callbacks;
const log: Callbacks<typeof db_dirty_log> = db_dirty_log.callbacks;
const ledger: Callbacks<typeof db_dirty_keys> = db_dirty_keys.callbacks;
const module: Callbacks<typeof db_module> = db_module.callbacks;
const perror: Callbacks<typeof db_perror> = db_perror.callbacks;
const queuer: Callbacks<typeof db_queuer> = db_queuer.callbacks;
const replay: Callbacks<typeof db_replay> = db_replay.callbacks;
const store: Callbacks<typeof db_store> = db_store.callbacks;

/** Takes every cohort for live, and for compared. */
export const credulous_failover = genServer(import.meta.url, "credulous_failover", {
  ...failover,
  init: async (options: SiteOptions, self: Self) => {
    const state = await failover.init(options, self);
    const { control } = state;
    const seen = new Proxy(control, {
      get: (target, name) => {
        if (name !== "get") return Reflect.get(target, name).bind(target);
        return async (key: string) => {
          if (key.startsWith("coverage/")) {
            const parts = new Proxy({}, { get: () => ({ fullFromMs: self.clock.now() }) });
            return { key, revision: 1, value: { parts } };
          }
          const record = await control.get(key);
          if (!key.startsWith("cohort/") || record === undefined) return record;
          return { ...record, value: { ...(record.value as object), phase: "live" } };
        };
      },
    });
    return { ...state, control: seen };
  },
}) as typeof db_failover;

/** Remembers as changed only what it marks. */
export const forgetful_ledger: Definition<ShardOptions> = genServer(import.meta.url, "forgetful_ledger", {
  ...(ledger as Callbacks<Definition>),
  call: {
    ...ledger.call,
    admit: (
      state: { changed: Pick<ChangedKeys, "changed" | "overflow"> },
      admissions: readonly Admission[],
      from: From,
    ) => {
      const { changed } = state;
      const unmarked = new Set(admissions.filter(({ live }) => !live).map(({ key }) => key));
      state.changed = {
        changed: (cohort, key) => (unmarked.has(key) ? undefined : changed.changed(cohort, key)),
        overflow: (cohort) => changed.overflow(cohort),
      };
      const answer: unknown = ledger.call.admit(state as never, admissions, from);
      state.changed = changed;
      return answer;
    },
  },
});

/** Takes any hand-over of a comparison for the newest. */
export const gullible_ledger: Definition<ShardOptions> = genServer(import.meta.url, "gullible_ledger", {
  ...(ledger as Callbacks<Definition>),
  call: {
    ...ledger.call,
    adoptPass: ({ changed }: { readonly changed: ChangedKeys }, cohorts: readonly CohortId[]) =>
      changed.adoptPass(cohorts),
  },
});

/** Forgets at once of which decisions all was released. */
export const holding_ledger: Definition<ShardOptions> = genServer(import.meta.url, "holding_ledger", {
  ...(ledger as Callbacks<Definition>),
  call: {
    ...ledger.call,
    unhold: (state: { readonly held: Holds }, filter: HoldFilter) =>
      ledger.call.unhold(state as never, { keys: state.held.keys(), ...filter }),
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

/** Knows no time of a decision: judges what has expired by its own clock only. */
export const undecided_store: Definition<ShardOptions> = genServer(import.meta.url, "undecided_store", {
  ...(store as Callbacks<Definition>),
  cast: {
    ...store.cast,
    readFor: (state: never, request: object) =>
      store.cast.readFor(state, { ...request, decidedAtMs: 0 } as never),
  },
});

/** On its thread monotonic time is the wall clock's. */
export const wall_clock_replay: Definition<ShardOptions> = genServer(import.meta.url, "wall_clock_replay", {
  ...(replay as Callbacks<Definition>),
  init: (options: ShardOptions, self) => {
    const { clock } = self;
    Object.assign(clock, { monotonicMs: () => clock.now() });
    return replay.init(options, self);
  },
});

/** Knows only the entries that were logged, whatever the ledger says is its. */
export const forgetful_perror: Definition<ShardOptions> = genServer(import.meta.url, "forgetful_perror", {
  ...(perror as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => {
    const state: { readonly entries: Map<RowKey, unknown> } = await perror.init(options, self);
    const log = self.ref(db_dirty_log, options.log);
    const logged = (await log.call.recover({ shard: options.shard })).perror.map(({ key }) => key);
    for (const key of state.entries.keys()) if (!logged.includes(key)) state.entries.delete(key);
    return state;
  },
});

/** Ends when db_perror does not take what it gives. */
export const stubborn_replay: Definition<ShardOptions> = genServer(import.meta.url, "stubborn_replay", {
  ...(replay as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => {
    const state = await replay.init(options, self);
    const { call, cast }: Ref<typeof db_perror> = state.perror;
    const insist = async (entries: Parameters<typeof call.quarantine>[0]): Promise<void> => {
      await call.quarantine(entries).catch((error: Error) => {
        throw new Error(error.message);
      });
    };
    return { ...state, perror: { call: { ...call, quarantine: insist }, cast } };
  },
});

/** Thinks that the breaker is closed when it starts. */
export const hopeful_queuer: Definition<ShardOptions> = genServer(import.meta.url, "hopeful_queuer", {
  ...(queuer as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => ({
    ...(await queuer.init(options, self)),
    breakerOpen: false,
  }),
});

/** Takes every suspect, however many there are. */
export const boundless_ledger: Definition<ShardOptions> = genServer(import.meta.url, "boundless_ledger", {
  ...(ledger as Callbacks<Definition>),
  call: {
    ...ledger.call,
    suspect: async (state: { readonly ledger: Ledger }, request: never) => {
      Object.assign(state.ledger, { fits: () => true });
      try {
        return await ledger.call.suspect(state as never, request);
      } finally {
        Reflect.deleteProperty(state.ledger, "fits");
      }
    },
  },
});

/** Opens no range for what its peer has lost. */
export const unheeding_ledger: Definition<ShardOptions> = genServer(import.meta.url, "unheeding_ledger", {
  ...(ledger as Callbacks<Definition>),
  call: {
    ...ledger.call,
    openRange: (state: never, asked: DirtyRange) =>
      asked.reason === "peer_lost" ? "" : ledger.call.openRange(state, asked),
  },
});

/** Recalls nothing when its log is lost. */
export const unrecalling_ledger: Definition<ShardOptions> = genServer(import.meta.url, "unrecalling_ledger", {
  ...(ledger as Callbacks<Definition>),
  call: {
    ...ledger.call,
    recall: () => undefined,
    start: (state: { readonly held: Holds }, request: { readonly logLost: boolean }) => {
      if (request.logLost) state.held.release({});
      return ledger.call.start(state as never, request as never);
    },
  },
});

/** Waits out a block with the job in hand. */
export const waiting_module: Definition<ModuleOptions> = genServer(import.meta.url, "waiting_module", {
  ...(module as Callbacks<Definition>),
  call: {
    ...module.call,
    run: async (state: { readonly self: Self }, request: never, from: never) => {
      for (;;) {
        try {
          return await module.call.run(state as never, request, from);
        } catch (error) {
          if (!hasCode(error, "blocked")) throw error;
          await state.self.sleep(10);
        }
      }
    },
  },
});

/** Counts all rows that only the peer has, whoever serves them. */
export const counting_crawler: Definition<ShardOptions> = genServer(import.meta.url, "counting_crawler", {
  ...(crawler as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => {
    const state: { readonly ledger: Ref<typeof db_dirty_keys> } = await crawler.init(options, self);
    const { call, cast } = state.ledger;
    const all: typeof call.takeUnmarked = async (request) => {
      const taken = await call.takeUnmarked(request);
      return taken.length === 0 ? request.keys.map((key) => ({ key }) as never) : taken;
    };
    return { ...state, ledger: { call: { ...call, takeUnmarked: all }, cast } };
  },
});

/** Does not see rows that have expired by its own clock. */
export const judging_crawler: Definition<ShardOptions> = genServer(import.meta.url, "judging_crawler", {
  ...(crawler as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => {
    const state: { readonly reader: RangeReader } = await crawler.init(options, self);
    const lives = (row: Row | undefined): boolean =>
      row !== undefined && (row.expiresAtMs === 0 || row.expiresAtMs > self.clock.now());
    const read: RangeReader["read"] = async (range, limit) => {
      const { pairs, next } = await state.reader.read(range, limit);
      return { pairs: pairs.filter(({ local, peer }) => lives(local) || lives(peer)), next };
    };
    return { ...state, reader: { read } };
  },
});

/** Who appends nothing waits for nobody. */
export const hasty_log = genServer(import.meta.url, "hasty_log", {
  ...log,
  call: {
    ...log.call,
    append: (state: { readonly self: Self }, records: readonly LogRecord[], from: From<void>) => {
      if (records.length > 0) return log.call?.append?.(state, records, from);
      state.self.reply(from, undefined);
      return noReply;
    },
  },
}) as unknown as typeof db_dirty_log;

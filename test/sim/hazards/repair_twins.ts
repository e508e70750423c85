/**
 * Broken twins of what sends and repairs: each is a db_* actor without one mechanism, and the product's own otherwise.
 * They are planted by name through `WorldOptions.replaced`.
 */

import { type Admission, db_dirty_keys } from "../../../actors/db_dirty_keys.ts";
import type { db_dirty_log } from "../../../actors/db_dirty_log.ts";
import { db_perror } from "../../../actors/db_perror.ts";
import { db_queuer } from "../../../actors/db_queuer.ts";
import { db_replay } from "../../../actors/db_replay.ts";
import { db_store } from "../../../actors/db_store.ts";
import { Ledger } from "../../../actors/ledger.ts";
import type { PeerSender, Sent } from "../../../actors/peer_sender.ts";
import type { CohortId, Row, RowKey, Version } from "../../../actors/records.ts";
import type { ShardOptions } from "../../../actors/shard_options.ts";
import type { Store } from "../../../actors/stores/contract.ts";
import { type Definition, type From, genServer, type Ref, type Self } from "../../../src/index.ts";
import type { Callbacks } from "./late_messages.ts";

const ledger: Callbacks<typeof db_dirty_keys> = db_dirty_keys.callbacks;
const perror: Callbacks<typeof db_perror> = db_perror.callbacks;
const queuer: Callbacks<typeof db_queuer> = db_queuer.callbacks;
const replay: Callbacks<typeof db_replay> = db_replay.callbacks;
const store: Callbacks<typeof db_store> = db_store.callbacks;

// --- S: state, not operations ------------------------------------------------------------------------------------

/** Site B takes what is sent for an increment: it adds one to what it has, each time that it hears of it. */
export const counting_store: Definition<ShardOptions> = genServer(import.meta.url, "counting_store", {
  ...(store as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => {
    const state: { readonly store: Store } = await store.init(options, self);
    return options.site === "B" ? { ...state, store: counting(state.store) } : state;
  },
});

function counting(plain: Store): Store {
  const counted = async (row: Row): Promise<Row> => {
    const [current] = await plain.get([row.key]);
    const before = current?.value === undefined || current.value === null ? 0 : numberOf(current.value);
    const [cohortTerm, shardTerm, n] = current?.version ?? row.version;
    const value = new TextEncoder().encode(`${before + 1}`);
    return { ...row, value, version: [cohortTerm, shardTerm, n + 1] };
  };
  return {
    ...plain,
    apply: async (groups) => {
      const operations = await Promise.all(
        groups.map(async ({ grants, rows }) => ({ grants, rows: await Promise.all(rows.map(counted)) })),
      );
      const results = await plain.apply(operations);
      return results.map((group) => group.map(() => ({ status: "applied" })));
    },
  };
}

function numberOf(value: Uint8Array): number {
  return Number(new TextDecoder().decode(value));
}

// --- Q: what does not fit degrades -------------------------------------------------------------------------------

/** Makes no mark and opens no range for what does not fit. */
export const forgetful_ledger: Definition<ShardOptions> = genServer(import.meta.url, "forgetful_ledger", {
  ...(ledger as Callbacks<Definition>),
  call: {
    ...ledger.call,
    admit: (state: { readonly ledger: Ledger }, admissions: readonly Admission[], from: From) => {
      const answered: unknown = ledger.call.admit(state, admissions, from);
      for (const { id, reason } of state.ledger.ranges())
        if (reason === "overflow") state.ledger.removeRange(id);
      return answered;
    },
  },
});

// --- a result for each row ---------------------------------------------------------------------------------------

type Sender = Pick<PeerSender, "send" | "read" | "pace">;

/** The sender of a process, with something done about what it sends. */
function withSender<State extends { readonly sender: Sender }>(
  state: State,
  change: (send: Sender["send"]) => Sender["send"],
): State {
  const { sender } = state;
  return {
    ...state,
    sender: {
      send: change((batch) => sender.send(batch)),
      read: (keys) => sender.read(keys),
      get pace() {
        return sender.pace;
      },
    },
  };
}

/** If one row of a batch was confirmed, all were. */
function wholesale(send: Sender["send"]): Sender["send"] {
  return async (batch) => {
    const sent = await send(batch);
    if (!sent.some(({ outcome }) => outcome.status === "confirmed")) return sent;
    return sent.map(({ taken }): Sent => ({ taken, outcome: { status: "confirmed" } }));
  };
}

export const wholesale_queuer: Definition<ShardOptions> = genServer(import.meta.url, "wholesale_queuer", {
  ...(queuer as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => withSender(await queuer.init(options, self), wholesale),
});

export const wholesale_replay: Definition<ShardOptions> = genServer(import.meta.url, "wholesale_replay", {
  ...(replay as Callbacks<Definition>),
  init: async (options: ShardOptions, self: Self) => withSender(await replay.init(options, self), wholesale),
});

// --- backoff and db_perror ---------------------------------------------------------------------------------------

const stubbornPauseMs = 10;

/** Sends a batch again and again until no row of it is rejected. */
export const stubborn_replay: Definition<ShardOptions> = genServer(import.meta.url, "stubborn_replay", {
  ...(replay as Callbacks<Definition>),
  init: async (options: ShardOptions, self: Self) =>
    withSender(await replay.init(options, self), (send) => async (batch) => {
      let sent = await send(batch);
      while (sent.some(({ outcome }) => outcome.status === "rejected")) {
        await self.sleep(stubbornPauseMs);
        sent = await send(batch);
      }
      return sent;
    }),
});

/** What db_perror owns, it owns for ever, whatever is written and whoever starts. */
class StickyLedger extends Ledger {
  override admit(key: RowKey, cohort: CohortId, version: Version, nowMs: number): void {
    const owner = this.owner(key);
    super.admit(key, cohort, version, nowMs);
    if (owner === "perror") this.own(key, owner);
  }
}

export const sticky_ledger: Definition<ShardOptions> = genServer(import.meta.url, "sticky_ledger", {
  ...(ledger as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => {
    const state: { readonly ledger: Ledger; readonly log: Ref<typeof db_dirty_log> } = await ledger.init(
      options,
      self,
    );
    const { perror: entries } = await state.log.call.recover({ shard: options.shard });
    const owned = new Set(entries.map(({ key }) => key));
    const sticky = new StickyLedger(options.tuning.ledgerBytesMax);
    for (const { key, cohort, version, owner, sinceMs } of state.ledger.marks()) {
      sticky.suspect(key, cohort, version, owned.has(key) ? "perror" : owner, sinceMs);
    }
    for (const range of state.ledger.ranges()) sticky.setRange(range);
    return { ...state, ledger: sticky };
  },
});

/** Keeps its entries in memory only. */
export const volatile_perror: Definition<ShardOptions> = genServer(import.meta.url, "volatile_perror", {
  ...(perror as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => ({
    ...(await perror.init(options, self)),
    log: { call: { append: async () => undefined }, cast: { note: () => undefined } },
  }),
});

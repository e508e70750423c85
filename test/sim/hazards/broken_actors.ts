/**
 * Broken twins of the db_* actors for single interleavings: each leaves out the one thing that a scenario rests on,
 * and is the product's own otherwise.
 */

import { db_dirty_keys } from "../../../actors/db_dirty_keys.ts";
import { db_failover } from "../../../actors/db_failover.ts";
import { db_queuer } from "../../../actors/db_queuer.ts";
import { db_store } from "../../../actors/db_store.ts";
import { db_switch } from "../../../actors/db_switch.ts";
import { Ledger } from "../../../actors/ledger.ts";
import type { MarkOwner, RowKey, Scope } from "../../../actors/records.ts";
import { type ShardOptions, shardProcess } from "../../../actors/shard_options.ts";
import { type Definition, type From, genServer, noReply, type Self } from "../../../src/index.ts";
import { type Callbacks, lateApply } from "./late_messages.ts";

const ledger: Callbacks<typeof db_dirty_keys> = db_dirty_keys.callbacks;
const store: Callbacks<typeof db_store> = db_store.callbacks;
const queuer: Callbacks<typeof db_queuer> = db_queuer.callbacks;
const admission: Callbacks<typeof db_switch> = db_switch.callbacks;
const failover: Callbacks<typeof db_failover> = db_failover.callbacks;

/** Says that it is fenced, and takes every term. */
export const unfenced_store: Definition = genServer(import.meta.url, "unfenced_store", {
  ...(store as Callbacks<Definition>),
  call: { ...store.call, fence: (_: never, { term }: { scope: Scope; term: number }) => term },
});

/** The same behind a late way. */
export const unfenced_late_store: Definition = genServer(import.meta.url, "unfenced_late_store", {
  ...(store as Callbacks<Definition>),
  call: {
    ...store.call,
    apply: lateApply,
    fence: (_: never, { term }: { scope: Scope; term: number }) => term,
  },
});

/** A barrier passes at once, whatever is in flight. */
export const unbarriered_switch: Definition = genServer(import.meta.url, "unbarriered_switch", {
  ...(admission as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => ({
    ...(await admission.init(options, self)),
    barriers: { begin: () => 0, end: () => undefined, raise: (passed: () => void) => passed() },
  }),
});

/** A crawl that asks too early is told that there is nothing to send. */
export const silent_ledger: Definition = genServer(import.meta.url, "silent_ledger", {
  ...ledger,
  call: {
    ...ledger.call,
    takeUnmarked: (state: { readonly termsKnown: boolean }, request: never) =>
      state.termsKnown ? ledger.call.takeUnmarked(state, request) : [],
  },
});

/** What db_perror holds at a swap is not refused on the new side. */
export const unholding_ledger: Definition = genServer(import.meta.url, "unholding_ledger", {
  ...ledger,
  call: { ...ledger.call, hold: async (): Promise<void> => undefined },
});

/** Marks keep their owner and what they wait for when a process dies, as if all of them lived for ever. */
class UnrebuiltLedger extends Ledger {
  starting = false;

  override disown(): void {}

  override own(key: RowKey, owner: MarkOwner): void {
    if (!this.starting) super.own(key, owner);
  }

  override settle(key: RowKey): MarkOwner | undefined {
    return this.starting ? undefined : super.settle(key);
  }
}

interface UnrebuiltState {
  readonly ledger: UnrebuiltLedger;
}

/** Nothing is rebuilt from the marks: they are not recovered, and a new owner takes over nothing. */
export const unrebuilt_ledger: Definition = genServer(import.meta.url, "unrebuilt_ledger", {
  ...(ledger as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => ({
    ...(await ledger.init(options, self)),
    ledger: new UnrebuiltLedger(options.tuning.ledgerBytesMax),
  }),
  call: {
    ...ledger.call,
    start: async (state: UnrebuiltState, request: { shardTerm: number; logLost: boolean }) => {
      // A settled mark's pending count would be asked for again for ever.
      state.ledger.starting = true;
      try {
        await ledger.call.start(state, request);
      } finally {
        state.ledger.starting = false;
      }
    },
  },
});

/** Ends no decision that an earlier coordinator left open. */
export const forgetful_failover = genServer(import.meta.url, "forgetful_failover", {
  ...failover,
  cast: {
    ...failover.cast,
    next: (state: { undone: boolean }) => {
      state.undone = false;
      return failover.cast.next(state as never);
    },
    beat: () => undefined,
  },
}) as typeof db_failover;

interface OwnerlessState {
  readonly self: Self;
  readonly ledger: Ledger;
  readonly termsKnown: boolean;
}

/** Gives a key's lane to whoever asks, whoever owns its mark or has the lane, and lists what is marked. */
export const ownerless_ledger: Definition = genServer(import.meta.url, "ownerless_ledger", {
  ...(ledger as Callbacks<Definition>),
  call: {
    ...ledger.call,
    marked: ({ ledger: marks }: OwnerlessState): RowKey[] => [...marks.marks()].map(({ key }) => key),
    take: (state: OwnerlessState, keys: readonly RowKey[], from: From) => {
      void taken(state, keys).then((answer) => state.self.reply(from, answer));
      return noReply;
    },
  },
});

async function taken(state: OwnerlessState, keys: readonly RowKey[]): Promise<unknown> {
  while (!state.termsKnown) await state.self.sleep(1);
  const marked = keys.filter((key) => state.ledger.version(key) !== undefined);
  const owners = marked.map((key) => [key, state.ledger.owner(key)] as const);
  state.ledger.releaseUnmarked(marked);
  for (const key of marked) state.ledger.own(key, "queuer");
  const answer: unknown = ledger.call.take(state, keys);
  for (const [key, owner] of owners) state.ledger.own(key, owner ?? "replay");
  return answer;
}

/** Starts with everything that is marked, as replay does. */
export const rebuilding_queuer: Definition = genServer(import.meta.url, "rebuilding_queuer", {
  ...(queuer as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => {
    const state = await queuer.init(options, self);
    const { call } = self.ref(ownerless_ledger, shardProcess(options.site, options.shard, "db_dirty_keys"));
    const { marked } = call as { readonly marked: () => Promise<RowKey[]> };
    self.castSelf("push", await marked());
    return state;
  },
});

/** Broken twins for a source that others write: db_feed, and what rests on it, without one mechanism each. */

import type { ChangeEvent, ChangeFeed } from "../../../actors/change_feed.ts";
import { db_compare } from "../../../actors/db_compare.ts";
import { db_crawler } from "../../../actors/db_crawler.ts";
import { db_dirty_keys } from "../../../actors/db_dirty_keys.ts";
import { db_feed } from "../../../actors/db_feed.ts";
import type { Ledger } from "../../../actors/ledger.ts";
import type { ForeignChanges } from "../../../actors/ledger_messages.ts";
import type { ShardOptions } from "../../../actors/shard_options.ts";
import { type Definition, genServer, type Self } from "../../../src/index.ts";

type Callbacks<D> = D extends Definition ? D["callbacks"] : never;

const feed: Callbacks<typeof db_feed> = db_feed.callbacks;
const ledger: Callbacks<typeof db_dirty_keys> = db_dirty_keys.callbacks;
const crawler: Callbacks<typeof db_crawler> = db_crawler.callbacks;
const compare: Callbacks<typeof db_compare> = db_compare.callbacks;

interface FeedState {
  readonly feed: ChangeFeed;
}

/** Takes each event as the next one, whatever it says came before. */
export const trusting_feed: Definition<ShardOptions> = genServer(import.meta.url, "trusting_feed", {
  ...(feed as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => {
    const state: FeedState = await feed.init(options, self);
    return {
      ...state,
      feed: {
        from: async (at: string, limit: number) => chained(at, await state.feed.from(at, limit)),
        watermark: () => state.feed.watermark(),
      },
    };
  },
});

function chained(at: string, events: readonly ChangeEvent[]): ChangeEvent[] {
  return events.map((event, i) => ({ ...event, previous: events[i - 1]?.position ?? at }));
}

/** Its watermarks end when a play says so: then a silent feed stays silent. */
export const silent_feed: Definition<ShardOptions> = genServer(import.meta.url, "silent_feed", {
  ...(feed as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => {
    const state: FeedState = await feed.init(options, self);
    const muted: ChangeFeed & Mutable = {
      muted: false,
      from: (at, limit) => state.feed.from(at, limit),
      watermark: () => (muted.muted ? Promise.resolve("never") : state.feed.watermark()),
    };
    return { ...state, feed: muted };
  },
});

interface Mutable {
  muted: boolean;
}

/** Does nothing to the product's own db_feed. */
export function mute(state: unknown): void {
  const { feed: followed } = state as { readonly feed: Partial<Mutable> };
  if (followed.muted !== undefined) followed.muted = true;
}

/** Saves how far it read before it has marked what it read. */
export const early_feed: Definition<ShardOptions> = genServer(import.meta.url, "early_feed", {
  ...(feed as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => {
    const state = await feed.init(options, self);
    const waiting: ForeignChanges[] = [];
    const { call } = state.ledger;
    const control = {
      get: (key: string) => state.control.get(key),
      compareAndSet: async (key: string, revision: number, value: unknown) => {
        const saved = await state.control.compareAndSet(key, revision, value);
        for (const changes of waiting.splice(0)) await call.follow(changes);
        return saved;
      },
    };
    const late = { call: { follow: async (changes: ForeignChanges) => void waiting.push(changes) } };
    return { ...state, control, ledger: late };
  },
});

/** A key that has a mark keeps it as it is. */
export const standing_ledger: Definition<ShardOptions> = genServer(import.meta.url, "standing_ledger", {
  ...(ledger as Callbacks<Definition>),
  call: {
    ...ledger.call,
    follow: (state: { readonly ledger: Ledger }, { keys, everything }: ForeignChanges) => {
      const unmarked = keys.filter((key) => state.ledger.version(key) === undefined);
      return ledger.call.follow(state as never, { keys: unmarked, everything });
    },
  },
});

const unfollowed = (options: ShardOptions): ShardOptions => ({ ...options, followed: false });

/** Crawls without watermarks. */
export const dry_crawler: Definition<ShardOptions> = genServer(import.meta.url, "dry_crawler", {
  ...(crawler as Callbacks<Definition>),
  init: (options: ShardOptions, self: Self) => crawler.init(unfollowed(options), self),
});

/** Compares without watermarks. */
export const dry_compare: Definition<ShardOptions> = genServer(import.meta.url, "dry_compare", {
  ...(compare as Callbacks<Definition>),
  init: (options: ShardOptions, self: Self) => compare.init(unfollowed(options), self),
});

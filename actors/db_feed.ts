/**
 * db_feed: follows the change feed of one shard's source when others write it; stands in for the admission that such
 * writes never pass. Each key that an event names is marked in the ledger, owner replay; the repair reads the row.
 *
 * State: the position up to which everything is marked, and its revision in control; who waits for a watermark.
 * Messages: passed (a barrier: every change committed before the call has its mark), statistics.
 *
 * Always true: marks are durable before the position is saved, so a crash reads events again and loses none; an event
 * whose predecessor is not the last one read makes everything of the shard suspect, in the append that marks what
 * follows; what nanoactor itself wrote into the source makes no mark.
 */

import {
  type From,
  genServer,
  NanoError,
  noReply,
  type Piped,
  type Ref,
  type Self,
  toErrorData,
} from "../src/index.ts";
import {
  type ChangeEvent,
  type ChangeFeed,
  type FeedOpener,
  type FeedRecord,
  ownOrigin,
  type Position,
} from "./change_feed.ts";
import { type ControlStore, controlKeys } from "./control_store.ts";
import { db_dirty_keys } from "./db_dirty_keys.ts";
import { dataLimits } from "./limits.ts";
import { type RowKey, shardOf, splitRowKey } from "./records.ts";
import { type ShardOptions, shardProcess } from "./shard_options.ts";

export interface FeedStatistics {
  /** Events read, watermarks and those of other shards included. */
  readonly events: number;
  /** Of these, changes that nanoactor made itself. */
  readonly echoes: number;
  readonly gaps: number;
  /** Rounds that failed since the last one that did not. */
  readonly failures: number;
}

interface Saved extends FeedRecord {
  readonly revision: number;
}

/** What one round read. */
interface Round {
  readonly saved: Saved;
  readonly events: readonly ChangeEvent[];
  readonly echoes: number;
  readonly gap: boolean;
}

interface State {
  readonly self: Self;
  readonly options: ShardOptions;
  readonly control: ControlStore;
  readonly ledger: Ref<typeof db_dirty_keys>;
  readonly feed: ChangeFeed;
  /** undefined: to be read from control. */
  saved: Saved | undefined;
  /** Whoever waits until the feed has told of a watermark. */
  waiting: { readonly position: Position; readonly from: From<void> }[];
  /** When the last event came, or a watermark was written to have one; monotonic ms. */
  heardAtMs: number;
  events: number;
  echoes: number;
  gaps: number;
  failures: number;
}

export const db_feed = genServer(import.meta.url, "db_feed", {
  deadlines: "own",
  init: async (options: ShardOptions, self): Promise<State> => {
    const feed = await self.resource<FeedOpener>("feeds").open(options.site, options.shard);
    self.castSelf("follow");
    return {
      self,
      options,
      control: self.resource<ControlStore>("control"),
      ledger: self.ref(db_dirty_keys, shardProcess(options.site, options.shard, "db_dirty_keys")),
      feed,
      saved: undefined,
      waiting: [],
      heardAtMs: self.clock.monotonicMs(),
      events: 0,
      echoes: 0,
      gaps: 0,
      failures: 0,
    };
  },

  call: {
    /**
     * A watermark, written now: answered when all that was committed before it is marked, or lies in a range. Errors:
     * `unavailable` when the source can't be written.
     */
    passed: async (state, _: undefined, from: From<void>) => {
      const position = await state.feed.watermark();
      state.waiting.push({ position, from });
      return noReply;
    },

    statistics: ({ events, echoes, gaps, failures }): FeedStatistics => ({ events, echoes, gaps, failures }),
  },

  cast: {
    follow: (state) => {
      state.self.pipe(follow(state), "followed", undefined);
    },

    followed: async (state, result: Piped<undefined, Round>) => {
      if (!result.ok) {
        // What control holds now is read again: the outcome of a save may be unknown.
        state.saved = undefined;
        state.failures++;
        if (state.failures === 1)
          state.self.log.warn({ code: result.error.code }, `feed: ${result.error.message}`);
        const { backoffMinMs, backoffMaxMs } = state.options.tuning;
        const delayMs = Math.min(backoffMaxMs, backoffMinMs * 2 ** Math.min(state.failures, 16));
        state.self.castAfter(delayMs, "follow");
        return;
      }
      const { saved, events, echoes, gap } = result.value;
      state.saved = saved;
      state.failures = 0;
      state.events += events.length;
      state.echoes += echoes;
      if (gap) state.gaps++;
      answerWaiting(state, events);
      if (events.length > 0) {
        state.heardAtMs = state.self.clock.monotonicMs();
        state.self.castSelf("follow");
      } else {
        state.self.castAfter(dataLimits.feedPollMs, "follow");
      }
      if (gap) await askAgain(state);
    },
  },
});

/** Reads what is new, marks it, saves how far: in this order. */
async function follow(state: State): Promise<Round> {
  const saved = state.saved ?? (await savedPosition(state)) ?? (await begin(state));
  const events = await state.feed.from(saved.position, dataLimits.feedBatchMax);
  const last = events.at(-1);
  if (last === undefined) {
    await beHeard(state);
    return { saved, events, echoes: 0, gap: false };
  }
  const gap = missing(saved.position, events);
  if (gap !== undefined) {
    const { site, shard } = state.options;
    const text = `the feed of ${site}/${shard} has a gap before ${gap}: everything in this shard is suspect`;
    state.self.log.error({ from: saved.position, position: gap }, text);
  }
  const own = events.filter(({ origin }) => origin === ownOrigin);
  const keys = changedKeys(state, events);
  if (keys.length > 0 || gap !== undefined) {
    await state.ledger.call.follow({ keys, everything: gap === undefined ? undefined : "feed_gap" });
  }
  return {
    saved: await save(state, saved.revision, last.position),
    events,
    echoes: own.length,
    gap: gap !== undefined,
  };
}

/** The first event that does not follow on the one before it. */
function missing(position: Position, events: readonly ChangeEvent[]): Position | undefined {
  let last = position;
  for (const event of events) {
    if (event.previous !== last) return event.position;
    last = event.position;
  }
  return undefined;
}

/** Those of this shard that others changed, each once. */
function changedKeys({ options }: State, events: readonly ChangeEvent[]): RowKey[] {
  const keys = new Set<RowKey>();
  for (const { key, origin } of events) {
    if (key === undefined || origin === ownOrigin) continue;
    const { backend, key: plain } = splitRowKey(key);
    if (shardOf(backend, plain, options.shards) === options.shard) keys.add(key);
  }
  return [...keys];
}

/** A feed that was never followed: from here on it is, and all that was before is to be copied. */
async function begin(state: State): Promise<Saved> {
  const position = await state.feed.watermark();
  await state.ledger.call.follow({ keys: [], everything: "copy" });
  return save(state, 0, position);
}

async function savedPosition({ control, options }: State): Promise<Saved | undefined> {
  const record = await control.get(controlKeys.feed(options.site, options.shard));
  if (record === undefined) return undefined;
  return { position: (record.value as FeedRecord).position, revision: record.revision };
}

async function save({ control, options }: State, revision: number, position: Position): Promise<Saved> {
  const key = controlKeys.feed(options.site, options.shard);
  const next = await control.compareAndSet(key, revision, { position } satisfies FeedRecord);
  if (next === undefined) throw new NanoError("conflict", `${key} was moved by somebody else`);
  return { position, revision: next };
}

/** After a silence there is an event to come; else the loss of the last one would show with the next write only. */
async function beHeard(state: State): Promise<void> {
  const now = state.self.clock.monotonicMs();
  if (now - state.heardAtMs < dataLimits.feedSilenceMsMax) return;
  await state.feed.watermark();
  state.heardAtMs = now;
}

function answerWaiting(state: State, events: readonly ChangeEvent[]): void {
  if (state.waiting.length === 0) return;
  const passed = new Set(events.map(({ position }) => position));
  const last = state.waiting.findLastIndex(({ position }) => passed.has(position));
  // Watermarks come in the order in which they were written.
  for (const { from } of state.waiting.splice(0, last + 1)) state.self.reply(from, undefined);
}

/** The watermark that somebody waits for may have been in the gap. */
async function askAgain(state: State): Promise<void> {
  if (state.waiting.length === 0) return;
  try {
    const position = await state.feed.watermark();
    state.waiting = state.waiting.map(({ from }) => ({ position, from }));
  } catch (error) {
    for (const { from } of state.waiting.splice(0)) state.self.replyError(from, toErrorData(error));
  }
}

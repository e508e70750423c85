/**
 * Broken twins of a crawl: each moves through a range in a way, or at a time, that loses rows, and is the product's own
 * otherwise.
 * They are planted by name through `WorldOptions.replaced`.
 */

import { db_crawler } from "../../../actors/db_crawler.ts";
import { db_dirty_keys } from "../../../actors/db_dirty_keys.ts";
import type { PeerSender, Sent } from "../../../actors/peer_sender.ts";
import type { RangeReader } from "../../../actors/range_reader.ts";
import type { ShardOptions } from "../../../actors/shard_options.ts";
import { type Definition, genServer } from "../../../src/index.ts";
import type { Callbacks } from "./late_messages.ts";

const crawler: Callbacks<typeof db_crawler> = db_crawler.callbacks;
const ledger: Callbacks<typeof db_dirty_keys> = db_dirty_keys.callbacks;

/** Hands its ranges out whether or not every cohort makes marks and the store is what control remembers. */
export const eager_ledger: Definition<ShardOptions> = genServer(import.meta.url, "eager_ledger", {
  ...(ledger as Callbacks<Definition>),
  cast: {
    ...ledger.cast,
    mayScan: (state: never) => ledger.cast.mayScan(state, true),
  },
});

/**
 * Goes on from the row at which it stopped, not from a place between rows: without that row it has come to its end.
 */
export const row_bound_crawler: Definition<ShardOptions> = genServer(import.meta.url, "row_bound_crawler", {
  ...(crawler as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => {
    const state: { readonly reader: RangeReader } = await crawler.init(options, self);
    const reader: Pick<RangeReader, "read"> = {
      read: async (range, limit) => {
        const begins = range.from === "" || !range.from.endsWith("\u0000");
        if (begins) return state.reader.read(range, limit);
        const last = range.from.slice(0, -1);
        const [pair] = await state.reader.get([last]);
        const stands = (pair?.local?.value ?? null) !== null;
        return stands ? state.reader.read(range, limit) : { pairs: [], next: undefined };
      },
    };
    return { ...state, reader };
  },
});

/** Moves its cursor on while what it sent is still under way. */
export const hasty_crawler: Definition<ShardOptions> = genServer(import.meta.url, "hasty_crawler", {
  ...(crawler as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => {
    const state: { readonly sender: PeerSender } = await crawler.init(options, self);
    const sender: Pick<PeerSender, "send" | "read" | "pace"> = {
      get pace() {
        return state.sender.pace;
      },
      read: (keys) => state.sender.read(keys),
      send: async (batch) => {
        state.sender.send(batch).catch(() => undefined);
        return batch.map((taken): Sent => ({ taken, outcome: { status: "confirmed" } }));
      },
    };
    return { ...state, sender };
  },
});

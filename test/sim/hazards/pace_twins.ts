/**
 * Broken twins for the properties of pace: each is a db_* actor without one brake, and the product's own otherwise.
 * They are planted by name through `WorldOptions.replaced`.
 */

import { db_dirty_keys } from "../../../actors/db_dirty_keys.ts";
import { db_replay } from "../../../actors/db_replay.ts";
import type { Ledger } from "../../../actors/ledger.ts";
import type { RowKey } from "../../../actors/records.ts";
import type { ShardOptions } from "../../../actors/shard_options.ts";
import { type Definition, genServer } from "../../../src/index.ts";

type Callbacks<D> = D extends Definition ? D["callbacks"] : never;

const ledger: Callbacks<typeof db_dirty_keys> = db_dirty_keys.callbacks;
const replay: Callbacks<typeof db_replay> = db_replay.callbacks;

/** Repairs nothing. */
export const resting_replay: Definition<ShardOptions> = genServer(import.meta.url, "resting_replay", {
  ...(replay as Callbacks<Definition>),
  cast: { ...replay.cast, pump: () => undefined, resume: () => undefined, probe: () => undefined },
});

const noBreaker = { state: "closed", failed: () => false, answered: () => false, halfOpen: () => undefined };

const noRate = {
  setRate: () => undefined,
  available: (wanted: number) => wanted,
  take: () => undefined,
  delayMs: () => 0,
};

/** db_replay with something else in its place. */
function replayWith(name: string, change: Readonly<Record<string, unknown>>): Definition<ShardOptions> {
  return genServer(import.meta.url, name, {
    ...(replay as Callbacks<Definition>),
    init: async (options: ShardOptions, self) => ({ ...(await replay.init(options, self)), ...change }),
  });
}

/** No breaker: goes on however often the peer has failed. */
export const tireless_replay = replayWith("tireless_replay", { breaker: noBreaker });

/** No rate: repairs as fast as it can. */
export const rateless_replay = replayWith("rateless_replay", { repairs: noRate });

/** Neither. */
export const budgetless_replay = replayWith("budgetless_replay", { breaker: noBreaker, repairs: noRate });

/** No lanes for the queuer: a key is handed out again while it is under way. */
export const laneless_ledger: Definition<ShardOptions> = genServer(import.meta.url, "laneless_ledger", {
  ...(ledger as Callbacks<Definition>),
  call: {
    ...ledger.call,
    take: (state: { readonly ledger: Ledger }, keys: readonly RowKey[]) => {
      state.ledger.releaseUnmarked(keys);
      return ledger.call.take(state as never, keys);
    },
  },
});

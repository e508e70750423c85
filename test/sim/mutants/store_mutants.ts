/** Mutants of the store: each is the product's db_store with one thing broken in it. */

import { db_store } from "../../../actors/db_store.ts";
import type { ShardOptions } from "../../../actors/shard_options.ts";
import type { Store } from "../../../actors/stores/contract.ts";
import { type Definition, genServer } from "../../../src/index.ts";
import type { Callbacks } from "../hazards/late_messages.ts";

const store: Callbacks<typeof db_store> = db_store.callbacks;

/** Remembers its fences, and takes what is below them all the same. */
export const unchecking_store: Definition<ShardOptions> = genServer(import.meta.url, "unchecking_store", {
  ...(store as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => {
    const state: { readonly store: Store } = await store.init(options, self);
    const unchecked: Store = {
      ...state.store,
      apply: (groups) => state.store.apply(groups.map(({ rows }) => ({ grants: [], rows }))),
    };
    return { ...state, store: unchecked };
  },
});

/** A broken twin for the drain of a move: the rest of the actor is the product's own. */

import { db_dirty_keys } from "../../../actors/db_dirty_keys.ts";
import type { ShardOptions } from "../../../actors/shard_options.ts";
import { type Definition, genServer } from "../../../src/index.ts";
import type { Callbacks } from "./late_messages.ts";

const ledger: Callbacks<typeof db_dirty_keys> = db_dirty_keys.callbacks;

/** Tells a coordinator that nothing is dirty, and that nothing changed since the comparison. */
export const boastful_ledger: Definition<ShardOptions> = genServer(import.meta.url, "boastful_ledger", {
  ...(ledger as Callbacks<Definition>),
  call: {
    ...ledger.call,
    counts: (state: never, cohorts?: readonly string[]) => {
      const counts = ledger.call.counts(state, cohorts);
      return cohorts === undefined ? counts : { ...counts, marks: 0, perror: 0, pending: 0 };
    },
    changedKeys: () => [],
  },
});

/** The product's ledger, which counts in its state how often its crawler looked for a range. */

import { db_dirty_keys } from "../../actors/db_dirty_keys.ts";
import type { ShardOptions } from "../../actors/shard_options.ts";
import { type Definition, genServer } from "../../src/index.ts";

type Callbacks<D> = D extends Definition ? D["callbacks"] : never;

const ledger: Callbacks<typeof db_dirty_keys> = db_dirty_keys.callbacks;

export const counting_ledger: Definition<ShardOptions> = genServer(import.meta.url, "counting_ledger", {
  ...(ledger as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => ({ ...(await ledger.init(options, self)), looks: 0 }),
  call: {
    ...ledger.call,
    nextRange: (state: { looks: number }) => {
      state.looks++;
      return ledger.call.nextRange(state as never);
    },
  },
});

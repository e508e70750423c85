/**
 * Broken twins that order writes by clocks: a write's version is the time at the node that its value names, and a store
 * drops what is older without a word, as a last-write-wins register does. The product's own otherwise.
 */

import { db_store } from "../../../actors/db_store.ts";
import { db_switch } from "../../../actors/db_switch.ts";
import type { WriteRequest } from "../../../actors/shard_messages.ts";
import type { ShardOptions } from "../../../actors/shard_options.ts";
import type { Store } from "../../../actors/stores/contract.ts";
import { type Definition, type From, genServer, type Self } from "../../../src/index.ts";
import type { Callbacks } from "./late_messages.ts";

const admission: Callbacks<typeof db_switch> = db_switch.callbacks;
const store: Callbacks<typeof db_store> = db_store.callbacks;

export const hourMs = 3_600_000;

/** Its clock is ahead of the others' by an hour. */
export const nodeAhead = "A1";

interface Clocked {
  readonly self: Self;
  n: number;
}

export const clocked_switch: Definition<ShardOptions> = genServer(import.meta.url, "clocked_switch", {
  ...(admission as Callbacks<Definition>),
  call: {
    ...admission.call,
    write: (state: Clocked, request: WriteRequest, from: From) => {
      const [value] = request.rows.map((row) => new TextDecoder().decode(row.value ?? undefined));
      const aheadMs = (node = ""): number => (node === nodeAhead ? hourMs : 0);
      const { self } = state;
      state.n = Math.floor(self.clock.now() - aheadMs(self.pid.node) + aheadMs(value?.split(" ")[0]));
      return admission.call.write(state as never, request, from);
    },
  },
});

export const clocked_store: Definition<ShardOptions> = genServer(import.meta.url, "clocked_store", {
  ...(store as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => {
    const state: { readonly store: Store } = await store.init(options, self);
    return { ...state, store: silent(state.store) };
  },
});

function silent(checked: Store): Store {
  return {
    ...checked,
    apply: async (groups) => {
      const results = await checked.apply(groups);
      return results.map((group) =>
        group.map((result) => (result.status === "stale" ? { status: "applied" } : result)),
      );
    },
  };
}

/** Mutants of admission: each is the product's db_switch with one thing broken in it. */

import type { AmendJob } from "../../../actors/amend_queue.ts";
import { db_switch } from "../../../actors/db_switch.ts";
import type { Version } from "../../../actors/records.ts";
import type { WriteResult } from "../../../actors/shard_messages.ts";
import type { ShardOptions } from "../../../actors/shard_options.ts";
import { type Definition, genServer } from "../../../src/index.ts";
import type { Callbacks } from "../hazards/late_messages.ts";

const admission: Callbacks<typeof db_switch> = db_switch.callbacks;

/** Serves on by what it knew of control, however long ago it read that. */
export const leaseless_switch: Definition<ShardOptions> = genServer(import.meta.url, "leaseless_switch", {
  ...(admission as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => {
    const state: { readonly lease: object } = await admission.init(options, self);
    Object.assign(state.lease, { check: () => undefined });
    return state;
  },
});

interface AdmittingState {
  readonly filling: readonly { readonly operation: Operation; readonly row: { readonly version: Version } }[];
}

interface Operation {
  missing: number;
  readonly results: readonly unknown[];
  readonly done: (results: WriteResult[]) => void;
}

/** Answers an amend when it is decided: a one-time key is handed out before it is known to be taken. */
export const hasty_switch: Definition<ShardOptions> = genServer(import.meta.url, "hasty_switch", {
  ...(admission as Callbacks<Definition>),
  cast: {
    ...admission.cast,
    amendRead: (state: AdmittingState, read: { readonly context: AmendJob }) => {
      const before = state.filling.length;
      admission.cast.amendRead(state as never, read);
      if (read.context.type !== "request") return;
      const operations = new Set(state.filling.slice(before).map(({ operation }) => operation));
      for (const operation of operations) {
        const fine: WriteResult = { ok: true, version: [0, 0, 0] };
        operation.done(Array.from(operation.results, () => fine));
        // It is never answered again.
        operation.missing = Number.POSITIVE_INFINITY;
      }
    },
  },
});

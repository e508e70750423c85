/** Mutants of the ledger: each is the product's db_dirty_keys with one thing broken in it. */

import { db_dirty_keys } from "../../../actors/db_dirty_keys.ts";
import { Ledger, type Sender } from "../../../actors/ledger.ts";
import type { CohortId, MarkOwner, RowKey, Version } from "../../../actors/records.ts";
import type { ShardOptions } from "../../../actors/shard_options.ts";
import { type Definition, genServer } from "../../../src/index.ts";
import type { Callbacks } from "../hazards/late_messages.ts";

const ledger: Callbacks<typeof db_dirty_keys> = db_dirty_keys.callbacks;

/** The shard's own ledger, recovered marks and all, with some of its methods overridden. It may have no fields. */
async function startAs(kind: typeof Ledger, options: ShardOptions, self: never): Promise<object> {
  const state: { readonly ledger: Ledger } = await ledger.init(options, self);
  Object.setPrototypeOf(state.ledger, kind.prototype);
  return state;
}

class SetLedger extends Ledger {
  override admit(key: RowKey, cohort: CohortId, version: Version, nowMs: number): void {
    // What db_perror owns must get its second chance, or nothing would ever settle.
    if (this.owner(key) === "perror") super.admit(key, cohort, version, nowMs);
    else this.suspect(key, cohort, version, "queuer", nowMs);
  }
}

/** Knows which keys are dirty, not by which versions: a mark says nothing of what is newer or still to be committed. */
export const set_ledger: Definition<ShardOptions> = genServer(import.meta.url, "set_ledger", {
  ...(ledger as Callbacks<Definition>),
  init: (options: ShardOptions, self) => startAs(SetLedger, options, self as never),
});

class ImpatientLedger extends Ledger {
  override admit(key: RowKey, cohort: CohortId, version: Version, nowMs: number): void {
    super.admit(key, cohort, version, nowMs);
    this.unpark(key);
  }
}

/** A write ends its key's backoff: a hot key is sent as often as it is written, however often it fails. */
export const impatient_ledger: Definition<ShardOptions> = genServer(import.meta.url, "impatient_ledger", {
  ...(ledger as Callbacks<Definition>),
  init: (options: ShardOptions, self) => startAs(ImpatientLedger, options, self as never),
});

class OrphaningLedger extends Ledger {
  declare starting: boolean | undefined;

  override disown(sender: Sender): void {
    if (sender === "queuer") {
      const queued = [...this.marks()].filter(({ owner }) => owner === "queuer");
      this.releaseUnmarked(queued.map(({ key }) => key));
    } else super.disown(sender);
  }

  override own(key: RowKey, owner: MarkOwner): void {
    if (this.starting !== true) super.own(key, owner);
  }
}

/** A queuer's marks stay the queuer's when it dies, though its next life knows nothing of them. */
export const orphaning_ledger: Definition<ShardOptions> = genServer(import.meta.url, "orphaning_ledger", {
  ...(ledger as Callbacks<Definition>),
  init: (options: ShardOptions, self) => startAs(OrphaningLedger, options, self as never),
  call: {
    ...ledger.call,
    start: (state: { readonly ledger: OrphaningLedger }, request: never): Promise<void> => {
      state.ledger.starting = true;
      const started: Promise<void> = ledger.call.start(state as never, request);
      // Whatever changes owner has done so by now; what follows is the log.
      state.ledger.starting = false;
      return started;
    },
  },
});

/** A range is over as soon as its cursor has moved: what lies behind that was neither read nor sent. */
export const overclearing_ledger: Definition<ShardOptions> = genServer(
  import.meta.url,
  "overclearing_ledger",
  {
    ...(ledger as Callbacks<Definition>),
    call: {
      ...ledger.call,
      advance: (state: never, { id }: { readonly id: string }) =>
        ledger.call.advance(state, { id, cursor: undefined }),
    },
  },
);

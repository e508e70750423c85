/**
 * db_mirror_repair: what follows when the mirror of a log was left behind (`degrade`) and is current again. Opens a
 * range over each of the log's shards, and only then lets control forget that the mirror was stale.
 *
 * State: none that matters; what is to be done stands in control. Messages: none, it looks by itself.
 *
 * Always true: from the moment at which a mirror is left behind until its shard's range is repaired, the failover gate
 * is closed by one or the other.
 */

import { genServer, type Piped, type Ref, type Self } from "../src/index.ts";
import type { ControlStore } from "./control_store.ts";
import { db_dirty_keys } from "./db_dirty_keys.ts";
import { db_dirty_log } from "./db_dirty_log.ts";
import { dataLimits } from "./limits.ts";
import type { LogMirrorOptions } from "./log_mirror.ts";
import { markCurrent, staleMirrors } from "./mirror_staleness.ts";
import { everyCohort } from "./records.ts";
import { shardProcess } from "./shard_options.ts";

export interface MirrorRepairOptions extends Pick<LogMirrorOptions, "site" | "shards"> {
  /** Registered name of the log. */
  readonly log: string;
}

interface State {
  readonly self: Self;
  readonly options: MirrorRepairOptions;
  readonly control: ControlStore;
  readonly log: Ref<typeof db_dirty_log>;
}

export const db_mirror_repair = genServer(import.meta.url, "db_mirror_repair", {
  deadlines: "own",
  init: (options: MirrorRepairOptions, self): State => {
    self.castSelf("look");
    const control = self.resource<ControlStore>("control");
    return { self, options, control, log: self.ref(db_dirty_log, options.log) };
  },

  cast: {
    look: (state) => state.self.pipe(repair(state), "looked", undefined),

    looked: (state, result: Piped<undefined, void>) => {
      if (!result.ok) state.self.log.warn({ error: result.error }, "a stale mirror waits");
      state.self.castAfter(dataLimits.logProbeMs, "look");
    },
  },
});

/** In this order: what was recorded as stale, a log whose mirror is current since, a range that is in both. */
async function repair({ self, options, control, log }: State): Promise<void> {
  const { site, shards } = options;
  const stale = (await staleMirrors(control, site)).filter(({ mirror }) => shards.includes(mirror.shard));
  if (stale.length === 0 || (await log.call.statistics()).mirror !== "current") return;
  for (const each of stale) {
    const { shard } = each.mirror;
    const ledger = self.ref(db_dirty_keys, shardProcess(site, shard, "db_dirty_keys"));
    await ledger.call.openRange({ cohort: everyCohort, from: "", to: "", reason: "mirror_stale" });
    const forgotten = await markCurrent(control, each);
    self.log.info({ shard, forgotten }, "the mirror is current again, its shard is compared as a whole");
  }
}

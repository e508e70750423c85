/** What becomes of keys that differ and nothing stands for: db_perror's, each by name, or a dirty range, all as one. */

import type { Ref, Self } from "../src/index.ts";
import type { CohortFinder } from "./cohorts.ts";
import type { db_dirty_keys } from "./db_dirty_keys.ts";
import type { db_perror } from "./db_perror.ts";
import { dataLimits } from "./limits.ts";
import { type CohortId, everyCohort, type RowKey, versionZero } from "./records.ts";

/**
 * Returns those for which really nothing stood: others were marked meanwhile, or are served by the other site. `full`:
 * db_perror can't take them.
 */
export async function quarantineMismatches(
  keys: readonly RowKey[],
  means: {
    readonly ledger: Ref<typeof db_dirty_keys>;
    readonly perror: Ref<typeof db_perror>;
    readonly self: Self;
  },
): Promise<readonly RowKey[] | "full"> {
  const { ledger, perror, self } = means;
  if ((await perror.call.count()) + keys.length > dataLimits.perrorPerShardMax) return "full";
  const marked = await ledger.call.suspect({ keys, owner: "perror" });
  if (marked.length === 0) return marked;
  self.log.error({ keys: marked }, "the sides differ and nothing stands for it");
  const entries = marked.map((key) => ({ key, version: versionZero, reason: "mismatch", attempts: 0 }));
  await perror.call.quarantine(entries);
  return marked;
}

/** Everything in these cohorts, or in the whole shard, is dirty. */
export async function openRanges(
  cohorts: readonly CohortId[] | undefined,
  means: { readonly ledger: Ref<typeof db_dirty_keys>; readonly cohortOf: CohortFinder },
): Promise<void> {
  const { ledger, cohortOf } = means;
  const reason = "overflow";
  if (cohorts === undefined) {
    await ledger.call.openRange({ cohort: everyCohort, from: "", to: "", reason });
    return;
  }
  for (const cohort of cohorts) await ledger.call.openRange({ cohort, ...cohortOf.bounds(cohort), reason });
}

/** A shard's ledger as its log has it. Pure. */

import { type CohortFinder, cohortOfRow } from "./cohorts.ts";
import { Ledger } from "./ledger.ts";
import type { RecoveredShard } from "./log_image.ts";
import { type CohortId, everyCohort } from "./records.ts";

interface RecoveryOptions {
  readonly bytesMax: number;
  readonly cohortOf: CohortFinder;
  readonly nowMs: number;
}

/**
 * What was the queuer's is replay's now. `provisional`: a range over everything, for nobody knows before the shard's
 * start whether its log was lost; it is not logged, and goes if it was not. `unfit`: cohorts whose marks did not all
 * fit, because more bytes were allowed when they were made: a range over each has to take their place.
 */
export function recoveredLedger(
  { marks, ranges, shardTerm }: Pick<RecoveredShard, "marks" | "ranges" | "shardTerm">,
  { bytesMax, cohortOf, nowMs }: RecoveryOptions,
): { readonly ledger: Ledger; readonly provisional: string; readonly unfit: Set<CohortId> } {
  const ledger = new Ledger(bytesMax);
  const unfit = new Set<CohortId>();
  for (const { key, version, owner } of marks) {
    const cohort = cohortOfRow(cohortOf, key);
    // db_perror's are few, and no range remembers them.
    if (owner !== "perror" && !ledger.fits(key)) unfit.add(cohort);
    else ledger.suspect(key, cohort, version, owner === "perror" ? "perror" : "replay", nowMs);
  }
  for (const range of ranges) ledger.setRange(range);
  const everything = { cohort: everyCohort, from: "", to: "", reason: "log_lost" } as const;
  return { ledger, provisional: ledger.openRange(shardTerm, everything).id, unfit };
}

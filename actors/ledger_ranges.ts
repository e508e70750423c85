/** Ranges that stand for what no mark can name: all of a shard, or what a full ledger can't hold key by key. */

import type { ChangedKeys } from "./changed_keys.ts";
import type { CohortFinder } from "./cohorts.ts";
import type { Ledger } from "./ledger.ts";
import type { SendTerms } from "./ledger_messages.ts";
import type { LogRecord, ShardRecords } from "./log_records.ts";
import { type CohortId, type DirtyRange, everyCohort } from "./records.ts";

export const wholeShard = { cohort: everyCohort, from: "", to: "" } as const;

/** Of db_dirty_keys. */
interface LedgerState {
  readonly ledger: Ledger;
  readonly cohortOf: CohortFinder;
  readonly changed: ChangedKeys;
  readonly terms: SendTerms;
  readonly records: ShardRecords;
}

/** What stands, or stood, in a range is not named key by key as changed. */
export function openRange(
  { ledger, changed, terms }: Pick<LedgerState, "ledger" | "changed" | "terms">,
  asked: Parameters<Ledger["openRange"]>[1],
): DirtyRange {
  changed.overflow(asked.cohort);
  return ledger.openRange(terms.shardTerm, asked);
}

/** The range that collects for a cohort; a new one is added to what is to be logged. */
export function rangeOver(state: LedgerState, cohort: CohortId, made: LogRecord[]): DirtyRange {
  const standing = state.ledger.collecting(cohort);
  if (standing !== undefined) return standing;
  const range = openRange(state, { cohort, ...state.cohortOf.bounds(cohort), reason: "overflow" });
  made.push(state.records.range(range));
  return range;
}

/** What db_compare is asked and answers. All plain data. */

import type { CohortId, RowKey } from "./records.ts";

export interface ValidationRequest {
  /** Default: all that this site serves. Those that it does not serve are left out. */
  readonly cohorts?: readonly CohortId[];
  /** Only what changed since the last pass, where one stands; every row where none does. */
  readonly changedOnly?: boolean;
}

export interface Validation {
  /** Rows compared, of either side. */
  readonly rows: number;
  /** Keys that differed at first sight, most of them written while they were read. */
  readonly suspects: number;
  /** Of these, how many a mark or a range stood for: they are compared again once it has gone. */
  readonly accounted: number;
  /** Keys that differ and nothing stood for; they are in db_perror, and the first of them here. */
  readonly mismatches: number;
  readonly examples: readonly RowKey[];
  /** There were too many mismatches: everything that was compared is a dirty range now. */
  readonly degraded: boolean;
  /** Cohorts for which the comparison is recorded. */
  readonly cohorts: readonly CohortId[];
  readonly startedAtMs: number;
  readonly endedAtMs: number;
}

export interface CompareStatistics {
  /** Since this process started. */
  readonly comparedRows: number;
  readonly suspects: number;
  readonly unaccountedFound: number;
  /** Sampled keys that differed at first sight while too many suspects waited: nobody looked at them again. */
  readonly samplesSkipped: number;
}

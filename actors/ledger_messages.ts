/** What others ask of a shard's ledger (db_dirty_keys), and what they get. All plain data. */

import type { CohortCounts, Taken } from "./ledger.ts";
import type { CohortId, DirtyRange, Grants, RowKey, Version } from "./records.ts";

export interface Admission {
  readonly key: RowKey;
  readonly cohort: CohortId;
  readonly version: Version;
  /** Whether the cohort is migrated: only then a mark is made. */
  readonly live: boolean;
}

/** For each admission: "" if it has a mark, else what stands for it: a range's id, or `notLive`. */
export type Absorbed = readonly string[];

export const notLive = "off";

/** Rows are sent with these; a cohort that is not here is not sent. */
export interface SendTerms {
  readonly shardTerm: number;
  readonly cohorts: Readonly<Record<CohortId, number>>;
  /** Why the own store is no ground for anything, or "". */
  readonly lost: string;
  /** The migration is: ranges that a crash brought back mean nothing any more. */
  readonly finished: boolean;
}

export interface TakenWithGrants extends Taken {
  readonly grants: Grants;
}

export interface LedgerCounts extends CohortCounts {
  readonly ranges: number;
  readonly lanes: number;
  readonly bytes: number;
  /** Age of the oldest mark, ms; 0 without marks. */
  readonly lagMs: number;
}

/** What db_feed has heard of: these keys were changed by others; with a reason, everything is suspect as well. */
export interface ForeignChanges {
  readonly keys: readonly RowKey[];
  readonly everything: DirtyRange["reason"] | undefined;
}

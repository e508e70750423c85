/** One validation of db_compare while it runs, as its state has it. */

import type { From } from "../src/index.ts";
import type { PassStart } from "./changed_keys.ts";
import type { Validation, ValidationRequest } from "./compare_messages.ts";
import type { Tally, Work } from "./compare_work.ts";
import type { CoverageRecord } from "./coverage.ts";
import type { CohortId, RowKey } from "./records.ts";

/** One validation: open until the last portion was read, its last suspect settled, and its coverage recorded. */
export interface Pass {
  readonly from: From<Validation>;
  /** Its request's cohorts: a second pass over the same ends it. */
  readonly scope: string;
  readonly request: ValidationRequest;
  readonly startedAtMs: number;
  begun: Begun | undefined;
  work: Work[];
  limit: number;
  rows: number;
  suspects: number;
  accounted: number;
  open: number;
  reading: boolean;
  ended: boolean;
  mismatches: number;
  /** Of its suspects, how many were handed to db_perror: mismatches, or on the way to be. */
  handedOver: number;
  readonly examples: RowKey[];
}

export interface Begun {
  readonly start: PassStart;
  readonly record: CoverageRecord;
  readonly tally: Tally;
  readonly again: ReadonlySet<CohortId>;
}

/** Of rows whose size is not known yet. */
const firstLimit = 64;

export function newPass(
  asked: Pick<Pass, "from" | "scope" | "request" | "startedAtMs">,
  limitMax: number,
): Pass {
  return {
    ...asked,
    begun: undefined,
    work: [],
    limit: Math.min(firstLimit, limitMax),
    rows: 0,
    suspects: 0,
    accounted: 0,
    open: 0,
    reading: true,
    ended: false,
    mismatches: 0,
    handedOver: 0,
    examples: [],
  };
}

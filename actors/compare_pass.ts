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
  /** Of its suspects, how many are on the way to db_perror, which has not answered for them. */
  handingOver: number;
  /** Its ranges are dirty; it is answered when nothing is on the way any more. */
  degraded: boolean;
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
    handingOver: 0,
    degraded: false,
    examples: [],
  };
}

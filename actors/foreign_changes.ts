/**
 * How changes that others made enter a ledger, in the place of an admission: each key under a version of its own, so
 * that no send that read its row before clears it, and a full ledger widens a range. Works on db_dirty_keys' state.
 */

import type { Self } from "../src/index.ts";
import type { ChangedKeys } from "./changed_keys.ts";
import type { CohortFinder } from "./cohorts.ts";
import type { Holds } from "./holds.ts";
import type { Ledger } from "./ledger.ts";
import type { ForeignChanges, SendTerms } from "./ledger_messages.ts";
import { openRange, rangeOver, wholeShard } from "./ledger_ranges.ts";
import type { LogRecord, ShardRecords } from "./log_records.ts";
import { splitRowKey, type Version } from "./records.ts";

interface LedgerState {
  readonly self: Self;
  readonly ledger: Ledger;
  readonly cohortOf: CohortFinder;
  readonly terms: SendTerms;
  readonly records: ShardRecords;
  readonly changed: ChangedKeys;
  readonly held: Pick<Holds, "has">;
  serial: number;
}

/** Returns what is to be logged. What is committed waits for nothing; what the other site serves is its matter. */
export function followChanges(state: LedgerState, { keys, everything }: ForeignChanges): LogRecord[] {
  const { ledger, terms, records } = state;
  const made: LogRecord[] = [];
  if (everything !== undefined) {
    made.push(records.range(openRange(state, { ...wholeShard, reason: everything })));
  }
  for (const key of keys) {
    const { backend, key: plain } = splitRowKey(key);
    const cohort = state.cohortOf(backend, plain);
    if (terms.cohorts[cohort] === undefined || state.held.has(key)) continue;
    state.changed.changed(cohort, key);
    if (!ledger.fits(key)) {
      rangeOver(state, cohort, made);
      continue;
    }
    const version: Version = [0, terms.shardTerm, state.serial++];
    ledger.touch(key, cohort, version, state.self.clock.now());
    made.push(records.mark(key, version, ledger.owner(key) ?? "replay"));
  }
  return made;
}

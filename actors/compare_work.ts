/**
 * What a comparison has to read, piece by piece, and which cohort each row of it counts for. db_compare walks it.
 *
 * A piece is a key range of both sides, or the keys of one cohort that changed since its last comparison. Nothing is
 * kept for a row: a range goes on from a key, and changed keys are bounded by their ledger.
 */

import type { Ref } from "../src/index.ts";
import type { PassStart } from "./changed_keys.ts";
import type { CohortFinder, CohortRun } from "./cohorts.ts";
import { type Pair, walkPairs } from "./compare.ts";
import type { CoverageRecord } from "./coverage.ts";
import type { db_dirty_keys } from "./db_dirty_keys.ts";
import { dataLimits } from "./limits.ts";
import type { RangeReader, Rows } from "./range_reader.ts";
import { type CohortId, compareKeys, type Row, type RowKey, type Site } from "./records.ts";
import { decodeRow, sameButVersion } from "./stores/row_codec.ts";

export type Work =
  /** `cohort` undefined: of every cohort that is served here. */
  | {
      readonly type: "range";
      readonly cohort: CohortId | undefined;
      readonly from: RowKey;
      readonly to: RowKey;
    }
  | {
      readonly type: "changed";
      readonly cohort: CohortId;
      readonly keys?: readonly RowKey[];
      readonly at: number;
    };

export interface WorkPlan {
  readonly start: PassStart;
  readonly record: CoverageRecord;
  readonly site: Site;
  /** Every cohort that is served here. */
  readonly all: boolean;
  readonly changedOnly: boolean;
}

/** More ranges than this share of all cohorts are read as one: a range of its own costs a round trip at least. */
const rangesShareMax = 1 / 8;

/** Cohorts whose last comparison and what changed since are known are read by changed keys, if so wanted. */
export function planWork(
  { start, record, site, all, changedOnly }: WorkPlan,
  cohortOf: CohortFinder,
): Work[] {
  const named: Work[] = [];
  const ranges: Work[] = [];
  for (const { cohort, changes } of start.cohorts) {
    const part = record.parts[cohort];
    const stands = part?.site === site && part.epoch === start.epoch && typeof changes === "number";
    if (changedOnly && stands) named.push({ type: "changed", cohort, at: 0 });
    else ranges.push({ type: "range", cohort, ...cohortOf.bounds(cohort) });
  }
  if (all && ranges.length > start.cohorts.length * rangesShareMax) {
    return [{ type: "range", cohort: undefined, from: "", to: "" }];
  }
  return [...named, ...ranges];
}

export interface Portion {
  readonly rows: Rows | undefined;
  readonly pairs: readonly Pair[];
  /** What is left of the piece. */
  readonly rest: Work | undefined;
}

export async function readPortion(
  work: Work,
  limit: number,
  { reader, ledger }: { readonly reader: RangeReader; readonly ledger: Ref<typeof db_dirty_keys> },
): Promise<Portion> {
  if (work.type === "range") {
    const rows = await reader.rows({ from: work.from, to: work.to }, limit);
    const rest = rows.next === undefined ? undefined : { ...work, from: rows.next };
    return { rows, pairs: [], rest };
  }
  const keys = work.keys ?? (await ledger.call.changedKeys(work.cohort)) ?? [];
  const at = work.at + limit;
  const pairs = await reader.get(keys.slice(work.at, at));
  return { rows: undefined, pairs, rest: at < keys.length ? { ...work, keys, at } : undefined };
}

type Visit = (key: RowKey, local: Row | undefined, peer: Row | undefined) => void;

/** Counts rows by cohort; a row of a cohort that the pass is not about is not its business. */
export class Tally {
  readonly #cohortOf: CohortFinder;
  readonly #rows = new Map<CohortId, number>();
  #work: Work | undefined;
  #run: CohortRun | undefined;
  /** Rows of the run are counted and compared. */
  #wanted = false;

  constructor(cohorts: readonly CohortId[], cohortOf: CohortFinder) {
    this.#cohortOf = cohortOf;
    for (const cohort of cohorts) this.#rows.set(cohort, 0);
  }

  rows(cohort: CohortId): number {
    return this.#rows.get(cohort) ?? 0;
  }

  /** Each key of the portion that is not plainly equal. Returns how many there were to compare, those included. */
  each(work: Work, { rows, pairs }: Portion, visit: Visit): number {
    if (this.#work?.cohort !== work.cohort) this.#run = undefined;
    this.#work = work;
    if (rows !== undefined) return this.#eachRow(work, rows, visit);
    for (const { key, local, peer } of pairs) visit(key, local, peer);
    if (work.cohort !== undefined) this.#add(work.cohort, pairs.length);
    return pairs.length;
  }

  #eachRow(work: Work, { local, peer }: Rows, visit: Visit): number {
    const last = laterKey(local.at(-1)?.key, peer.at(-1)?.key);
    // Nearly all portions lie within one run: then no key is looked at for its cohort.
    let within = last !== undefined && this.#run !== undefined && isBefore(last, this.#run);
    let inRun = 0;
    let counted = 0;
    const endRun = (): void => {
      if (!this.#wanted || this.#run === undefined) inRun = 0;
      else this.#add(this.#run.cohort, inRun);
      counted += inRun;
      inRun = 0;
    };
    walkPairs(local, peer, (key, mine, theirs) => {
      if (!within && (this.#run === undefined || !isBefore(key, this.#run))) {
        endRun();
        this.#run = this.#cohortOf.run(key);
        this.#wanted = this.#isWanted(work, this.#run.cohort);
        within = last !== undefined && isBefore(last, this.#run);
      }
      inRun++;
      if (!this.#wanted) return;
      if (mine !== undefined && theirs !== undefined && sameButVersion(mine.value, theirs.value)) return;
      visit(key, mine && decodeRow(key, mine.value), theirs && decodeRow(key, theirs.value));
    });
    endRun();
    return counted;
  }

  #isWanted({ cohort }: Work, run: CohortId): boolean {
    return cohort === undefined ? this.#rows.has(run) : run === cohort;
  }

  #add(cohort: CohortId, rows: number): void {
    this.#rows.set(cohort, (this.#rows.get(cohort) ?? 0) + rows);
  }
}

function isBefore(key: RowKey, { until }: CohortRun): boolean {
  return compareKeys(key, until) < 0;
}

function laterKey(a: RowKey | undefined, b: RowKey | undefined): RowKey | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return compareKeys(a, b) > 0 ? a : b;
}

/** How many rows the next portion may have, by the size of those of the last one. */
export function nextLimit({ rows, pairs }: Portion, limitMax: number): number {
  const read = rows?.local ?? pairs.map(({ local }) => local);
  if (read.length === 0) return limitMax;
  let bytes = 0;
  for (const row of read) bytes += row?.value?.byteLength ?? 0;
  const meanBytes = Math.max(1, bytes / read.length);
  return Math.max(1, Math.min(limitMax, Math.floor(dataLimits.stretchBytesMax / meanBytes)));
}

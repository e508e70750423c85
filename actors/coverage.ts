/**
 * What was compared, when, and what may have changed since: the records that a comparison leaves in the control store,
 * one for each shard, and what they say together. A part is one cohort in one shard.
 *
 * Always true: whatever was never computed is null or `unknown`, never 0; a part whose ledger has died since says so,
 * because nobody remembers what changed after its comparison.
 */

import { NanoError } from "../src/index.ts";
import type { Changes } from "./changed_keys.ts";
import { type ControlStore, controlKeys } from "./control_store.ts";
import { dataLimits } from "./limits.ts";
import type { CohortId, Site } from "./records.ts";

/** `coverage/<shard>` */
export interface CoverageRecord {
  readonly shard: number;
  /** Keys that differed with neither mark nor range, over all comparisons, samples included. */
  readonly unaccountedFound: number;
  readonly parts: Readonly<Record<CohortId, CoveragePart>>;
}

export interface CoveragePart {
  readonly cohort: CohortId;
  /** Whose ledger remembers what changed since, in which of its lives. */
  readonly site: Site;
  readonly epoch: number;
  /** Of the last comparison of every row, which began and ended then; wall-clock ms. */
  readonly rows: number;
  readonly fullFromMs: number;
  readonly fullToMs: number;
  /** When the last comparison of what had changed began, and how many rows those have read since the full one. */
  readonly againFromMs: number;
  readonly againRows: number;
}

export async function readCoverage(control: ControlStore, shard: number): Promise<CoverageRecord> {
  const record = await control.get(controlKeys.coverage(shard));
  return (record?.value as CoverageRecord | undefined) ?? { shard, unaccountedFound: 0, parts: {} };
}

/**
 * When the oldest of the last comparisons of every row began, over all parts of these cohorts, wall-clock ms; undefined
 * if one was never compared. Whether somebody remembers what changed since is another question.
 */
export async function oldestComparison(
  control: ControlStore,
  shards: number,
  cohorts: readonly CohortId[],
): Promise<number | undefined> {
  let oldest = Number.POSITIVE_INFINITY;
  for (let shard = 0; shard < shards; shard++) {
    const { parts } = await readCoverage(control, shard);
    for (const cohort of cohorts) {
      const part = parts[cohort];
      if (part === undefined) return undefined;
      oldest = Math.min(oldest, part.fullFromMs);
    }
  }
  return oldest;
}

/** Both sites write it. Errors: `conflict` if others do all the time, `unavailable`. */
export async function changeCoverage(
  control: ControlStore,
  shard: number,
  change: { readonly found: number; readonly parts: readonly CoveragePart[] },
): Promise<void> {
  const key = controlKeys.coverage(shard);
  for (let attempt = 1; attempt <= dataLimits.coverageAttemptsMax; attempt++) {
    const revision = (await control.get(key))?.revision ?? 0;
    const { unaccountedFound, parts } = await readCoverage(control, shard);
    const changed: CoverageRecord = {
      shard,
      unaccountedFound: unaccountedFound + change.found,
      parts: { ...parts, ...Object.fromEntries(change.parts.map((part) => [part.cohort, part])) },
    };
    if ((await control.compareAndSet(key, revision, changed)) !== undefined) return;
  }
  throw new NanoError("conflict", `${key} is written by others all the time`);
}

/** Several parts as one: their sum, as old as the oldest. */
export interface Coverage {
  /** Parts there are; those whose comparison stands; those compared before a restart that forgot what changed since. */
  readonly parts: number;
  readonly compared: number;
  readonly forgotten: number;
  /** `compared` of `parts`, 0 to 1. */
  readonly share: number;
  /** Of the compared parts, at the last comparison of every row; null without one. */
  readonly rows: number | null;
  /** How many of these rows, and of newer ones, may have changed since they were last compared. */
  readonly changed: number | null;
  /** Rows that were compared again because they had changed. */
  readonly againRows: number | null;
  /** Since the oldest comparison of every row began, ms. */
  readonly fullAgeMs: number | null;
  /** Since the oldest last comparison of what had changed began, ms. */
  readonly againAgeMs: number | null;
}

export interface CohortCoverage extends Coverage {
  readonly cohort: CohortId;
  /** Who serves it. */
  readonly site: Site;
}

export interface SitesCoverage extends Coverage {
  /** null before the first comparison. */
  readonly unaccountedFoundTotal: number | null;
  readonly cohorts: readonly CohortCoverage[];
}

/** What a shard's authority knows of a part now. */
export interface PartState {
  readonly part: CoveragePart | undefined;
  /** The ledger that would remember. */
  readonly site: Site;
  readonly epoch: number;
  readonly changes: Changes;
  readonly nowMs: number;
}

export function summarize(states: readonly PartState[]): Coverage {
  const sum = { rows: 0, changed: 0, againRows: 0, fullAgeMs: 0, againAgeMs: 0 };
  let compared = 0;
  let forgotten = 0;
  for (const { part, site, epoch, changes, nowMs } of states) {
    if (part === undefined) continue;
    if (part.site !== site || part.epoch !== epoch || typeof changes !== "number") {
      forgotten++;
      continue;
    }
    compared++;
    sum.rows += part.rows;
    sum.changed += changes;
    sum.againRows += part.againRows;
    sum.fullAgeMs = Math.max(sum.fullAgeMs, nowMs - part.fullFromMs);
    sum.againAgeMs = Math.max(sum.againAgeMs, nowMs - part.againFromMs);
  }
  const parts = states.length;
  const share = parts === 0 ? 0 : compared / parts;
  const none = { rows: null, changed: null, againRows: null, fullAgeMs: null, againAgeMs: null };
  return { parts, compared, forgotten, share, ...(compared === 0 ? none : sum) };
}

/** Of parts that were verified just now: nothing has changed since. */
export function coverageOf(parts: readonly CoveragePart[], nowMs: number): Coverage {
  return summarize(parts.map((part) => ({ part, site: part.site, epoch: part.epoch, changes: 0, nowMs })));
}

/** null before the first comparison: a 0 that nobody computed says nothing. */
export function unaccountedFoundTotal(records: readonly CoverageRecord[]): number | null {
  const found = records.reduce((sum, { unaccountedFound }) => sum + unaccountedFound, 0);
  const compared = records.some(({ parts }) => Object.keys(parts).length > 0);
  return compared || found > 0 ? found : null;
}

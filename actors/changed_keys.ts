/**
 * Which keys of each cohort may have come to differ since a comparison last began to look at them: admitted, confirmed
 * at the peer after a mark, or absorbed by a range. What a comparison after the first full one reads again. Pure.
 *
 * State: for each cohort that was ever compared two sets: `before` the pass in work began (it has to look at these),
 * and `since`. A pass that does not end leaves `before` to the next one, so nothing is forgotten.
 *
 * Always true: bounded for a cohort and for the shard; a set that would pass a bound becomes `overflow`, which only a
 * comparison of the cohort's whole range clears.
 */

import { dataLimits } from "./limits.ts";
import { type CohortId, everyCohort, type RowKey } from "./records.ts";

/** How many keys; `unknown`: the cohort was never compared, so every key may differ; `overflow`: too many to name. */
export type Changes = number | "unknown" | "overflow";

type Kept = Set<RowKey> | "unknown" | "overflow";

/** What a comparison has to look at. `epoch`: the life of the process that remembers it. */
export interface PassStart {
  readonly epoch: number;
  readonly cohorts: readonly {
    readonly cohort: CohortId;
    readonly pass: number;
    readonly changes: Changes;
  }[];
}

interface Tracked {
  /** The newest pass; only that one may end it. */
  pass: number;
  before: Kept;
  since: Kept;
}

export class ChangedKeys {
  readonly #cohorts = new Map<CohortId, Tracked>();
  #served: readonly CohortId[] = [];
  #size = 0;
  #passes = 0;
  #epoch = 0;

  /** The first shard term that its process starts names its life: no other process ever has it. */
  live(shardTerm: number): void {
    if (this.#epoch === 0) this.#epoch = shardTerm;
  }

  /** These cohorts are served here; others are kept equal by the other site, from now on. */
  serve(cohorts: readonly CohortId[]): void {
    this.#served = cohorts;
    const served = new Set(cohorts);
    for (const cohort of this.#cohorts.keys()) if (!served.has(cohort)) this.#forget(cohort);
  }

  /**
   * A comparison begins, of these cohorts or of all, as far as they are served here: it has to look at what changed
   * until now, and what changes later is left to the next one.
   */
  beginPass(cohorts?: readonly CohortId[]): PassStart {
    const served = cohorts?.filter((cohort) => this.#served.includes(cohort)) ?? this.#served;
    const begun = served.map((cohort) => ({ cohort, pass: this.#begin(cohort), changes: this.of(cohort) }));
    return { epoch: this.#epoch, cohorts: begun };
  }

  /** It has compared what it had to. Returns the cohorts for which that stands: no newer pass took its keys over. */
  endPass(begun: PassStart["cohorts"]): CohortId[] {
    return begun.filter(({ cohort, pass }) => this.#end(cohort, pass)).map(({ cohort }) => cohort);
  }

  /**
   * The other site has just compared these cohorts under its block and hands them over: as if passes of ours had just
   * ended. Returns the epoch here.
   */
  adoptPass(cohorts: readonly CohortId[]): number {
    for (const cohort of cohorts) {
      this.#forget(cohort);
      this.#cohorts.set(cohort, { pass: ++this.#passes, before: new Set(), since: new Set() });
    }
    return this.#epoch;
  }

  changes(cohorts: readonly CohortId[], nowMs: number): { epoch: number; changes: Changes[]; nowMs: number } {
    return { epoch: this.#epoch, changes: cohorts.map((cohort) => this.of(cohort)), nowMs };
  }

  changed(cohort: CohortId, key: RowKey): void {
    const tracked = this.#cohorts.get(cohort);
    if (tracked === undefined || !(tracked.since instanceof Set) || tracked.since.has(key)) return;
    const full =
      tracked.since.size >= dataLimits.changedKeysPerCohortMax ||
      this.#size >= dataLimits.changedKeysPerShardMax;
    if (full) this.#overflow(tracked);
    else {
      tracked.since.add(key);
      this.#size++;
    }
  }

  /** Nobody can name the keys: a range over the cohort, or over everyCohort, stands or stood for them. */
  overflow(cohort: CohortId): void {
    const all = cohort === everyCohort ? this.#cohorts.values() : [this.#cohorts.get(cohort)];
    for (const tracked of all) if (tracked !== undefined) this.#overflow(tracked);
  }

  /** What may differ from what the last pass that ended saw. */
  of(cohort: CohortId): Changes {
    const tracked = this.#cohorts.get(cohort);
    if (tracked === undefined) return "unknown";
    const { before, since } = tracked;
    if (!(before instanceof Set)) return before;
    if (!(since instanceof Set)) return since;
    return before.size + since.size;
  }

  /** What the pass in work has to look at again; undefined: every key of the cohort. */
  keys(cohort: CohortId): RowKey[] | undefined {
    const before = this.#cohorts.get(cohort)?.before;
    return before instanceof Set ? [...before] : undefined;
  }

  #begin(cohort: CohortId): number {
    const tracked = this.#cohorts.get(cohort);
    const pass = ++this.#passes;
    const before = tracked === undefined ? "unknown" : this.#merged(tracked);
    this.#cohorts.set(cohort, { pass, before, since: new Set() });
    return pass;
  }

  #end(cohort: CohortId, pass: number): boolean {
    const tracked = this.#cohorts.get(cohort);
    if (tracked === undefined || tracked.pass !== pass) return false;
    this.#size -= sizeOf(tracked.before);
    tracked.before = new Set();
    return true;
  }

  #forget(cohort: CohortId): void {
    const tracked = this.#cohorts.get(cohort);
    if (tracked === undefined) return;
    this.#size -= sizeOf(tracked.before) + sizeOf(tracked.since);
    this.#cohorts.delete(cohort);
  }

  #merged({ before, since }: Tracked): Kept {
    if (before instanceof Set && since instanceof Set) {
      const both = before.size + since.size;
      for (const key of since) before.add(key);
      this.#size -= both - before.size;
      if (before.size <= dataLimits.changedKeysPerCohortMax) return before;
    }
    this.#size -= sizeOf(before) + (before instanceof Set && since instanceof Set ? 0 : sizeOf(since));
    return before === "unknown" ? "unknown" : "overflow";
  }

  #overflow(tracked: Tracked): void {
    this.#size -= sizeOf(tracked.since);
    tracked.since = "overflow";
  }
}

function sizeOf(kept: Kept): number {
  return kept instanceof Set ? kept.size : 0;
}

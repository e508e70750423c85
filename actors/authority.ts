/**
 * What a shard knows of its cohorts: who may write each, and under which term. Derived from the control store's
 * records; pure.
 */

import { NanoError } from "../src/index.ts";
import { authorityOf, type CohortRecord, type DecisionRecord } from "./control_store.ts";
import type { CohortId, Scope, Site } from "./records.ts";

export interface CohortState {
  readonly cohort: CohortId;
  readonly site: Site;
  readonly term: number;
  readonly blocked: boolean;
  readonly live: boolean;
  readonly finished: boolean;
  /** The later of this and the own clock judges expiry: when the last decision that ended did so, ms since 1970. */
  readonly decidedAtMs: number;
}

export class AuthorityTable {
  readonly #site: Site;
  #cohorts = new Map<CohortId, CohortState>();

  constructor(site: Site) {
    this.#site = site;
  }

  /** Takes over what control says now. */
  update(cohorts: readonly CohortRecord[], decisions: readonly DecisionRecord[]): void {
    const next = new Map<CohortId, CohortState>();
    for (const record of cohorts) {
      const { site, term, blocked } = authorityOf(record, decisions);
      const live = record.phase === "live";
      const finished = record.phase === "finished";
      // The latest decision may still be open: what an earlier one recorded holds until it ends.
      const ended = decisions.filter((decision) => decision.cohorts.includes(record.cohort));
      const decidedAtMs = Math.max(0, ...ended.map(({ endedAtMs }) => endedAtMs));
      const { cohort } = record;
      next.set(cohort, { cohort, site, term, blocked, live, finished, decidedAtMs });
    }
    this.#cohorts = next;
  }

  /** True once every cohort makes marks: only then may a range be scanned (hazard 7). */
  get allLive(): boolean {
    for (const { live } of this.#cohorts.values()) if (!live) return false;
    return true;
  }

  /** Nothing is replicated any more, either way. */
  get allFinished(): boolean {
    for (const { finished } of this.#cohorts.values()) if (!finished) return false;
    return this.#cohorts.size > 0;
  }

  /** The cohort, for a read here. Errors: `moved`, `config`. */
  reading(id: CohortId): CohortState {
    const cohort = this.#cohorts.get(id);
    if (cohort === undefined) {
      const text = `cohort ${id} is not in the plan; add its backend or prefix and run plan again`;
      throw new NanoError("config", text, { field: id });
    }
    if (cohort.site !== this.#site) {
      const details = { site: cohort.site, term: cohort.term };
      throw new NanoError("moved", `${id} is served by site ${cohort.site}`, details);
    }
    return cohort;
  }

  /** The cohort, for a client's write here. Errors: `moved`, `blocked`, `config`. */
  writing(id: CohortId): CohortState {
    const cohort = this.reading(id);
    if (cohort.blocked) throw new NanoError("blocked", `${id} is read-only while it fails over`);
    return cohort;
  }

  /** The terms under which this site sends and must be fenced. */
  ownTerms(): Record<Scope, number> {
    const terms: Record<Scope, number> = {};
    for (const { cohort, site, term } of this.#cohorts.values())
      if (site === this.#site) terms[cohort] = term;
    return terms;
  }
}

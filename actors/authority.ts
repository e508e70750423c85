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
  /** The swap that gave it to its site, unless the other one is known to have let go. */
  readonly leaving?: string;
  /** The later of this and the own clock judges expiry: when the last decision that ended did so, ms since 1970. */
  readonly decidedAtMs: number;
}

export class AuthorityTable {
  readonly #site: Site;
  readonly #mayStillServe: (swap: string) => boolean;
  #cohorts = new Map<CohortId, CohortState>();

  /** `mayStillServe`: the side that a swap took cohorts from, at the time of asking. Default: it let go. */
  constructor(site: Site, mayStillServe: (swap: string) => boolean = () => false) {
    this.#site = site;
    this.#mayStillServe = mayStillServe;
  }

  /** Takes over what control says now. */
  update(cohorts: readonly CohortRecord[], decisions: readonly DecisionRecord[]): void {
    const next = new Map<CohortId, CohortState>();
    for (const record of cohorts) {
      const { site, term, blocked, leaving } = authorityOf(record, decisions);
      const live = record.phase === "live";
      const finished = record.phase === "finished";
      // The latest decision may still be open: what an earlier one recorded holds until it ends.
      const ended = decisions.filter((decision) => decision.cohorts.includes(record.cohort));
      const decidedAtMs = Math.max(0, ...ended.map(({ endedAtMs }) => endedAtMs));
      const { cohort } = record;
      const left = leaving === undefined ? {} : { leaving };
      next.set(cohort, { cohort, site, term, blocked, live, finished, decidedAtMs, ...left });
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

  /** The cohort, for a read here. Errors: `moved`, `config`; `blocked` while the other side may still serve it. */
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
    if (cohort.leaving !== undefined && this.#mayStillServe(cohort.leaving))
      throw new NanoError("blocked", `${id} waits until the other site has surely let go of it`);
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

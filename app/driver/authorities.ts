/**
 * Which side is the truth for a key, as the control store says: the cohort of the key's longest prefix, and
 * the outcome of its latest decision. Read anew before each look at the stores.
 */

import { type CohortFinder, cohortFinder, restPrefix } from "../../actors/cohorts.ts";
import {
  authorityOf,
  type CohortRecord,
  type ControlStore,
  controlKeys,
  type DecisionRecord,
} from "../../actors/control_store.ts";
import type { CohortId, Site } from "../../actors/records.ts";
import { sites } from "../layout.ts";

export interface CohortView {
  readonly authority: Site;
  /** Marks are made: the sides' differences are accounted for. */
  readonly live: boolean;
}

/** Before a migration is planned the local side is the truth, and nobody accounts for differences. */
const unplanned: CohortView = { authority: sites[0], live: false };

export class Authorities {
  readonly #control: Pick<ControlStore, "list">;
  #views = new Map<CohortId, CohortView>();
  #cohortOf: CohortFinder = cohortFinder([]);

  constructor(control: Pick<ControlStore, "list">) {
    this.#control = control;
  }

  /** Reads cohorts and decisions. */
  async refresh(): Promise<void> {
    const cohorts = await this.#control.list(controlKeys.cohort(""));
    const decisions = (await this.#control.list(controlKeys.decision(""))).map(
      (record) => record.value as DecisionRecord,
    );
    const views = new Map<CohortId, CohortView>();
    const prefixes = new Set<string>();
    for (const record of cohorts) {
      const cohort = record.value as CohortRecord;
      const authority = authorityOf(cohort, decisions).site;
      views.set(cohort.cohort, { authority, live: cohort.phase === "live" });
      prefixes.add(cohort.cohort.slice(cohort.cohort.indexOf("/") + 1));
    }
    prefixes.delete(restPrefix);
    this.#views = views;
    this.#cohortOf = cohortFinder([...prefixes]);
  }

  /** The cohort of a key of a backend. */
  of(backend: string, key: string): CohortView {
    return this.#views.get(this.#cohortOf(backend, key)) ?? unplanned;
  }
}

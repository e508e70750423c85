/**
 * Which side is the truth for a key, as the control store says: the cohort of the key's longest prefix, and the
 * outcome of its latest decision. Read anew before each look at the stores.
 */

import {
  authorityOf,
  type CohortRecord,
  type ControlStore,
  controlKeys,
  type DecisionRecord,
} from "../../actors/control_store.ts";
import { type CohortId, cohortId, type Site } from "../../actors/records.ts";
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
  /** Lengths of the prefixes in use, longest first. */
  #lengths: number[] = [];

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
    const lengths = new Set<number>();
    for (const record of cohorts) {
      const cohort = record.value as CohortRecord;
      const authority = authorityOf(cohort, decisions).site;
      views.set(cohort.cohort, { authority, live: cohort.phase === "live" });
      const prefix = cohort.cohort.slice(cohort.cohort.indexOf("/") + 1);
      if (prefix !== "*") lengths.add(prefix.length);
    }
    this.#views = views;
    this.#lengths = [...lengths].sort((a, b) => b - a);
  }

  /** The cohort of a key of a backend. */
  of(backend: string, key: string): CohortView {
    for (const length of this.#lengths) {
      const view = this.#views.get(cohortId(backend, key.slice(0, length)));
      if (view !== undefined) return view;
    }
    return this.#views.get(cohortId(backend, "*")) ?? unplanned;
  }
}

/** Which keys of some cohorts were admitted since somebody began to ask: what a failover compares again. Pure. */

import { dataLimits } from "./limits.ts";
import type { CohortId, RowKey } from "./records.ts";

export class WatchedKeys {
  readonly #cohorts = new Map<CohortId, Set<RowKey> | "overflow">();

  /** From now on, and from none. */
  start(cohorts: readonly CohortId[]): void {
    for (const cohort of cohorts) this.#cohorts.set(cohort, new Set());
  }

  stop(cohorts: readonly CohortId[]): void {
    for (const cohort of cohorts) this.#cohorts.delete(cohort);
  }

  admitted(cohort: CohortId, key: RowKey): void {
    const keys = this.#cohorts.get(cohort);
    if (keys === undefined || keys === "overflow") return;
    keys.add(key);
    if (keys.size > dataLimits.watchedKeysMax) this.#cohorts.set(cohort, "overflow");
  }

  /** "overflow" if too many were, undefined if nobody watches. */
  of(cohort: CohortId): RowKey[] | "overflow" | undefined {
    const keys = this.#cohorts.get(cohort);
    return keys === undefined || keys === "overflow" ? keys : [...keys];
  }
}

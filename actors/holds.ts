/**
 * The keys of one shard that moves carried over to this site: the other side could not send their last versions, so
 * they are neither read nor written here until somebody has reconciled them. Pure.
 *
 * Always true: a decision whose holds were released as a whole holds nothing, also what comes late of it; a new life of
 * this account has forgotten that, and the coordinator's next recovery says it again.
 */

import type { CohortId, RowKey } from "./records.ts";

/** Of held keys: which decisions carried them over, which cohorts they are of, which they are. */
export type HoldFilter = Partial<Record<"decisions" | "cohorts" | "keys", readonly string[]>>;

export class Holds {
  /** By key: the decision that carried it over. */
  readonly #holders: Map<RowKey, string>;
  readonly #cohortOf: (key: RowKey) => CohortId;
  readonly #released = new Set<string>();

  constructor(
    recovered: readonly { readonly key: RowKey; readonly decision: string }[],
    cohortOf: (key: RowKey) => CohortId,
  ) {
    this.#holders = new Map(recovered.map(({ key, decision }) => [key, decision]));
    this.#cohortOf = cohortOf;
  }

  get size(): number {
    return this.#holders.size;
  }

  /** Each key, and the decision that carried it over. */
  [Symbol.iterator](): Iterator<[RowKey, string]> {
    return this.#holders[Symbol.iterator]();
  }

  keys(): RowKey[] {
    return [...this.#holders.keys()];
  }

  has(key: RowKey): boolean {
    return this.#holders.has(key);
  }

  /** False if all that the decision held was released: its move is over. */
  hold(keys: readonly RowKey[], decision: string): boolean {
    if (this.#released.has(decision)) return false;
    for (const key of keys) this.#holders.set(key, decision);
    return true;
  }

  /** Those that all of what is given applies to. */
  release(filter: HoldFilter): RowKey[] {
    const { decisions, cohorts, keys } = filter;
    if (cohorts === undefined && keys === undefined)
      for (const each of decisions ?? []) this.#released.add(each);
    const released = [...this.#holders]
      .filter(
        ([key, holder]) =>
          decisions?.includes(holder) !== false &&
          cohorts?.includes(this.#cohortOf(key)) !== false &&
          keys?.includes(key) !== false,
      )
      .map(([key]) => key);
    for (const key of released) this.#holders.delete(key);
    return released;
  }
}

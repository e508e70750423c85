/** What the driver found wrong, and how much it looked at: the evidence of the result. */

import type { RowKey } from "../../actors/records.ts";
import type { DriverResult } from "../messages.ts";
import { driverLimits } from "./limits.ts";
import type { RowNumber } from "./population.ts";
import { RowSet } from "./row_set.ts";

export class Findings {
  readonly #lost = new KeyTally();
  readonly #unequal = new KeyTally();
  readonly #unaccounted = new KeyTally();
  readonly #seen: RowSet;
  #samples = 0;
  #auditedKeys = 0;
  #unaccountedMax = 0;

  /** `rows` are the places of the population at the start. */
  constructor(rows: number) {
    this.#seen = new RowSet(rows);
  }

  /** An acknowledged operation is not there, or a read or an answer shows what can't be. */
  lost(key: RowKey, reason: string): void {
    this.#lost.add(key, reason);
  }

  /** At the end, a row differs between the sides and is not in db_perror. */
  unequal(key: RowKey, reason: string): void {
    this.#unequal.add(key, reason);
  }

  /** A sample was judged: of its keys, these differed and no ledger knew of them. */
  sample(judgedKeys: number, unaccounted: ReadonlyMap<RowKey, string>): void {
    this.#samples++;
    this.#auditedKeys += judgedKeys;
    this.#unaccountedMax = Math.max(this.#unaccountedMax, unaccounted.size);
    for (const [key, reason] of unaccounted) this.#unaccounted.add(key, reason);
  }

  /** A row was looked at on both sides. */
  saw(row: RowNumber): void {
    this.#seen.add(row);
  }

  get lostCount(): number {
    return this.#lost.count;
  }

  get lostKeys(): readonly string[] {
    return this.#lost.examples;
  }

  get auditedKeys(): number {
    return this.#auditedKeys;
  }

  get unaccountedMax(): number {
    return this.#unaccountedMax;
  }

  get unequalRows(): DriverResult["unequal"] {
    return { count: this.#unequal.count, examples: this.#unequal.examples };
  }

  /** `rows` are the rows that could have been seen. */
  unaccounted(rows: number): DriverResult["unaccounted"] {
    return {
      max: this.#unaccountedMax,
      samples: this.#samples,
      keys: this.#auditedKeys,
      coverage: Math.min(1, this.#seen.size / rows),
      examples: this.#unaccounted.examples,
    };
  }
}

/** Counts different keys, up to a bound; the first ones are kept as examples with the reason given first. */
class KeyTally {
  readonly examples: string[] = [];
  readonly #keys = new Set<RowKey>();

  get count(): number {
    return this.#keys.size;
  }

  add(key: RowKey, reason: string): void {
    if (this.#keys.has(key) || this.#keys.size >= driverLimits.findingsMax) return;
    this.#keys.add(key);
    if (this.examples.length < driverLimits.examplesMax) this.examples.push(`${readable(key)}: ${reason}`);
  }
}

/** A row's key as people read it. */
export function readable(key: RowKey): string {
  return key.replaceAll("\u0000", "/");
}

/**
 * Barriers over admitted rows: each belongs to the epoch in which it was admitted; a barrier begins a new epoch and is
 * passed when everything of the earlier ones is settled. Pure.
 *
 * Always true: a row is begun and ended in one epoch; a barrier waits for no row that was admitted after it.
 */

import { assert } from "../src/index.ts";

interface Barrier {
  readonly epoch: number;
  readonly passed: () => void;
}

export class Barriers {
  #epoch = 1;
  readonly #open = new Map<number, number>();
  #waiting: Barrier[] = [];

  /** The epoch to which rows admitted now belong. */
  get epoch(): number {
    return this.#epoch;
  }

  begin(): number {
    this.#open.set(this.#epoch, (this.#open.get(this.#epoch) ?? 0) + 1);
    return this.#epoch;
  }

  end(epoch: number): void {
    const left = (this.#open.get(epoch) ?? 0) - 1;
    assert(left >= 0, "a row ends once");
    if (left > 0) {
      this.#open.set(epoch, left);
      return;
    }
    this.#open.delete(epoch);
    this.#check();
  }

  /** Calls `passed` when nothing that was admitted before is in flight; perhaps at once. */
  raise(passed: () => void): void {
    this.#waiting.push({ epoch: this.#epoch, passed });
    this.#epoch++;
    this.#check();
  }

  #check(): void {
    const oldest = Math.min(...this.#open.keys());
    const ready = this.#waiting.filter(({ epoch }) => epoch < oldest);
    if (ready.length === 0) return;
    this.#waiting = this.#waiting.filter(({ epoch }) => epoch >= oldest);
    for (const { passed } of ready) passed();
  }
}

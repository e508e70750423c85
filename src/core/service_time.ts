/**
 * How long a factory's jobs keep their workers, measured on some of them: one job at a time, then, where jobs are
 * short, none for a while, so that few of them cost a look at the clock. Which job is measured does not depend on how
 * long it takes. State: a mean that forgets, and the job under measurement. Pure.
 */

import type { Clock } from "../seams/clock.ts";

/** A sample weighs at least one in so many: what was long ago is forgotten. */
const memory = 16;
/** Jobs that begin unmeasured after a sample, where a look at the clock would be felt: below this mean, ms. */
const skipped = 31;
const shortMs = 1;

export class ServiceTime<Job> {
  #meanMs: number | undefined;
  #samples = 0;
  #skip = 0;
  #measured: Job | undefined;
  #beganMs = 0;

  /** undefined: no job has ended yet. */
  get meanMs(): number | undefined {
    return this.#meanMs;
  }

  begins(job: Job, clock: Pick<Clock, "monotonicMs">): void {
    if (this.#measured !== undefined || this.#skip-- > 0) return;
    this.#measured = job;
    this.#beganMs = clock.monotonicMs();
  }

  /** Its worker is free. */
  ended(job: Job, clock: Pick<Clock, "monotonicMs">): void {
    if (this.#measured !== job) return;
    this.#measured = undefined;
    const tookMs = clock.monotonicMs() - this.#beganMs;
    this.#samples = Math.min(this.#samples + 1, memory);
    const mean = this.#meanMs ?? 0;
    this.#meanMs = mean + (tookMs - mean) / this.#samples;
    this.#skip = this.#samples === memory && this.#meanMs < shortMs ? skipped : 0;
  }

  /** Nothing of it was done. */
  untaken(job: Job): void {
    if (this.#measured === job) this.#measured = undefined;
  }
}

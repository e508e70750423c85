/**
 * The order that a factory promises, checked while it runs: the jobs of a key begin in the order in which they came,
 * each when the one before has ended. Knows nothing of lanes, workers or resizes, so that it can tell when they err.
 *
 * State: for each key with jobs in the factory, those jobs as a list, the newest in a map. A key without jobs takes
 * no memory. A job leaves when it has ended or was discarded, not when its worker hands it back. Pure.
 */

import { assert } from "../base/assert.ts";

export interface Ordered<Job> {
  readonly key: string;
  /** Its number among all jobs of the factory, from 1; 0 before it came. */
  sequence: number;
  /** Its neighbours among its key's jobs that are in the factory. */
  before: Job | undefined;
  after: Job | undefined;
}

export class KeyOrder<Job extends Ordered<Job>> {
  readonly #newest = new Map<string, Job>();
  #sequence = 0;
  #violations = 0;

  /** Jobs that began before an earlier one of their key had ended. */
  get violations(): number {
    return this.#violations;
  }

  came(job: Job): void {
    assert(job.sequence === 0, "a job comes once");
    job.sequence = ++this.#sequence;
    const before = this.#newest.get(job.key);
    if (before !== undefined) {
      job.before = before;
      before.after = job;
    }
    this.#newest.set(job.key, job);
  }

  /** Counts, and returns the earlier job of its key that has not ended; undefined if all have. */
  begins(job: Job): Job | undefined {
    if (job.before !== undefined) this.#violations++;
    return job.before;
  }

  /** It ended, or never will begin. Nothing happens for one that did not come. */
  left(job: Job): void {
    if (job.sequence === 0) return;
    const { before, after, key } = job;
    if (before !== undefined) before.after = after;
    if (after !== undefined) after.before = before;
    else if (before !== undefined) this.#newest.set(key, before);
    else this.#newest.delete(key);
    job.before = undefined;
    job.after = undefined;
  }

  /** Keys with jobs in the factory. */
  keys(): IterableIterator<string> {
    return this.#newest.keys();
  }

  /** A key's jobs, the newest first. */
  jobsOf(key: string): Job[] {
    const jobs: Job[] = [];
    for (let job = this.#newest.get(key); job !== undefined; job = job.before) jobs.push(job);
    return jobs;
  }
}

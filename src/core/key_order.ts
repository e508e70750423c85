/**
 * The order that a factory promises, checked while it runs: the jobs of a key begin in the order in which they came,
 * each when the one before has ended. Knows nothing of lanes, workers or resizes, so that it can tell when they err.
 *
 * State: for each key with jobs in the factory, those jobs as a list. A job leaves when it has ended or was discarded,
 * not when its worker hands it back. An idle key is forgotten with many others at once, since adding and deleting an
 * entry of a map for each job cost a twelfth of its time: there are never more of them than busy ones, or a thousand.
 * Pure.
 */

import { assert } from "../base/assert.ts";

export interface Ordered<Job> {
  readonly key: string;
  /** Its number among all jobs of the factory, from 1; 0 before it came. */
  sequence: number;
  /** Its neighbours among its key's jobs that are in the factory, and where the newest of them stands. */
  before: Job | undefined;
  after: Job | undefined;
  ofKey: KeyJobs<Job> | undefined;
}

export interface KeyJobs<Job> {
  newest: Job | undefined;
}

/** Keys remembered before the idle ones are forgotten; then twice as many as are busy. */
const forgetAt = 1_024;

export class KeyOrder<Job extends Ordered<Job>> {
  #keys = new Map<string, KeyJobs<Job>>();
  #forgetAt = forgetAt;
  #sequence = 0;
  #violations = 0;

  /** Jobs that began before an earlier one of their key had ended. */
  get violations(): number {
    return this.#violations;
  }

  /** Keys remembered, idle ones included. */
  get size(): number {
    return this.#keys.size;
  }

  came(job: Job): void {
    assert(job.sequence === 0, "a job comes once");
    job.sequence = ++this.#sequence;
    let ofKey = this.#keys.get(job.key);
    if (ofKey === undefined) {
      if (this.#keys.size >= this.#forgetAt) this.#forgetIdle();
      ofKey = { newest: undefined };
      this.#keys.set(job.key, ofKey);
    }
    const before = ofKey.newest;
    job.before = before;
    if (before !== undefined) before.after = job;
    ofKey.newest = job;
    job.ofKey = ofKey;
  }

  /** Counts, and returns the earlier job of its key that has not ended; undefined if all have. */
  begins(job: Job): Job | undefined {
    if (job.before !== undefined) this.#violations++;
    return job.before;
  }

  /** It ended, or never will begin. Nothing happens for one that did not come. */
  left(job: Job): void {
    const { before, after, ofKey } = job;
    if (ofKey === undefined) return;
    if (before !== undefined) before.after = after;
    if (after !== undefined) after.before = before;
    else ofKey.newest = before;
    job.before = undefined;
    job.after = undefined;
    job.ofKey = undefined;
  }

  /** Keys with jobs in the factory. */
  keys(): string[] {
    return [...this.#keys].filter(([, { newest }]) => newest !== undefined).map(([key]) => key);
  }

  /** A key's jobs, the newest first. */
  jobsOf(key: string): Job[] {
    const jobs: Job[] = [];
    for (let job = this.#keys.get(key)?.newest; job !== undefined; job = job.before) jobs.push(job);
    return jobs;
  }

  #forgetIdle(): void {
    this.#keys = new Map([...this.#keys].filter(([, { newest }]) => newest !== undefined));
    this.#forgetAt = Math.max(forgetAt, 2 * this.#keys.size);
  }
}

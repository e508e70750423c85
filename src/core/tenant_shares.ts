/**
 * Whose jobs wait, and whose are most: for each tenant its jobs in the order in which they came. All in constant
 * time: tenants are kept by their number of jobs, which grows and shrinks by one. A tenant without jobs takes no
 * memory. Pure.
 */

export class TenantShares<Job extends { readonly tenant: string }> {
  readonly #jobs = new Map<string, Set<Job>>();
  /** Number of jobs -> the tenants that have so many; only numbers that occur. */
  readonly #levels = new Map<number, Set<string>>();
  #top = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(job: Job): boolean {
    return this.#jobs.get(job.tenant)?.has(job) === true;
  }

  add(job: Job): void {
    let jobs = this.#jobs.get(job.tenant);
    if (jobs === undefined) {
      jobs = new Set();
      this.#jobs.set(job.tenant, jobs);
    }
    jobs.add(job);
    this.#size++;
    this.#move(job.tenant, jobs.size - 1, jobs.size);
  }

  /** False if it was not there. */
  remove(job: Job): boolean {
    const jobs = this.#jobs.get(job.tenant);
    if (jobs?.delete(job) !== true) return false;
    if (jobs.size === 0) this.#jobs.delete(job.tenant);
    this.#size--;
    this.#move(job.tenant, jobs.size + 1, jobs.size);
    return true;
  }

  all(): Job[] {
    return [...this.#jobs.values()].flatMap((jobs) => [...jobs]);
  }

  /** The oldest job of the tenant that has most; of several the one that has had so many for longest. */
  oldestOfLargest(): Job | undefined {
    for (const tenant of this.#levels.get(this.#top) ?? [])
      for (const job of this.#jobs.get(tenant) ?? []) return job;
    return undefined;
  }

  #move(tenant: string, from: number, to: number): void {
    const left = this.#levels.get(from);
    left?.delete(tenant);
    let level = this.#levels.get(to);
    if (to > 0 && level === undefined) {
      level = left?.size === 0 ? left : new Set();
      this.#levels.set(to, level);
    }
    if (left?.size === 0) this.#levels.delete(from);
    if (to > 0) level?.add(tenant);
    if (to > this.#top || (from === this.#top && !this.#levels.has(from))) this.#top = to;
  }
}

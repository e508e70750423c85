/**
 * Which jobs a factory sheds because they wait too long. Each line of waiting jobs (all of them, or one worker's with
 * consistent_hash) has a CoDel; what it drops is the oldest job of the tenant that has most in the line. Besides, while
 * a line drops, that tenant's jobs are dropped that have waited longer than target and interval together: CoDel's law
 * reckons with senders that slow down, and some don't.
 *
 * Why the oldest: the queue gets shorter for all behind it at once, its caller is next to give up, and the law is made
 * for it. Jobs that a worker handed back are not counted: they don't wait for a worker. Pure.
 */

import { Codel } from "./codel.ts";
import { TenantShares } from "./tenant_shares.ts";

export interface Sheddable {
  readonly tenant: string;
  /** When it came, monotonic ms. */
  readonly atMs: number;
}

export interface SheddingLimits {
  readonly delayTargetMs: number;
  readonly delayIntervalMs: number;
}

/** Jobs that wait behind each other within their key. */
export interface KeyQueue {
  /** When the last one of them ended, monotonic ms. */
  readyMs: number;
  /** Once some have waited for those before them for longer than the target. */
  control: Codel | undefined;
}

interface Line<Job extends Sheddable> {
  readonly control: Codel;
  readonly shares: TenantShares<Job>;
}

export class Shedding<Job extends Sheddable> {
  readonly #limits: SheddingLimits;
  #lines: Line<Job>[];

  constructor(limits: SheddingLimits, lines: number) {
    this.#limits = limits;
    this.#lines = Array.from({ length: lines }, () => ({
      control: this.#control(),
      shares: new TenantShares(),
    }));
  }

  waiting(line: number): number {
    return this.#lines[line]?.shares.size ?? 0;
  }

  has(job: Job, line: number): boolean {
    return this.#lines[line]?.shares.has(job) === true;
  }

  came(job: Job, line: number): void {
    this.#lines[line]?.shares.add(job);
  }

  /** It does not wait any more. */
  left(job: Job, line: number): void {
    this.#lines[line]?.shares.remove(job);
  }

  /** Other lines from now on. One that stays keeps what it measured. */
  resize(lines: number, lineOf: (job: Job) => number): void {
    const before = this.#lines;
    const waiting = before.flatMap(({ shares }) => shares.all()).sort((a, b) => a.atMs - b.atMs);
    this.#lines = Array.from({ length: lines }, (_, i) => ({
      control: before[i]?.control ?? this.#control(),
      shares: new TenantShares(),
    }));
    for (const job of waiting) this.came(job, lineOf(job));
  }

  /**
   * A job was taken from a line after this delay and counts as waiting until it `left`: the next one that has to go
   * before it may run, itself or another; undefined: it may run.
   */
  victim(line: number, delayMs: number, nowMs: number): Job | undefined {
    const { control, shares } = this.#lines[line] ?? {};
    const oldest = shares?.oldestOfLargest();
    if (control === undefined || oldest === undefined) return undefined;
    const isLast = shares?.size === 1;
    if (control.drops(delayMs, nowMs, isLast)) return oldest;
    return control.dropping && nowMs - oldest.atMs > this.#boundMs ? oldest : undefined;
  }

  /** The same for a key's own queue, which is long when its jobs come faster than one worker does them. */
  isVictimOfKey(job: Job, queue: KeyQueue, nowMs: number, isLast: boolean): boolean {
    const delayMs = queue.readyMs - job.atMs;
    if (queue.control === undefined) {
      if (delayMs < this.#limits.delayTargetMs) return false;
      queue.control = this.#control();
    }
    if (queue.control.drops(delayMs, nowMs, isLast)) return true;
    return queue.control.dropping && delayMs > this.#boundMs;
  }

  #control(): Codel {
    return new Codel(this.#limits.delayTargetMs, this.#limits.delayIntervalMs);
  }

  get #boundMs(): number {
    return this.#limits.delayTargetMs + this.#limits.delayIntervalMs;
  }
}

/**
 * When to drop something from a queue, by CoDel's control law (Nichols and Jacobson, 2012; RFC 8289, section 5): once
 * the delay of what is taken has been above the target for a whole interval, one is dropped, and the next ones at times
 * that grow closer by 1 / sqrt(count), until a delay is below the target. A burst that the takers work off within an
 * interval costs nothing. The last one in a queue is never dropped. State: one such queue's. Pure.
 */

/** Drops that follow an earlier series within so many intervals go on at its pace (RFC 8289, section 5.4). */
const recentIntervals = 16;

export class Codel {
  readonly #targetMs: number;
  readonly #intervalMs: number;
  /** From when on the delay has been above the target for an interval; undefined: it is not above. */
  #dueMs: number | undefined;
  #dropping = false;
  #nextMs = 0;
  #count = 0;
  /** `#count` at the start of the series before. */
  #lastCount = 0;

  constructor(targetMs: number, intervalMs: number) {
    this.#targetMs = targetMs;
    this.#intervalMs = intervalMs;
  }

  /** The queue has been too slow for an interval, and is. */
  get dropping(): boolean {
    return this.#dropping;
  }

  /** Asked for what is taken, again for what is taken in its stead: true if it is to be dropped. */
  drops(delayMs: number, nowMs: number, isLast: boolean): boolean {
    const standing = this.#stands(delayMs, nowMs, isLast);
    if (!standing) {
      this.#dropping = false;
      return false;
    }
    if (!this.#dropping) {
      this.#begin(nowMs);
      return true;
    }
    if (nowMs < this.#nextMs) return false;
    this.#count++;
    this.#nextMs += this.#intervalMs / Math.sqrt(this.#count);
    return true;
  }

  #stands(delayMs: number, nowMs: number, isLast: boolean): boolean {
    if (delayMs < this.#targetMs || isLast) {
      this.#dueMs = undefined;
      return false;
    }
    this.#dueMs ??= nowMs + this.#intervalMs;
    return nowMs >= this.#dueMs;
  }

  #begin(nowMs: number): void {
    const earlier = this.#count - this.#lastCount;
    const isRecent = nowMs - this.#nextMs < recentIntervals * this.#intervalMs;
    this.#count = earlier > 1 && isRecent ? earlier : 1;
    this.#lastCount = this.#count;
    this.#nextMs = nowMs + this.#intervalMs / Math.sqrt(this.#count);
    this.#dropping = true;
  }
}

/**
 * Wall-clock time, and the monotonic time that belongs to it by the same reading: deadlines are wall-clock times, for
 * they cross threads and nodes, but what is waited for is monotonic. How far the two are apart is read again every
 * few ms, and at once when the wall clock jumps.
 */

import type { Clock } from "../seams/clock.ts";
import { coreLimits } from "./limits.ts";

export class HostTime {
  readonly #clock: Clock;
  #apartMs = 0;
  #readAtMs = Number.POSITIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Wall-clock ms. */
  nowMs(): number {
    return this.#clock.now();
  }

  /** Monotonic ms at a wall-clock time that was just read. */
  monotonicMs(nowMs: number): number {
    const sinceMs = nowMs - this.#readAtMs;
    if (!(sinceMs >= 0 && sinceMs < coreLimits.clocksReadMs)) {
      this.#apartMs = this.#clock.monotonicMs() - nowMs;
      this.#readAtMs = nowMs;
    }
    return nowMs + this.#apartMs;
  }
}

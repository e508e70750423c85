/**
 * The two clocks of a host by one reading: deadlines are wall-clock times, for they cross threads and nodes, and what
 * is waited for is monotonic. How far the two are apart is read again every few ms, so a jump of the wall clock is
 * seen within that.
 */

import type { Clock } from "../seams/clock.ts";
import { coreLimits } from "./limits.ts";

export class HostTime {
  readonly #clock: Clock;
  #apartMs = 0;
  #readAtMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs();
  }

  /** Wall-clock ms at a monotonic time that was just read. */
  wallMs(monotonicMs: number): number {
    if (monotonicMs - this.#readAtMs >= coreLimits.wallClockReadMs) {
      this.#apartMs = this.#clock.now() - monotonicMs;
      this.#readAtMs = monotonicMs;
    }
    return monotonicMs + this.#apartMs;
  }
}

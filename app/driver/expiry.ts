/** Which writes expire, and when: derived from the operation and the second in which it began. */

import { mix } from "./chance.ts";
import type { OperationClock } from "./operation_clock.ts";
import type { Backend } from "./population.ts";

/** Two writes of a hundred expire while the run lasts, two long after it. */
const ofHundred = { soon: 2, late: 4 } as const;
const soonMs = { min: 5_000, spread: 15_000 } as const;
const lateMs = 24 * 3_600_000;

export class Expiries {
  readonly #seed: number;
  readonly #clock: OperationClock;

  constructor(seed: number, clock: OperationClock) {
    this.#seed = seed;
    this.#clock = clock;
  }

  /** Absolute ms since 1970 at which what `operation` put expires; 0 is never. Only devices' rows expire. */
  of(backend: Backend, operation: number): number {
    if (backend !== "device_platform" || operation === 0) return 0;
    const draw = mix(this.#seed, operation, 0x657870);
    const percent = draw % 100;
    if (percent >= ofHundred.late) return 0;
    const lifetimeMs = percent < ofHundred.soon ? soonMs.min + (draw % soonMs.spread) : lateMs;
    return this.#clock.timeOf(operation) + lifetimeMs;
  }
}

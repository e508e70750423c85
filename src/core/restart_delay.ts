/** How long a supervisor waits before a restart, so that what failed together does not all come back at once. Pure. */

export interface RestartDelay {
  /** No restart comes earlier, ms. */
  readonly min: number;
  /** Nor later. */
  readonly max: number;
}

/**
 * `nth`: which restart within the supervisor's period, from 1. The time in which it may fall begins at `min`, doubles
 * with each one and ends at `max`; `chance` in [0, 1) draws from it. Source: exponential backoff with jitter (Brooker,
 * AWS Architecture Blog, 2015), above a least delay.
 */
export function restartDelayMs({ min, max }: RestartDelay, nth: number, chance: number): number {
  const latest = Math.min(max, min * 2 ** nth);
  return min + (latest - min) * chance;
}

/** Whether it is a delay that can be drawn. */
export function isRestartDelay(delay: RestartDelay | undefined): boolean {
  if (delay === undefined) return true;
  const { min, max } = delay;
  return typeof min === "number" && min > 0 && max >= min && Number.isFinite(max);
}

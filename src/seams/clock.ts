/** Time as actors see it. Production: `src/platform/clock.ts`. Simulated: virtual, per node. */

export interface TimerHandle {
  readonly id: number;
}

export interface Clock {
  /** Wall-clock time in ms since 1970. May jump. */
  now(): number;
  /** Monotonic time in ms; only differences mean anything. */
  monotonicMs(): number;
  /** Calls `callback` once, after at least `delayMs`. */
  setTimer(delayMs: number, callback: () => void): TimerHandle;
  clearTimer(handle: TimerHandle): void;
}

/** When ready processes run. Production: microtasks, then the event loop. Simulated: the seeded run queue. */
export interface Executor {
  /** Runs `task` as soon as the current code returns, before I/O. */
  soon(task: () => void): void;
  /** Runs `task` after pending I/O and timers had their turn. */
  later(task: () => void): void;
  /**
   * Simulated only: which of `count` ready processes has the next turn, from 0; `idAt` tells who is at a place. The
   * host then lets it take one message and asks again by `soon`, so that anything may come between two turns.
   */
  choose?(count: number, idAt: (place: number) => number): number;
}

/**
 * The watch over threads that do not turn. It looks at the board from time to time and finds the threads on which
 * neither the event loop nor a turn has moved for `stuckMs`.
 *
 * State: for each thread what the last look saw, and since when that stands. Pure but for the board: the caller says
 * what time it is. Always true: time in which the watcher did not look (a machine that slept, a process that was
 * stopped) counts as two looks at most, so a sleep does not look like a stuck thread.
 */

import type { BoardReader, Shown } from "./status_board.ts";

export interface Stuck {
  readonly thread: number;
  readonly incarnation: number;
  readonly shown: Shown;
  /** It has not moved for at least this long. */
  readonly stillMs: number;
}

/** What a look found that the one before had not. */
export interface Looked {
  readonly stuck: readonly Stuck[];
  /** Were stuck, and turn again. */
  readonly moving: readonly Stuck[];
}

interface Seen {
  readonly shown: Shown;
  readonly stillMs: number;
  /** Wall-clock ms of the last look that saw another turn. */
  readonly changedMs: number;
  readonly isStuck: boolean;
}

export class Watch {
  readonly #board: BoardReader;
  readonly #stuckMs: number;
  readonly #lookMs: number;
  readonly #seen = new Map<number, Seen>();
  #lastMs: number | undefined;
  #lastWallMs = 0;

  constructor(board: BoardReader, stuckMs: number, lookMs: number) {
    this.#board = board;
    this.#stuckMs = stuckMs;
    this.#lookMs = lookMs;
  }

  /** Looks at these threads; `nowMs` is monotonic, `wallMs` is not. */
  look(threads: Iterable<number>, nowMs: number, wallMs: number): Looked {
    const passedMs = Math.min(nowMs - (this.#lastMs ?? nowMs), 2 * this.#lookMs);
    const stuck: Stuck[] = [];
    const moving: Stuck[] = [];
    for (const thread of threads) {
      const shown = this.#board.read(thread);
      const before = this.#seen.get(thread);
      if (before === undefined || hasMoved(before.shown, shown)) {
        if (before?.isStuck === true && before.shown.incarnation === shown.incarnation)
          moving.push({
            thread,
            incarnation: shown.incarnation,
            shown: before.shown,
            stillMs: before.stillMs,
          });
        this.#seen.set(thread, { shown, stillMs: 0, changedMs: this.#lastWallMs, isStuck: false });
        continue;
      }
      const stillMs = before.stillMs + passedMs;
      const isStuck = stillMs >= this.#stuckMs;
      this.#seen.set(thread, { ...before, stillMs, isStuck });
      if (isStuck && !before.isStuck) stuck.push({ thread, incarnation: shown.incarnation, shown, stillMs });
    }
    this.#lastMs = nowMs;
    this.#lastWallMs = wallMs;
    return { stuck, moving };
  }

  isStuck(thread: number): boolean {
    return this.#seen.get(thread)?.isStuck === true;
  }

  /** True if the thread is in the same turn still. */
  stands(stuck: Stuck): boolean {
    return !hasMoved(stuck.shown, this.#board.read(stuck.thread));
  }

  /** Wall-clock ms before which this turn had not begun; 0 if no look tells. */
  notBefore(thread: number, { turn, incarnation }: Shown): number {
    const seen = this.#seen.get(thread);
    if (seen === undefined || seen.shown.incarnation !== incarnation) return 0;
    return seen.shown.turn === turn ? seen.changedMs : this.#lastWallMs;
  }

  forget(thread: number): void {
    this.#seen.delete(thread);
  }
}

function hasMoved(before: Shown, now: Shown): boolean {
  return before.beat !== now.beat || before.turn !== now.turn || before.incarnation !== now.incarnation;
}

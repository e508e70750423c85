/**
 * The watchdog of a thread: looks at other threads from time to time, and says which of them hangs, in which handler
 * of which process. The main thread's looks at all workers, each worker's at the main thread.
 *
 * State: the watch (watch.ts), a timer, and the threads that were reported. Always true: a thread that hangs is
 * reported once until it moves again; only one that still stands where it was reported is killed.
 */

import { watchLimits } from "../base/limits.ts";
import type { Pid } from "../core/pid.ts";
import { describeTurn, type TurnStatus } from "../core/thread_status.ts";
import type { Logger } from "../seams/log.ts";
import type { BoardReader, ShownTurn } from "./status_board.ts";
import { type Stuck, Watch } from "./watch.ts";

export type StuckPolicy = "report" | "kill";

/** A thread that has been in one turn for longer than `stuckMs`, or outside of any without coming back. */
export interface StuckReport {
  readonly thread: number;
  readonly incarnation: number;
  /** It has not moved for at least this long. */
  readonly stillMs: number;
  /** The handler that holds it. None: it hangs outside of a turn, after an await perhaps: see `pending`. */
  readonly turn?: TurnStatus;
  readonly pending: readonly TurnStatus[];
  /** Of a worker thread that is in JavaScript: the innermost frame first. */
  readonly stack?: readonly string[];
  /** `kill`: it is ended and replaced now. */
  readonly action: StuckPolicy;
  readonly words: string;
}

export interface WatchdogOptions {
  readonly board: BoardReader;
  readonly stuckMs: number;
  /** Which threads are to be looked at now. */
  readonly threads: () => Iterable<number>;
  /** Completes what the board shows. */
  readonly nameTurn: (
    turn: ShownTurn,
    stuck: { readonly thread: number; readonly incarnation: number },
  ) => TurnStatus;
  readonly log: Logger;
  /** Asked before a report, where several watch one thread. Default: yes. */
  readonly mayReport?: (stuck: Stuck) => boolean;
  /** Default: no stack. */
  readonly stackOf?: (stuck: Stuck) => Promise<readonly string[] | undefined>;
  readonly policy: StuckPolicy;
  readonly onStuck: (report: StuckReport) => void;
  /** For policy `kill`. */
  readonly kill?: (stuck: Stuck) => void;
  /** The timer goes off. */
  readonly onLook?: () => void;
}

/** Completes what the board shows: it has neither the life nor the registered name. */
export function turnNamer(node: string, nameOf: (pid: Pid) => string): WatchdogOptions["nameTurn"] {
  return ({ process: id, ...handler }, { thread, incarnation }) => {
    const process = { node, thread, incarnation, id };
    return { process, name: nameOf(process), ...handler };
  };
}

/** How often a thread looks, and makes its own event loop seen. */
export function lookMsFor(stuckMs: number): number {
  return Math.max(watchLimits.lookMsMin, stuckMs / watchLimits.looks);
}

export class Watchdog {
  readonly watch: Watch;
  readonly #options: WatchdogOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #reported = new Set<number>();

  constructor(options: WatchdogOptions) {
    this.#options = options;
    const lookMs = lookMsFor(options.stuckMs);
    this.watch = new Watch(options.board, options.stuckMs, lookMs);
    this.#timer = setInterval(() => void this.look(), lookMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Resolves when what it found has been reported. */
  async look(): Promise<void> {
    const { threads, log, onLook, mayReport } = this.#options;
    onLook?.();
    const { stuck, moving } = this.watch.look(threads(), performance.now(), Date.now());
    for (const { thread, stillMs } of moving)
      if (this.#reported.delete(thread))
        log.warn({ worker: thread, stillMs }, `thread ${thread} turns again`);
    const told = stuck.filter((each) => mayReport?.(each) !== false);
    for (const { thread } of told) this.#reported.add(thread);
    await Promise.all(told.map((each) => this.#report(each)));
  }

  async #report(stuck: Stuck): Promise<void> {
    const { log, stackOf, policy, kill, onStuck } = this.#options;
    const stack = await stackOf?.(stuck);
    // It may have come back while its stack was taken; it is told of all the same, but lives.
    const action = policy === "kill" && kill !== undefined && this.watch.stands(stuck) ? "kill" : "report";
    const report = this.#describe(stuck, stack, action);
    const { words, ...fields } = report;
    log.error(fields, words);
    if (action === "kill") kill?.(stuck);
    onStuck(report);
  }

  #describe(stuck: Stuck, stack: readonly string[] | undefined, action: StuckPolicy): StuckReport {
    const { thread, incarnation, shown } = stuck;
    const stillMs = Math.round(stuck.stillMs);
    const turn = shown.now === undefined ? undefined : this.#options.nameTurn(shown.now, stuck);
    const pending = shown.pending.map((each) => this.#options.nameTurn(each, stuck));
    const where = turn === undefined ? whereElse(pending) : `in ${describeTurn(turn)}`;
    const end = action === "kill" ? "; it is killed" : "";
    const words = `thread ${thread} hangs: ${where}, for ${stillMs} ms and more${end}`;
    return {
      ...{ thread, incarnation, stillMs, pending, action, words },
      ...(turn === undefined ? {} : { turn }),
      ...(stack === undefined ? {} : { stack }),
    };
  }
}

function whereElse(pending: readonly TurnStatus[]): string {
  if (pending.length === 0) return "outside of any turn";
  return `outside of a turn, perhaps after an await of ${pending.map(describeTurn).join(" or ")}`;
}

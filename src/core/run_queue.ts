/**
 * Which process of a thread runs next: those with something to do, in the order in which they got it, or as the
 * executor chooses. After a budget of messages the event loop has its turn.
 *
 * Always true: a process is in the queue at most once; at most one run is asked of the executor.
 */

import { assert } from "../base/assert.ts";
import { RingBuffer } from "../base/ring_buffer.ts";
import type { Clock } from "../seams/clock.ts";
import type { Executor } from "../seams/executor.ts";
import type { StatusBoard } from "../seams/status_board.ts";
import { coreLimits } from "./limits.ts";
import type { Process } from "./process.ts";

export class RunQueue {
  readonly #executor: Executor;
  readonly #chooses: boolean;
  readonly #clock: Clock;
  readonly #board: StatusBoard | undefined;
  readonly #ready = new RingBuffer<Process>();
  readonly #idAt = (place: number): number => this.#ready.at(place)?.pid.id ?? -1;
  #running = false;
  #runSinceYield = 0;
  readonly #runNow = (): void => this.#run();
  #nowMs = 0;

  constructor(executor: Executor, clock: Clock, board?: StatusBoard) {
    this.#board = board;
    this.#executor = executor;
    this.#chooses = executor.choose !== undefined;
    this.#clock = clock;
  }

  /** Wall-clock ms, read once for each run of the queue: a deadline needs no more. */
  get nowMs(): number {
    return this.#nowMs;
  }

  wake(process: Process): void {
    if (process.queued || !process.runnable) return;
    process.queued = true;
    this.#ready.push(process);
    if (this.#running) return;
    this.#running = true;
    this.#executor.soon(this.#runNow);
  }

  #run(): void {
    this.#nowMs = this.#clock.now();
    if (this.#chooses) {
      this.#runOne();
      return;
    }
    this.#board?.running(this.#nowMs);
    for (let process = this.#ready.shift(); process !== undefined; process = this.#ready.shift()) {
      process.queued = false;
      this.#runSinceYield += process.run(coreLimits.processBudget);
      if (process.runnable) {
        process.queued = true;
        this.#ready.push(process);
      }
      if (this.#runSinceYield >= coreLimits.threadBudget) break;
    }
    this.#board?.idle();
    if (this.#ready.length === 0) {
      this.#running = false;
      // Microtasks may wake us again at once: only the event loop's turn resets the budget.
      if (this.#runSinceYield >= coreLimits.threadBudget / 2) this.#resetBudgetLater();
      return;
    }
    this.#executor.later(() => {
      this.#runSinceYield = 0;
      this.#run();
    });
  }

  /** For an executor that chooses: one message of one process. */
  #runOne(): void {
    let place = this.#executor.choose?.(this.#ready.length, this.#idAt) ?? 0;
    const process = this.#ready.remove(() => place-- === 0);
    assert(process !== undefined, "an executor chooses among the ready processes");
    process.queued = false;
    process.run(1);
    if (process.runnable) {
      process.queued = true;
      this.#ready.push(process);
    }
    if (this.#ready.length === 0) this.#running = false;
    else this.#executor.soon(this.#runNow);
  }

  #resetBudgetLater(): void {
    this.#running = true;
    this.#executor.later(() => {
      this.#runSinceYield = 0;
      this.#running = false;
      if (this.#ready.length > 0) this.#run();
    });
  }
}

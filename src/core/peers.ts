/**
 * The threads of a system as one of them sees them: which are up, in which life, and where a new process goes.
 *
 * Always true: a process placed on any worker never lands on the main thread of a system that has workers, even while
 * all of them are down: what dies with a worker must not take the whole system along.
 */

import type { SpawnOptions } from "./self.ts";

type Placement = SpawnOptions["thread"];

export class Peers {
  readonly #own: { readonly thread: number; readonly incarnation: number };
  readonly #up = new Map<number, number>();
  /** The system has worker threads, whether or not one is up now. */
  #hasWorkers: boolean;
  #nextAny = 0;

  constructor(own: { readonly thread: number; readonly incarnation: number }) {
    this.#own = own;
    this.#hasWorkers = own.thread > 0;
  }

  up(thread: number, incarnation: number): void {
    this.#up.set(thread, incarnation);
    this.#hasWorkers ||= thread > 0;
  }

  down(thread: number, incarnation: number): void {
    if (this.#up.get(thread) === incarnation) this.#up.delete(thread);
  }

  /** Of the others that are up. */
  entries(): IterableIterator<[thread: number, incarnation: number]> {
    return this.#up.entries();
  }

  /** Undefined if the thread is down. */
  incarnationOf(thread: number): number | undefined {
    return thread === this.#own.thread ? this.#own.incarnation : this.#up.get(thread);
  }

  /** All that are up, this one included. */
  threads(): number[] {
    return [this.#own.thread, ...this.#up.keys()].sort((a, b) => a - b);
  }

  /** Where a new process goes; undefined while every worker thread is down. */
  place(placement: Placement): number | undefined {
    if (placement !== "any") return this.#named(placement);
    const workers = this.#workers();
    if (workers.length === 0) return this.#hasWorkers ? undefined : 0;
    return workers[this.#nextAny++ % workers.length];
  }

  /** In words, which thread a process that is placed so has to wait for; undefined if it can start. */
  awayFor(placement: Placement): string | undefined {
    if (placement === "any") {
      return this.#hasWorkers && this.#workers().length === 0 ? "every worker thread" : undefined;
    }
    const thread = this.#named(placement);
    return this.incarnationOf(thread) === undefined ? `thread ${thread}` : undefined;
  }

  #named(placement: Exclude<Placement, "any">): number {
    if (placement === undefined) return this.#own.thread;
    return typeof placement === "number" ? placement : placement.with.thread;
  }

  #workers(): number[] {
    return this.threads().filter((thread) => thread > 0);
  }
}

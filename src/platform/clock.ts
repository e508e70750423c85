/**
 * The clock of a real system: Node's timers, made to keep the seam's promise that none fires early or at
 * once.
 */

import { performance } from "node:perf_hooks";
import { assert } from "../base/assert.ts";
import type { Clock, TimerHandle } from "../seams/clock.ts";

/** Node takes a longer delay for 1 ms. */
const delayMaxMs = 2 ** 31 - 1;

class NodeTimer implements TimerHandle {
  readonly id: number;
  readonly #dueMs: number;
  readonly #callback: () => void;
  #timeout: NodeJS.Timeout | undefined;

  constructor(id: number, delayMs: number, callback: () => void) {
    this.id = id;
    this.#dueMs = performance.now() + delayMs;
    this.#callback = callback;
    this.#arm(delayMs);
  }

  clear(): void {
    clearTimeout(this.#timeout);
    this.#timeout = undefined;
  }

  #arm(delayMs: number): void {
    this.#timeout = setTimeout(() => this.#fire(), Math.min(Math.ceil(delayMs), delayMaxMs));
  }

  #fire(): void {
    // Node counts whole ms from the start of the loop's turn: up to 1 ms too early by this clock.
    const leftMs = this.#dueMs - performance.now();
    if (leftMs > 0) this.#arm(leftMs);
    else {
      this.#timeout = undefined;
      this.#callback();
    }
  }
}

/** A clock on the machine's time. A pending timer keeps the process alive. */
export function nodeClock(): Clock {
  let nextId = 1;
  return {
    now: () => Date.now(),
    monotonicMs: () => performance.now(),
    setTimer(delayMs, callback) {
      assert(delayMs >= 0 && Number.isFinite(delayMs), "delayMs is 0 or more");
      return new NodeTimer(nextId++, delayMs, callback);
    },
    clearTimer(handle) {
      if (handle instanceof NodeTimer) handle.clear();
    },
  };
}

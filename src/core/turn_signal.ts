/**
 * The AbortSignal of one request that a process has in hand, or whose answer it deferred. It is made when the handler
 * asks for it, or when the caller gives up, so a turn that needs none pays nothing.
 *
 * Always true: it fires once at most, with `canceled` or `timeout` as its reason; after `release` it fires no more and
 * no timer of it is left.
 */

import { NanoError } from "../base/errors.ts";
import type { Clock, TimerHandle } from "../seams/clock.ts";
import type { Cancel } from "./envelope.ts";

export class TurnSignal {
  readonly #clock: Clock;
  readonly #controller = new AbortController();
  #deadline: TimerHandle | undefined;
  #grace: TimerHandle | undefined;
  #released = false;
  /** How its caller gave up, if it did. */
  cancel: Cancel | undefined;

  /** `deadlineMs`: wall-clock ms; 0 is never. */
  constructor(clock: Clock, deadlineMs: number) {
    this.#clock = clock;
    if (deadlineMs === 0) return;
    this.#deadline = clock.setTimer(Math.max(0, deadlineMs - clock.now()), () => {
      this.#deadline = undefined;
      this.fire(new NanoError("timeout", "the caller's deadline has passed"));
    });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  fire(reason: NanoError): void {
    if (!this.#released) this.#controller.abort(reason);
  }

  /** `kill` runs after `graceMs`, unless the request is done with by then. Infinity: never. */
  killAfter(graceMs: number, kill: () => void): void {
    if (graceMs === Number.POSITIVE_INFINITY || this.#grace !== undefined) return;
    this.#grace = this.#clock.setTimer(graceMs, kill);
  }

  /** The request is done with. */
  release(): void {
    this.#released = true;
    if (this.#deadline !== undefined) this.#clock.clearTimer(this.#deadline);
    if (this.#grace !== undefined) this.#clock.clearTimer(this.#grace);
    this.#deadline = undefined;
    this.#grace = undefined;
  }
}

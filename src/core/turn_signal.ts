/**
 * The AbortSignals of a process: of one request that it has in hand, or whose answer it deferred, and of its own life.
 * One is made when a handler asks for it, or when the caller gives up, so a turn that needs none pays nothing.
 *
 * Always true: it fires once at most, with `canceled` or `timeout` as its reason; `release` leaves no timer of it.
 */

import { NanoError } from "../base/errors.ts";
import type { Clock, TimerHandle } from "../seams/clock.ts";
import type { Cancel, From } from "./envelope.ts";

export class TurnSignal {
  readonly #clock: Clock;
  readonly #controller = new AbortController();
  #deadline: TimerHandle | undefined;
  #grace: TimerHandle | undefined;
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
    this.#controller.abort(reason);
  }

  /** `kill` runs after `graceMs`, unless the request is done with by then. Infinity: never. */
  killAfter(graceMs: number, kill: () => void): void {
    if (graceMs === Number.POSITIVE_INFINITY || this.#grace !== undefined) return;
    this.#grace = this.#clock.setTimer(graceMs, kill);
  }

  /** The request is done with. */
  release(): void {
    if (this.#deadline !== undefined) this.#clock.clearTimer(this.#deadline);
    if (this.#grace !== undefined) this.#clock.clearTimer(this.#grace);
    this.#deadline = undefined;
    this.#grace = undefined;
  }
}

/** Those of one process. */
export class ProcessSignals {
  readonly #clock: Clock;
  #turn: TurnSignal | undefined;
  /** Fires at the end of the process. */
  #end: AbortController | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Of the request in hand; where there is none, of the process. */
  of(inHand: From | undefined, hasEnded: boolean): AbortSignal {
    if (inHand !== undefined) {
      this.#turn ??= new TurnSignal(this.#clock, inHand.deadlineMs);
      return this.#turn.signal;
    }
    this.#end ??= new AbortController();
    if (hasEnded) this.#end.abort(hasEndedError());
    return this.#end.signal;
  }

  /** The caller of the request in hand gave up; `kill` runs after the grace. */
  cancel(reason: NanoError, cancel: Cancel, kill: () => void): void {
    this.#turn ??= new TurnSignal(this.#clock, 0);
    this.#turn.cancel = cancel;
    this.#turn.killAfter(cancel.graceMs, kill);
    // Last: what listens may end the process.
    this.#turn.fire(reason);
  }

  /** That of the request in hand goes on to hold: its answer is deferred. */
  takeTurn(): TurnSignal | undefined {
    const turn = this.#turn;
    this.#turn = undefined;
    return turn;
  }

  /** The request in hand is done with. */
  release(): void {
    this.takeTurn()?.release();
  }

  end(): void {
    this.#turn?.fire(hasEndedError());
    this.release();
    this.#end?.abort(hasEndedError());
  }
}

function hasEndedError(): NanoError {
  return new NanoError("canceled", "the process has ended");
}

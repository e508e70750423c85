/**
 * Looks into the rings of one thread that are awake, once in each turn of the event loop. State: who is awake; since
 * when nothing came; how often waiting a little longer would have paid; until when waiting is given up because
 * somebody else wants the core.
 *
 * It never blocks: a look that finds nothing hands the turn on, so timers, I/O and whatever the program does come in
 * between. A ring that has been dry for too long is put to sleep and costs nothing until its writer rings.
 */

import { performance } from "node:perf_hooks";
import type { spinLimits } from "../base/limits.ts";

export type SpinLimits = { readonly [Name in keyof typeof spinLimits]: number };

/** An end of a channel that is awake. */
export interface Watched {
  /** Takes what came. False if there was nothing. */
  take(): boolean;
  /** Nothing is looked at from now on until a bell. False if something came meanwhile. */
  sleep(): boolean;
  /** The other thread is at work: it may send. */
  readonly isPeerAwake: boolean;
}

export class RingWatch {
  readonly #limits: SpinLimits;
  readonly #awake: Watched[] = [];
  #isScheduled = false;
  /** When the last look was, and when something came last. */
  #lookedAt = 0;
  #cameAt = 0;
  #isDry = false;
  /** Share of the dry times, the latest weighing most, that ended soon enough for waiting to pay. */
  #paying = 0;
  /** No waiting before this; how long the last such pause was. */
  #pausedUntil = 0;
  #pauseMs = 0;
  readonly #look = (): void => this.#lookAtAll();

  constructor(limits: SpinLimits) {
    this.#limits = limits;
  }

  /** Its ring is looked at from now on. */
  wake(watched: Watched): void {
    if (!this.#awake.includes(watched)) this.#awake.push(watched);
    if (this.#isDry) this.#came(performance.now());
    this.#schedule();
  }

  forget(watched: Watched): void {
    const place = this.#awake.indexOf(watched);
    if (place >= 0) this.#awake.splice(place, 1);
  }

  #lookAtAll(): void {
    this.#isScheduled = false;
    try {
      this.#takeOrSleep(this.#awake);
    } finally {
      // Whatever a message's handler threw: nobody else would wake the rings that are awake.
      if (this.#awake.length > 0) this.#schedule();
    }
  }

  #takeOrSleep(awake: Watched[]): void {
    let took = false;
    // Whoever is forgotten meanwhile moves the others forward: one of them is left out until the next turn.
    for (let i = 0; i < awake.length; i++) if (awake[i]?.take() === true) took = true;
    if (took) {
      if (this.#isDry) this.#came(performance.now());
    } else if (!this.#waits()) {
      for (let i = awake.length - 1; i >= 0; i--) if (awake[i]?.sleep() === true) awake.splice(i, 1);
    }
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#look);
  }

  /** Something came after a dry time: would waiting for it have paid? */
  #came(now: number): void {
    this.#isDry = false;
    const paid = now - this.#cameAt < this.#limits.spinMs ? 1 : 0;
    this.#paying += (paid - this.#paying) / this.#limits.spinMemory;
  }

  /** Nothing came in this turn: whether to look again in the next one. */
  #waits(): boolean {
    const { spinMs, spinShareMin, preemptedMs, pauseMinMs, pauseMaxMs } = this.#limits;
    const now = performance.now();
    if (!this.#isDry) {
      this.#isDry = true;
      this.#cameAt = now;
      this.#lookedAt = now;
    }
    const lookedAt = this.#lookedAt;
    this.#lookedAt = now;
    if (this.#paying < spinShareMin || now < this.#pausedUntil) return false;
    if (now - lookedAt > preemptedMs) {
      // The turn was empty, so it was not this thread that ran.
      this.#pauseMs = Math.min(pauseMaxMs, Math.max(pauseMinMs, this.#pauseMs * 2));
      this.#pausedUntil = now + this.#pauseMs;
      return false;
    }
    return now - this.#cameAt < spinMs;
  }
}

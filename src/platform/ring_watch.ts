/**
 * Looks into the rings of one thread that are awake, once in each turn of the event loop. State: who is awake.
 *
 * It never blocks: a look that finds nothing hands the turn on, so timers, I/O and whatever the program does come in
 * between. A ring that is not awake costs nothing until its writer rings.
 */

import { availableParallelism } from "node:os";

/** An end of a channel. */
export interface Watched {
  /** Takes what came, or decides what to do without. False: it sleeps, and is not looked at until it is woken. */
  look(): boolean;
  /** The other thread is at work, as far as can be seen. */
  readonly isPeerAwake: boolean;
}

const cores = availableParallelism();

export class RingWatch {
  readonly #all = new Set<Watched>();
  readonly #awake: Watched[] = [];
  #isScheduled = false;
  readonly #run = (): void => this.#lookAtAll();

  add(watched: Watched): void {
    this.#all.add(watched);
  }

  forget(watched: Watched): void {
    this.#all.delete(watched);
    const place = this.#awake.indexOf(watched);
    if (place >= 0) this.#awake.splice(place, 1);
  }

  /** Its ring is looked at in the next turn. */
  wake(watched: Watched): void {
    if (!this.#awake.includes(watched)) this.#awake.push(watched);
    this.#schedule();
  }

  /** There is a core for each thread that is at work. */
  get hasCore(): boolean {
    let running = 1;
    for (const watched of this.#all) if (watched.isPeerAwake) running++;
    return running <= cores;
  }

  #lookAtAll(): void {
    this.#isScheduled = false;
    const awake = this.#awake;
    try {
      for (let i = awake.length - 1; i >= 0; i--) if (awake[i]?.look() === false) awake.splice(i, 1);
    } finally {
      // Whatever a message's handler threw: nobody else would look at those that are awake.
      if (awake.length > 0) this.#schedule();
    }
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#run);
  }
}

/**
 * Which ready process of a thread has the next turn, by probabilistic concurrency testing (PCT; Burckhardt, Kothari,
 * Musuvathi and Nagarakatte, ASPLOS 2010): each process has a random priority, the highest of those that are ready
 * runs, and at d - 1 random places the one that would run falls below all others. So a bug that needs d steps in a
 * certain order is found with a probability of at least 1 / (n k^(d-1)) in n processes and k steps, however much else
 * happens.
 *
 * The length of a run is not known here, so k is drawn, and so is d; after k choices all is drawn anew. Only choices
 * between several processes count. So none that asks for turn after turn keeps the others from theirs for ever.
 */

import { simulationLimits } from "./limits.ts";

export class Priorities {
  readonly #draw: () => number;
  readonly #window: number;
  readonly #depth: number;
  /** By process id; from 0 to 1, or below 0 for those that fell. */
  readonly #priorities = new Map<number, number>();
  readonly #fallAt = new Set<number>();
  #choices = 0;
  #lowest = 0;

  /** `draw`: a float in [0, 1), from a stream of its own. */
  constructor(draw: () => number) {
    const { pctDepthMax, pctWindow } = simulationLimits;
    const [least, most] = pctWindow;
    this.#draw = draw;
    this.#depth = 1 + Math.floor(draw() * pctDepthMax);
    this.#window = Math.round(least * (most / least) ** draw());
  }

  choose(count: number, idAt: (place: number) => number): number {
    if (count === 1) return 0;
    if (this.#choices % this.#window === 0) this.#begin();
    let place = this.#highest(count, idAt);
    if (this.#fallAt.has(this.#choices % this.#window)) {
      this.#priorities.set(idAt(place), --this.#lowest);
      place = this.#highest(count, idAt);
    }
    this.#choices++;
    return place;
  }

  #begin(): void {
    this.#priorities.clear();
    this.#fallAt.clear();
    this.#lowest = 0;
    for (let fall = 1; fall < this.#depth; fall++) this.#fallAt.add(Math.floor(this.#draw() * this.#window));
  }

  #highest(count: number, idAt: (place: number) => number): number {
    let best = 0;
    for (let place = 1; place < count; place++) {
      if (this.#priorityOf(idAt(place)) > this.#priorityOf(idAt(best))) best = place;
    }
    return best;
  }

  #priorityOf(id: number): number {
    let priority = this.#priorities.get(id);
    if (priority === undefined) {
      priority = this.#draw();
      this.#priorities.set(id, priority);
    }
    return priority;
  }
}

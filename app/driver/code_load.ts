/**
 * How many writes wait for an answer under each calling code. While a prefix is read-only its writes wait;
 * users of other prefixes don't notice, so one code's writes must not use up what may be in flight.
 */

import { callingCodes } from "./numbering_plans.ts";
import type { Population } from "./population.ts";

export class CodeLoad {
  readonly #codeOfUser: Uint8Array;
  readonly #waiting = new Uint32Array(callingCodes.length);
  readonly #max: number;

  /** `max` writes of one code may wait. */
  constructor(population: Population, max: number) {
    this.#max = max;
    this.#codeOfUser = Uint8Array.from(population.users, (number) =>
      callingCodes.findIndex((code) => number.startsWith(code.prefix)),
    );
  }

  isFull(user: number): boolean {
    return (this.#waiting[this.#code(user)] ?? 0) >= this.#max;
  }

  began(user: number): void {
    this.#add(user, 1);
  }

  ended(user: number): void {
    this.#add(user, -1);
  }

  #add(user: number, change: 1 | -1): void {
    const code = this.#code(user);
    this.#waiting[code] = (this.#waiting[code] ?? 0) + change;
  }

  #code(user: number): number {
    return this.#codeOfUser[user] ?? 0;
  }
}

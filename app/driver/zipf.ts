/**
 * Zipf-distributed ranks by rejection inversion (W. Hörmann, G. Derflinger, "Rejection-inversion to generate
 * variates from monotone discrete distributions", ACM TOMACS 6(3), 1996): no table, about one draw a rank.
 */

import type { Chance } from "./chance.ts";

export class Zipf {
  readonly #count: number;
  readonly #exponent: number;
  readonly #low: number;
  readonly #high: number;
  readonly #accept: number;

  /**
   * Ranks 0 to `count - 1`; the probability of rank r is proportional to `(r + 1) ** -exponent`, exponent >
   * 0.
   */
  constructor(count: number, exponent: number) {
    this.#count = count;
    this.#exponent = exponent;
    this.#low = this.#integral(1.5) - 1;
    this.#high = this.#integral(count + 0.5);
    this.#accept = 2 - this.#inverse(this.#integral(2.5) - 2 ** -exponent);
  }

  /** The next rank. */
  draw(chance: Chance): number {
    for (;;) {
      const area = this.#high + chance.float() * (this.#low - this.#high);
      const x = this.#inverse(area);
      const k = Math.min(this.#count, Math.max(1, Math.round(x)));
      if (k - x <= this.#accept || area >= this.#integral(k + 0.5) - k ** -this.#exponent) return k - 1;
    }
  }

  /** The integral of x^-exponent, up to a constant; continuous where the exponent is 1. */
  #integral(x: number): number {
    const log = Math.log(x);
    const t = (1 - this.#exponent) * log;
    return (Math.abs(t) < 1e-8 ? 1 + t / 2 : Math.expm1(t) / t) * log;
  }

  #inverse(area: number): number {
    const t = Math.max(-1, area * (1 - this.#exponent));
    return Math.exp((Math.abs(t) < 1e-8 ? 1 - t / 2 : Math.log1p(t) / t) * area);
  }
}

/**
 * Spreads ranks over `count` places, so that the most active users do not stand side by side: the multiples
 * of a number near the golden section of `count` and coprime to it.
 */
export function scatter(count: number): (rank: number) => number {
  let stride = Math.max(1, Math.round(count * 0.618_033_988_75));
  while (greatestCommonDivisor(stride, count) !== 1) stride++;
  return (rank) => (rank * stride + stride) % count;
}

function greatestCommonDivisor(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y !== 0) [x, y] = [y, x % y];
  return x;
}

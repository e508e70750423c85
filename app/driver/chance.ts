/**
 * Deterministic chance: a hash of small integers for what must be drawn again, a stream for what is drawn
 * once.
 */

function finalize(hash: number): number {
  let h = hash ^ (hash >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** A u32 that depends on all bits of its three arguments (the finalizer of MurmurHash3, chained). */
export function mix(a: number, b: number, c = 0): number {
  return finalize(finalize(finalize(a ^ 0x9e3779b9) ^ b) ^ Math.imul(c, 0x85ebca77));
}

/** A float in [0, 1) of a u32. */
export function unit(word: number): number {
  return word / 2 ** 32;
}

/** Who draws from the seed: each has a stream of its own. */
export const streams = { population: 1, poison: 2, traffic: 3, audit: 4 } as const;

/** A seeded stream (sfc32, public domain, C. Doty-Humphrey's PractRand). */
export class Chance {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number, stream: number) {
    this.#a = mix(seed, stream, 1) | 0;
    this.#b = mix(seed, stream, 2) | 0;
    this.#c = mix(seed, stream, 3) | 0;
    for (let i = 0; i < 12; i++) this.word();
  }

  /** The next u32. */
  word(): number {
    const word = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + word;
    this.#c |= 0;
    return word >>> 0;
  }

  /** A float in [0, 1) with 53 bits: 32 would make a multiple of a large bound uneven. */
  float(): number {
    return ((this.word() >>> 5) * 2 ** 26 + (this.word() >>> 6)) / 2 ** 53;
  }

  /** An integer in [0, bound). */
  below(bound: number): number {
    return Math.floor(this.float() * bound);
  }
}

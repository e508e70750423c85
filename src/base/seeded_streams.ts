/**
 * Repeatable chance: each site (a decision's name) has a stream of its own that depends on the seed and the site's
 * name alone, so a new draw at one site does not shift the others.
 */

import { seedFor, Xoshiro128 } from "./xoshiro128.ts";

export class SeededStreams {
  readonly #seed: number;
  // Sites are names in the code: few.
  readonly #streams = new Map<string, Xoshiro128>();

  /** `seed`: an integer. */
  constructor(seed: number) {
    this.#seed = seed;
  }

  /** A float in [0, 1). */
  next(site: string): number {
    return this.of(site).float();
  }

  /** `count` random bytes. */
  bytes(site: string, count: number): Uint8Array {
    const stream = this.of(site);
    return Uint8Array.from({ length: count }, () => stream.uint32() >>> 24);
  }

  /** The stream of a site, for who draws from it often. */
  of(site: string): Xoshiro128 {
    let stream = this.#streams.get(site);
    if (stream === undefined) {
      stream = Xoshiro128.seeded(seedFor(this.#seed, site));
      this.#streams.set(site, stream);
    }
    return stream;
  }
}

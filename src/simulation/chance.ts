/** Draws from a seed before a play begins, each decision from a stream of its own. */

import { assert } from "../base/assert.ts";
import { SeededStreams } from "../base/seeded_streams.ts";

export class Chance {
  readonly #streams: SeededStreams;

  /** `seed`: an integer. */
  constructor(seed: number) {
    this.#streams = new SeededStreams(seed);
  }

  /** A float in [0, 1). */
  share(site: string): number {
    return this.#streams.next(site);
  }

  /** An integer in [0, count). */
  upTo(count: number, site: string): number {
    return Math.floor(this.share(site) * count);
  }

  oneOf<T>(values: readonly T[], site: string): T {
    assert(values.length > 0, "there is something to choose from");
    return values[this.upTo(values.length, site)] as T;
  }
}

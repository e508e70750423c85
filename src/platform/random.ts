/** Chance in a real system: the machine's entropy, or, for a run that shall be repeatable, a seed. */

import { randomFillSync } from "node:crypto";
import { assert } from "../base/assert.ts";
import { seedFor, Xoshiro128 } from "../base/xoshiro128.ts";
import type { Random } from "../seams/random.ts";

/** One call for entropy costs as much as 500 draws from what it brought. */
const poolBytes = 4_096;

/**
 * Without a seed, every draw is fresh entropy. With one (an integer), each site has a stream of its own
 * that depends on the seed and the site's name alone, so a new draw at one site does not shift the others.
 */
export function nodeRandom(seed?: number): Random {
  if (seed === undefined) return entropy();
  assert(Number.isSafeInteger(seed), "seed is an integer");
  return seeded(seed);
}

function entropy(): Random {
  const pool = Buffer.alloc(poolBytes);
  let used = poolBytes;
  const take = (count: number): number => {
    if (used + count > poolBytes) {
      randomFillSync(pool);
      used = 0;
    }
    used += count;
    return used - count;
  };
  return {
    next() {
      const start = take(8);
      const high = pool.readUInt32LE(start) >>> 5;
      const low = pool.readUInt32LE(start + 4) >>> 6;
      return (high * 2 ** 26 + low) / 2 ** 53;
    },
    bytes: (_site, count) => randomFillSync(new Uint8Array(count)),
  };
}

function seeded(seed: number): Random {
  // Sites are names in the code: few.
  const streams = new Map<string, Xoshiro128>();
  const streamOf = (site: string): Xoshiro128 => {
    let stream = streams.get(site);
    if (stream === undefined) {
      stream = Xoshiro128.seeded(seedFor(seed, site));
      streams.set(site, stream);
    }
    return stream;
  };
  return {
    next: (site) => streamOf(site).float(),
    bytes(site, count) {
      const stream = streamOf(site);
      return Uint8Array.from({ length: count }, () => stream.uint32() >>> 24);
    },
  };
}

/** Chance in a real system: the machine's entropy, or, for a run that shall be repeatable, a seed. */

import { randomFillSync } from "node:crypto";
import { assert } from "../base/assert.ts";
import { SeededStreams } from "../base/seeded_streams.ts";
import type { Random } from "../seams/random.ts";

/** One call for entropy costs as much as 500 draws from what it brought. */
const poolBytes = 4_096;

/**
 * Without a seed, every draw is fresh entropy. With one (an integer), each site has a repeatable stream of its own.
 */
export function nodeRandom(seed?: number): Random {
  if (seed === undefined) return entropy();
  assert(Number.isSafeInteger(seed), "seed is an integer");
  return new SeededStreams(seed);
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

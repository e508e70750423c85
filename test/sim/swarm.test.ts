/**
 * A few swarms (swarm.ts): whole migrations under faults that each seed draws for itself. `npm run long -- swarm` plays
 * hundreds. The twin forgets the marks of some keys, and the same seeds must catch it.
 */

import { describe, expect, it } from "vitest";
import { unmarking_ledger } from "../sabotage/twins.ts";
import { swarm } from "./swarm.ts";

const seeds = Array.from({ length: 12 }, (_, i) => i + 1);
/** Of real time; a seed takes about a second on a machine at rest. */
const timeout = 120_000;

describe("a migration under faults that the seed draws", () => {
  it.each(seeds)(
    "loses nothing, has nothing unaccounted for and ends with equal sides, seed %i",
    {
      timeout,
    },
    async (seed) => {
      const { result } = await swarm(seed);
      const { lost, unaccounted, differing, acknowledged } = result;
      expect({ lost, unaccounted, differing }).toEqual({ lost: [], unaccounted: [], differing: [] });
      expect(acknowledged).toBeGreaterThan(100);
    },
  );
});

it("a ledger that forgets the marks of some keys is caught by one of the seeds", { timeout }, async () => {
  const caught = async (seed: number): Promise<boolean> => {
    const { result } = await swarm(seed, { db_dirty_keys: unmarking_ledger });
    return result.lost.length + result.unaccounted.length + result.differing.length > 0;
  };
  for (const seed of seeds) if (await caught(seed)) return;
  expect.fail("no seed has caught it");
});

/** A move that takes long keeps its decision: its owner renews the lease. */

import { expect, it } from "vitest";
import type { DecisionRecord } from "../../actors/control_store.ts";
import { dataLimits } from "../../actors/limits.ts";
import { TwoSites } from "../../app/simulate/two_sites.ts";
import { simulateSeed } from "../../src/simulation/index.ts";

it("a decision whose move is at work is its owner's, however long that takes", async () => {
  const { result } = await simulateSeed({ seed: 1 }, async (world) => {
    const sites = await TwoSites.start(world, { tuning: { peerTimeoutMs: 60_000 } });
    for (let i = 0; i < 5; i++) await sites.write(`+49${10_000 + i}`, `${i}`);
    await sites.copied();
    sites.points.arm("A scan request");
    const move = sites.move("+49");
    await sites.reached("A scan request");
    const leftMs = (): number[] =>
      sites.control
        .listNow("decision/")
        .map(({ value }) => (value as DecisionRecord).leaseUntilMs - world.wallMs);
    const first = leftMs();
    await world.sleep(dataLimits.decisionLeaseMs * 2);
    const later = leftMs();
    sites.points.release("A scan request");
    return { first, later, outcome: (await move).outcome };
  });
  expect(result.first).toHaveLength(1);
  expect(Math.min(...result.later)).toBeGreaterThan(0);
  expect(result.outcome).toBe("swapped");
});

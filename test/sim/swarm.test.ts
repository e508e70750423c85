/**
 * A few seeds of the swarm (app/simulate): whole migrations of two data centres under faults that each seed draws. `npm
 * run long -- swarm` plays thousands. The twin forgets the marks of some keys, and the same seeds must catch it.
 */

import { describe, expect, it } from "vitest";
import { drawPlan, scenarios } from "../../app/simulate/draw.ts";
import { callsOf, operationsOf } from "../../app/simulate/plan.ts";
import { playPlan } from "../../app/simulate/seed_run.ts";
import { unmarking_ledger } from "../sabotage/twins.ts";

const seeds = Array.from({ length: 20 }, (_, i) => i + 1);
/** Of real time; a seed takes a tenth of a second on a machine at rest. */
const timeout = 120_000;

describe("a migration under faults that the seed draws", () => {
  it.each(seeds)("breaks no promise, seed %i", { timeout }, async (seed) => {
    const plan = drawPlan(seed, scenarios.ordinary);
    const { findings } = await playPlan(plan);
    expect(findings.faults).toEqual([]);
    expect(callsOf(operationsOf(plan))).toBeGreaterThanOrEqual(200);
    expect(findings.clients.done).toBeGreaterThan(0);
  });

  it("is the same when it is played again", { timeout }, async () => {
    const [first, second] = [await playPlan(drawPlan(1)), await playPlan(drawPlan(1))];
    expect(second).toEqual(first);
  });

  it("of three nodes a site breaks no promise", { timeout }, async () => {
    expect((await playPlan(drawPlan(1, scenarios.large))).findings.faults).toEqual([]);
  });
});

it("a ledger that forgets the marks of some keys is caught by one of the seeds", { timeout }, async () => {
  for (const seed of seeds) {
    const { findings } = await playPlan(drawPlan(seed), { replaced: { db_dirty_keys: unmarking_ledger } });
    if (findings.faults.length > 0) return;
  }
  expect.fail("no seed has caught it");
});

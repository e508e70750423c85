/** A move that takes long keeps its decision: its owner renews the lease. Whoever is silent loses it to another. */

import { expect, it } from "vitest";
import { controlKeys, type DecisionRecord } from "../../actors/control_store.ts";
import { dataLimits } from "../../actors/limits.ts";
import { TwoSites } from "../../app/simulate/two_sites.ts";
import { simulateSeed } from "../../src/simulation/index.ts";
import { decisions } from "./hazards/at_rest.ts";
import { type Instruction, stepped_failover } from "./hazards/stepped_coordinator.ts";

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

it("a decision whose owner is silent is ended when its lease is, though nobody asks for a move", async () => {
  const { result } = await simulateSeed({ seed: 1 }, async (world) => {
    const sites = await TwoSites.start(world);
    await sites.copied();
    const [blockTerm, swapTerm] = [await sites.control.nextTerm(), await sites.control.nextTerm()];
    const silent: DecisionRecord = {
      id: `+49-${String(blockTerm).padStart(8, "0")}`,
      prefix: "+49",
      cohorts: ["device_platform/+49"],
      from: "A",
      to: "B",
      blockTerm,
      swapTerm,
      state: "announced",
      rehearsal: false,
      owner: "elsewhere/db_failover",
      leaseUntilMs: world.wallMs + dataLimits.decisionLeaseMs,
      endedAtMs: 0,
    };
    await sites.control.compareAndSet(controlKeys.decision(silent.id), 0, silent);
    const states = () => decisions(sites).map(({ state }) => state);
    await world.sleep(dataLimits.decisionLeaseMs - 100);
    const held = states();
    await world.sleep(2 * dataLimits.decisionBeatMs);
    return { held, later: states() };
  });
  expect(result).toEqual({ held: ["announced"], later: ["aborted"] });
});

it("a coordinator with nothing to do looks for silent owners, and asks nothing of a shard", async () => {
  const { result } = await simulateSeed({ seed: 1 }, async (world) => {
    const sites = await TwoSites.start(world, { replacedCoordinators: { db_failover: stepped_failover } });
    await sites.copied();
    await sites.move("+49");
    await world.sleep(dataLimits.decisionBeatMs);
    const asked: string[] = [];
    const matches = (details: unknown): boolean => {
      asked.push((details as Instruction).what);
      return false;
    };
    sites.points.arm("A/db_failover instruction", { matches });
    await world.sleep(10 * dataLimits.decisionBeatMs);
    return asked;
  });
  expect(new Set(result)).toEqual(new Set(["control list decision/"]));
  expect(result.length).toBeGreaterThanOrEqual(9);
});

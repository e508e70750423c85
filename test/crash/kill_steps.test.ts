/** A process killed by SIGKILL at named steps, judged by another. All steps: `npm run long -- kill-steps`. */

import { afterEach, expect, it } from "vitest";
import { Xoshiro128 } from "../../src/base/xoshiro128.ts";
import type { Step } from "../fixtures/crash_steps.ts";
import { type CycleResult, KilledDirectory } from "./kill_cycle.ts";

let directory: KilledDirectory | undefined;

afterEach(() => {
  directory?.remove();
  directory = undefined;
});

const chosen: readonly Step[] = ["local.apply.before", "peer.apply.after", "decision.swapped.after"];

const livesMax = 5;

it("killed at steps of a write and of a failover, life after life, nothing acknowledged is missing", async () => {
  directory = new KilledDirectory();
  const random = Xoshiro128.seeded(7);
  const results: CycleResult[] = [];
  for (const step of chosen) {
    // A busy machine is killed before it comes there, now and then.
    for (let life = 0; life < livesMax && results.at(-1)?.step !== step; life++) {
      const result = await directory.cycle(step, random);
      expect(result.faults).toEqual([]);
      if (result.reached) results.push(result);
    }
  }
  expect(results.map(({ step }) => step)).toEqual(chosen);
  expect(directory.journal.acknowledged).toBeGreaterThan(0);
}, 120_000);

it("a store that answers before it has committed is caught by a kill", async () => {
  directory = new KilledDirectory();
  const random = Xoshiro128.seeded(7);
  const faults: string[] = [];
  for (let life = 0; life < 10 && faults.length === 0; life++) {
    faults.push(...(await directory.cycle("peer.apply.before", random, "ack-before-apply")).faults);
  }
  expect(faults.join("\n")).toMatch(/after its death: .* holds/);
}, 120_000);

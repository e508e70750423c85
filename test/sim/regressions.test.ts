/** What the swarm found once: each plan that failed is played again, and fails no more. */

import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { readRegression } from "../../app/simulate/regression.ts";
import { playPlan } from "../../app/simulate/seed_run.ts";

// Tests run compiled, from dist/test/sim; the files are where they were written.
const folder = fileURLToPath(new URL("../../../test/sim/regressions/", import.meta.url));
const files = readdirSync(folder).filter((name) => name.endsWith(".json"));

it.each(files)("%s fails no more", async (name) => {
  const { plan, faults: before } = readRegression(`${folder}${name}`);
  expect(before).not.toEqual([]);
  const { findings } = await playPlan(plan);
  expect(findings.faults).toEqual([]);
});

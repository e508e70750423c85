/** The driver against a fake system: it finds nothing where nothing is wrong, and names the key where something is. */

import { afterEach, expect, it } from "vitest";
import { readable } from "../../app/driver/findings.ts";
import { DriverRun } from "./driver_run.ts";
import type { Misdeeds } from "./fake_system.ts";

let run: DriverRun | undefined;

afterEach(async () => {
  await run?.close();
  run = undefined;
});

function begin(seed: number, misdeeds?: Misdeeds): DriverRun {
  run = new DriverRun(seed, misdeeds);
  return run;
}

/** Traffic, a copy, an audit of every row, and more traffic. */
async function migrate(job: DriverRun): Promise<void> {
  await job.start();
  await job.connect();
  await job.driver.handle({ type: "phase", phase: "copy" });
  await job.heard("audited");
  job.system.copy();
  await job.heard("progress");
  await job.driver.handle({ type: "phase", phase: "validate" });
  await job.heard("audited");
}

it("finds nothing wrong where nothing is, across a swap and lost connections", async () => {
  const job = begin(1);
  await migrate(job);
  await job.system.swap("+55");
  job.system.disconnect();
  await job.heard("progress");
  await job.system.swap("+91");
  await job.driver.handle({ type: "phase", phase: "swapped" });
  const { keys } = await job.heard("audited");
  const result = await job.finish();
  expect(result.acknowledged.lostKeys).toEqual([]);
  expect(result.unaccounted).toMatchObject({ max: 0, examples: [] });
  expect(result.unequal).toEqual({ count: 0, examples: [] });
  expect(keys).toBeGreaterThan(result.rows);
  expect(result.unaccounted.coverage).toBe(1);
  expect(result.acknowledged.writes).toBeGreaterThan(5_000);
  expect(result.acknowledged.writes).toBe(result.operations.writes);
  expect(result.operations.refused).toMatchObject({ blocked: expect.any(Number), held: expect.any(Number) });
  expect(result.operations.unknown).toBeGreaterThan(0);
  expect(result.latency.write.p50Ms).toBeGreaterThan(0);
});

it("goes on from its journal, knowing every write that it acknowledged before", async () => {
  const job = begin(2);
  await migrate(job);
  await job.heard("progress");
  const before = (await job.heard("progress")).progress.acknowledgedWrites;
  await job.abandon();
  await job.start();
  await job.connect();
  const result = await job.finish();
  expect(result.acknowledged.lostKeys).toEqual([]);
  expect(result.unequal.count).toBe(0);
  expect(result.acknowledged.writes).toBeGreaterThanOrEqual(before + result.operations.writes);
});

it.each<[string, Misdeeds]>([
  ["an acknowledged write that was not done", { loseWriteAt: 1_500 }],
  ["a one-time key that two requests got", { takeTwiceAt: 20 }],
  ["a removed row that came back", { resurrectAt: 50 }],
  ["a read of a state that was gone", { staleReadAt: 5 }],
])("names the key of %s", async (_, misdeeds) => {
  const job = begin(3, misdeeds);
  await migrate(job);
  const result = await job.finish();
  expect(job.system.victims).toHaveLength(1);
  expect(result.acknowledged.lost).toBe(1);
  expect(result.acknowledged.lostKeys[0]).toContain(readable(job.system.victims[0] ?? "no victim"));
});

it("names the key that differs without a mark, and the rows that stay unequal", async () => {
  const job = begin(4, { dropMarkAt: 100 });
  await migrate(job);
  const result = await job.finish();
  const victim = readable(job.system.victims[0] ?? "no victim");
  expect(result.unaccounted.examples[0]).toContain(victim);
  expect(result.unaccounted.max).toBe(1);
  expect(result.acknowledged.lost).toBe(0);
  expect(result.unequal.examples.every((example) => example.includes(victim))).toBe(true);
});

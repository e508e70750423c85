/**
 * The driver against a fake system: it finds nothing where nothing is wrong, and names the key where
 * something is.
 */

import { afterEach, expect, it, vi } from "vitest";
import { Client } from "../../app/driver/client.ts";
import { readable } from "../../app/driver/findings.ts";
import { Journal } from "../../app/driver/journal.ts";
import { Model } from "../../app/driver/model.ts";
import { DriverRun } from "./driver_run.ts";
import type { Misdeeds } from "./fake_system.ts";

let run: DriverRun | undefined;

afterEach(async () => {
  vi.restoreAllMocks();
  await run?.close();
  run = undefined;
});

function begin(seed: number, misdeeds?: Misdeeds): DriverRun {
  run = new DriverRun(seed, misdeeds);
  return run;
}

/** Traffic, an audit while a range covers everything, a copy, and traffic until something has happened. */
async function migrate(job: DriverRun, happened: (acknowledgedWrites: number) => boolean): Promise<void> {
  await job.start();
  await job.connect();
  await job.audit("copy");
  job.system.copy();
  await job.until(happened);
  await job.audit("validate");
}

it("finds nothing wrong where nothing is, across a swap and lost connections", async () => {
  const job = begin(1);
  await migrate(job, (writes) => writes > 2_000);
  await job.system.swap("+55");
  job.system.disconnect();
  await job.until((writes) => writes > 4_000);
  await job.system.swap("+91");
  const keys = await job.audit("swapped");
  const result = await job.finish();
  expect(result.acknowledged.lostKeys).toEqual([]);
  expect(result.unaccounted).toMatchObject({ max: 0, examples: [] });
  expect(result.unequal).toEqual({ count: 0, examples: [] });
  expect(keys).toBeGreaterThan(result.rows);
  expect(result.unaccounted.coverage).toBe(1);
  expect(result.acknowledged.writes).toBe(result.operations.writes);
  expect(result.operations.refused).toMatchObject({ blocked: expect.any(Number), held: expect.any(Number) });
  expect(result.operations.unknown).toBeGreaterThan(0);
  expect(result.latency.write.p50Ms).toBeGreaterThan(0);
});

it("goes on from its journal, knowing every write that it acknowledged before", async () => {
  const job = begin(2);
  let before = 0;
  await migrate(job, (writes) => {
    before = writes;
    return writes > 2_000;
  });
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
  await migrate(job, () => job.system.victims.length === 1);
  const result = await job.finish();
  expect(result.acknowledged.lost).toBe(1);
  expect(result.acknowledged.lostKeys[0]).toContain(readable(job.system.victims[0] ?? "no victim"));
});

it("names the key that differs without a mark, while it runs and at the end", async () => {
  const job = begin(4, { dropMarkAt: 100 });
  await migrate(job, () => job.system.victims.length === 1);
  const result = await job.finish();
  const victim = readable(job.system.victims[0] ?? "no victim");
  expect(result.unaccounted.examples).toEqual([expect.stringContaining(victim)]);
  expect(result.unaccounted.max).toBe(1);
  expect(result.unequal.examples).toEqual([expect.stringContaining(victim)]);
  expect(result.acknowledged.lost).toBe(0);
});

it("journals intents before it sends them, and outcomes before it counts them", async () => {
  const job = begin(5);
  await job.start();
  const append = vi.spyOn(Journal.prototype, "append");
  const flush = vi.spyOn(Journal.prototype, "flush");
  const send = vi.spyOn(Client.prototype, "flush");
  const apply = vi.spyOn(Model.prototype, "apply");
  await job.connect();
  await job.until((writes) => writes > 500);
  await job.finish();
  const outcomes = new Set(["acknowledged", "refused", "taken", "unknown"]);
  const counted = apply.mock.invocationCallOrder.filter((_, call) =>
    outcomes.has(apply.mock.calls[call]?.[0].type ?? ""),
  );
  expect(counted.length).toBeGreaterThan(500);
  const steps = [
    ...append.mock.invocationCallOrder.map((at) => ({ at, step: "append" })),
    ...flush.mock.invocationCallOrder.map((at) => ({ at, step: "flush" })),
    ...[...send.mock.invocationCallOrder, ...counted].map((at) => ({ at, step: "needs the journal" })),
  ].sort((a, b) => a.at - b.at);
  const early = steps.filter(({ step }, index) => {
    const before = steps.slice(0, index).findLast((other) => other.step !== "needs the journal");
    return step === "needs the journal" && before?.step === "append";
  });
  expect(early).toEqual([]);
});

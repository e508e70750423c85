/**
 * The driver's process beside real sites: killed in mid-traffic it goes on from its journal, and still
 * judges.
 */

import { afterEach, expect, it } from "vitest";
import { DriverProcess, moveEverything, type Served, serveSites } from "../e2e/driver_process.ts";

let driver: DriverProcess | undefined;
let served: Served | undefined;

afterEach(async () => {
  await served?.close();
  await driver?.close();
  [driver, served] = [undefined, undefined];
});

async function traffic(of: DriverProcess, writes: number): Promise<number> {
  for (;;) {
    const { progress } = await of.heard("progress");
    if (progress.acknowledgedWrites >= writes) return progress.acknowledgedWrites;
  }
}

it("a killed driver knows every write that it acknowledged, and finds both sides equal", async () => {
  driver = new DriverProcess(300);
  driver.start();
  expect((await driver.heard("loaded")).rows).toBeGreaterThan(15 * 300);
  served = await serveSites(driver.folder);
  driver.send({ type: "connect", port: served.port });
  await driver.heard("traffic_started");
  await served.sites.migration.call.run(moveEverything());
  const before = await traffic(driver, 1_000);
  await driver.kill();

  driver.start();
  await driver.heard("loaded");
  driver.send({ type: "connect", port: served.port });
  await traffic(driver, before + 1_000);
  for (;;) {
    const { phase, stopped } = await served.sites.migration.call.progress();
    expect(stopped).toBe("");
    if (phase === "swapped") break;
    await driver.heard("progress");
  }
  driver.send({ type: "phase", phase: "swapped" });
  expect((await driver.heard("audited")).keys).toBeGreaterThan(15 * 300);
  driver.send({ type: "finish" });
  await driver.heard("idle");
  await served.settled();
  driver.send({ type: "compare", perrorKeys: [] });
  const { result } = await driver.heard("result");
  expect(result.acknowledged.writes).toBeGreaterThanOrEqual(before + result.operations.writes);
  expect(result.acknowledged.lostKeys).toEqual([]);
  expect(result.unaccounted).toMatchObject({ max: 0, examples: [], coverage: 1 });
  expect(result.unequal).toEqual({ count: 0, examples: [] });
}, 60_000);

it("a driver outlives the system: what it acknowledged is there when another process serves", async () => {
  driver = new DriverProcess(300);
  driver.start();
  await driver.heard("loaded");
  served = await serveSites(driver.folder);
  driver.send({ type: "connect", port: served.port });
  await served.sites.migration.call.run(moveEverything());
  const before = await traffic(driver, 1_000);
  await served.close();
  served = await serveSites(driver.folder);
  driver.send({ type: "connect", port: served.port });
  await traffic(driver, before + 1_000);
  driver.send({ type: "phase", phase: "copy" });
  await driver.heard("audited");
  driver.send({ type: "finish" });
  await driver.heard("idle");
  await served.settled();
  driver.send({ type: "compare", perrorKeys: [] });
  const { result } = await driver.heard("result");
  expect(result.acknowledged.lostKeys).toEqual([]);
  expect(result.unaccounted).toMatchObject({ max: 0, examples: [], coverage: 1 });
  expect(result.operations.unknown).toBeGreaterThan(0);
}, 60_000);

/**
 * The driver's process beside real sites: killed in mid-traffic it goes on from its journal, and still
 * judges.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { DriverProcess, type Served, serveSites } from "../e2e/driver_process.ts";

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

it("a killed driver knows every write that it acknowledged, and judges all of them afterwards", async () => {
  driver = new DriverProcess(300);
  driver.start();
  expect((await driver.heard("loaded")).rows).toBeGreaterThan(15 * 300);
  served = await serveSites(driver.folder);
  driver.send({ type: "connect", port: served.port });
  await driver.heard("traffic_started");
  const before = await traffic(driver, 1_000);
  await driver.kill();
  // It opens the stores before who serves them, as at first.
  await served.close();

  driver.start();
  await driver.heard("loaded");
  served = await serveSites(driver.folder);
  driver.send({ type: "connect", port: served.port });
  await traffic(driver, before + 1_000);
  driver.send({ type: "finish" });
  await driver.heard("idle");
  driver.send({ type: "compare", perrorKeys: [] });
  const { result } = await driver.heard("result");
  expect(result.acknowledged.writes).toBeGreaterThanOrEqual(before + result.operations.writes);
  expect(result.acknowledged.lostKeys).toEqual([]);
  // Nothing is migrated: every row of the one side is a difference, so the comparison did look.
  expect(result.unequal.count).toBeGreaterThan(15 * 300);
}, 60_000);

it("a driver outlives the system: what it acknowledged is there when another process serves", async () => {
  driver = new DriverProcess(300);
  driver.start();
  await driver.heard("loaded");
  served = await serveSites(driver.folder);
  driver.send({ type: "connect", port: served.port });
  const before = await traffic(driver, 1_000);
  await served.close();
  served = await serveSites(driver.folder);
  driver.send({ type: "connect", port: served.port });
  await traffic(driver, before + 1_000);
  driver.send({ type: "finish" });
  await driver.heard("idle");
  driver.send({ type: "compare", perrorKeys: [] });
  const { result } = await driver.heard("result");
  expect(result.acknowledged.lostKeys).toEqual([]);
  expect(result.operations.unknown).toBeGreaterThan(0);
}, 60_000);

it("a driver that finds a system at work is refused: opening its stores could take writes from it", async () => {
  driver = new DriverProcess(300);
  driver.start();
  await driver.heard("loaded");
  served = await serveSites(driver.folder);
  await driver.kill();
  driver.start();
  await expect(driver.heard("loaded")).rejects.toThrow(new RegExp(`in use by process ${process.pid} since`));
}, 60_000);

it("a second driver on the same data is refused and leaves the first one's journal alone", async () => {
  driver = new DriverProcess(300);
  driver.start();
  await driver.heard("loaded");
  const journal = join(driver.folder, "driver", "journal");
  const before = readFileSync(journal);
  const second = new DriverProcess(300, driver.folder);
  second.start();
  await expect(second.heard("loaded")).rejects.toThrow(/driver is in use by process \d+ since/);
  expect(readFileSync(journal).equals(before)).toBe(true);
  await second.kill();
}, 60_000);

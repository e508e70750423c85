/** A shutdown with work queued, at every event of a write's and a repair's way: drained, or left as marks. */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { type Findings, hazard, judge } from "./hazard.ts";
import { volatile_ledger } from "./twins.ts";

/** A write's way takes more: else nothing was stopped on it. */
const eventsMin = 30;

/** With the remote down a way has no end; after these its first attempts have failed. */
const eventsMax = 120;

/** Stops after `n` events of a way; false if it was over before. What it finds is asked right after the restart. */
async function stopAt(sites: TwoSites, world: World, n: number): Promise<boolean> {
  let left = n;
  let stopping: Promise<void> | undefined;
  const unwatch = world.afterEachEvent(() => {
    if (left-- === 0) stopping = sites.stop();
  });
  const writes = [keyOf(n), "+49181", "+49182", "+49183"].map((each) => sites.write(each, `${n}`));
  await Promise.race(writes);
  await world.eventually("the way is over", () => stopping !== undefined || sites.dirty() === 0, 10_000);
  unwatch();
  const stopped = stopping !== undefined;
  await (stopping ?? sites.stop());
  await Promise.all(writes);
  await sites.restart();
  return stopped;
}

async function stopAtEachEvent(sites: TwoSites, world: World, outage: boolean): Promise<Findings> {
  await sites.copied();
  const unaccounted = sites.watchUnaccounted();
  for (let n = 0; ; n++) {
    // With an outage its first send fails, and the key waits for replay.
    sites.weather("A").down = outage;
    const stopped = await stopAt(sites, world, n).finally(() => {
      sites.weather("A").down = false;
    });
    const wrong = n < eventsMin && !stopped ? [`the way was over after ${n} events`] : [];
    const findings = await judge(sites, unaccounted, wrong);
    if (!stopped || n === eventsMax || !isClean(findings)) return findings;
  }
}

function isClean({ unaccounted, lost, differing, dirty, wrong }: Findings): boolean {
  return unaccounted.length + lost.length + differing.length + dirty + wrong.length === 0;
}

function keyOf(n: number): string {
  return `+4917${1_000 + n}`;
}

for (const outage of [false, true]) {
  hazard({
    number: 32,
    title: `a shutdown at any event of a write's way${outage ? " with the remote down" : ""} loses nothing`,
    seeds: [1],
    play: (sites: TwoSites, world: World) => stopAtEachEvent(sites, world, outage),
    twin: { name: "a ledger that keeps its marks in memory", replaced: { db_dirty_keys: volatile_ledger } },
  });
}

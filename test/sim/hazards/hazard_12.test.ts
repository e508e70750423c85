/**
 * A crash on a write's way, at each of its points: before its mark is durable, between mark and local commit, between
 * commit and acknowledgement, between acknowledgement and send. The process dies, and with it the machine or not.
 */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { carrying, type Findings, type Hazard, hazard, judge } from "./hazard.ts";
import { eager_store, late_ledger, unsynced_ledger, volatile_ledger } from "./twins.ts";

const key = "+4917012";

type Twin = Hazard["twin"];

const late: Twin = {
  name: "a ledger that marks after the local write",
  replaced: { db_dirty_keys: late_ledger },
};
const unsynced: Twin = {
  name: "a ledger that does not wait for its log",
  replaced: { db_dirty_keys: unsynced_ledger },
};
const volatile: Twin = {
  name: "a ledger that keeps its marks in memory",
  replaced: { db_dirty_keys: volatile_ledger },
};
const eager: Twin = {
  name: "a store that tells the peer before it commits",
  replaced: { db_store: eager_store },
};

interface Crash {
  readonly where: string;
  /** The write waits here when the process dies. */
  readonly at: string;
  /** The bytes are handed to the disk, which has not answered. */
  readonly inside?: boolean;
  readonly powerLoss: boolean;
  /** Whether the client has been told. */
  readonly acknowledged: boolean;
  readonly twin: Twin;
}

const crashes: readonly Crash[] = [false, true].flatMap((powerLoss): Crash[] => [
  { where: "before its mark is written", at: "A log append", powerLoss, acknowledged: false, twin: unsynced },
  {
    where: "between mark and local commit",
    at: "A store apply",
    powerLoss,
    acknowledged: false,
    twin: eager,
  },
  { where: "between commit and answer", at: "A store applied", powerLoss, acknowledged: false, twin: late },
  { where: "between answer and send", at: "A apply request", powerLoss, acknowledged: true, twin: volatile },
]);

const torn: Crash = {
  where: "while its mark is being synced",
  at: "A log append",
  inside: true,
  powerLoss: true,
  acknowledged: false,
  twin: unsynced,
};

async function crashed(sites: TwoSites, world: World, crash: Crash): Promise<Findings> {
  await sites.copied();
  await sites.write(key, "before");
  await sites.settled();
  // Its mark takes the earlier key's clearance along into the log, or that key would be repaired after any crash.
  await sites.write("+4917112", "another");
  await sites.settled();
  const unaccounted = sites.watchUnaccounted();
  const matches = crash.at === "A log append" ? () => true : carrying(key, "after");
  sites.points.arm(crash.at, { matches });
  if (crash.at !== "A apply request") {
    // Whoever does not wait for that point gets no further than this one.
    sites.points.arm("A apply request", { matches: carrying(key, "after") });
  }
  const written = sites.write(key, "after");
  await sites.reached(crash.at);
  // Time enough for whatever does not wait for this point.
  await world.sleep(20);
  if (crash.inside === true) {
    sites.points.release(crash.at);
    await world.sleep(0);
  }
  sites.crash({ powerLoss: crash.powerLoss });
  const wrong = (await written) === crash.acknowledged ? [] : ["the client heard otherwise"];
  if (sites.shown("B", key) === "after" && sites.shown("A", key) !== "after") {
    wrong.push("the peer has what is not committed here");
  }
  for (const point of [crash.at, "A apply request"]) {
    sites.points.disarm(point);
    sites.points.drop(point);
  }
  await sites.restart();
  return judge(sites, unaccounted, wrong);
}

for (const crash of [...crashes, torn]) {
  hazard({
    number: 12,
    title: `a ${crash.powerLoss ? "power loss" : "crash"} on a write's way, ${crash.where}, leaves nothing unmarked`,
    play: (sites, world) => crashed(sites, world, crash),
    twin: crash.twin,
  });
}

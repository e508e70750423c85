/** The disk with the log is lost, and with it every mark that was not sent yet. The store is on another one. */

import { db_log_mirror } from "../../../actors/db_log_mirror.ts";
import type { TwoSites, WorldOptions } from "../../../app/simulate/two_sites.ts";
import { child } from "../../../src/index.ts";
import type { World } from "../../../src/simulation/index.ts";
import { gate } from "./gate.ts";
import { type Findings, hazard, judge } from "./hazard.ts";
import { copiedAndCutOff, logFolder, rangesOf } from "./log_files.ts";
import { credulous_ledger, forgetful_log, hurried_log } from "./log_twins.ts";

const key = "+4917015";

async function diskLost(sites: TwoSites): Promise<Findings> {
  await copiedAndCutOff(sites);
  const unaccounted = sites.watchUnaccounted();
  await sites.write(key, "marked");
  sites.crash();
  sites.disk.wipe(logFolder);
  await sites.restart();
  const wrong: string[] = [];
  if (!/ranges? still copied or repaired/.test(await gate(sites))) wrong.push("the gate is open");
  sites.weather("A").down = false;
  const findings = await judge(sites, unaccounted, wrong);
  const after = await gate(sites);
  return after === "" ? findings : { ...findings, wrong: [...wrong, after] };
}

hazard({
  number: 15,
  title: "without a mirror a lost log makes all keys suspect, and the gate refuses until they are repaired",
  play: diskLost,
  twin: { name: "a ledger that does not notice", replaced: { db_dirty_keys: credulous_ledger } },
});

const local: WorldOptions = {
  mirror: (site) => ({ type: "local", policy: "required", folder: (thread) => `mirror/${site}-${thread}` }),
};

/** The mark is in the mirror when its write is acknowledged, so nothing has to be compared. */
async function mirrorLoaded(sites: TwoSites, world: World): Promise<Findings> {
  await copiedAndCutOff(sites);
  const unaccounted = sites.watchUnaccounted();
  // Whoever does not wait for the mirror has the disk to itself.
  sites.points.arm("mirror log append", { count: Number.POSITIVE_INFINITY });
  const written = sites.write(key, "marked");
  await sites.reached("mirror log append");
  await world.sleep(50);
  sites.points.disarm("mirror log append");
  const wrong: string[] = [];
  if (sites.shown("A", key) === "marked") wrong.push("it was written before the mirror had its mark");
  else sites.points.release("mirror log append");
  if (!(await written)) wrong.push("the write was refused");
  sites.crash();
  sites.points.drop("mirror log append");
  sites.disk.wipe(logFolder);
  await sites.restart();
  const ranges = rangesOf(sites);
  if (ranges.length > 0) wrong.push(`compared as a whole: ${ranges.join()}`);
  if (sites.ledger("A")?.size !== 1) wrong.push("the mark is gone");
  sites.weather("A").down = false;
  return judge(sites, unaccounted, wrong);
}

hazard({
  number: 15,
  title: "with a mirror on another disk a lost log is loaded, and nothing is compared",
  options: local,
  play: mirrorLoaded,
  twin: { name: "a log that mirrors after it acknowledged", replaced: { db_dirty_log: hurried_log } },
});

function partner(node: string): string {
  return `${node.slice(0, 1)}${node.endsWith("1") ? 2 : 1}`;
}

/** Each node's log is mirrored by a process of the site's other node, which has a disk of its own. */
const onNodes: WorldOptions = {
  nodesPerSite: 2,
  shards: 2,
  mirror: (site, node) => {
    const other = partner(node);
    return { type: "node", policy: "required", process: () => `mirror@${other}/${site} of ${node}` };
  },
  beforeSites: async (system, node) => {
    const other = partner(node);
    const children = ["A", "B"].map((of) => {
      const folder = `mirror/${of} of ${other}`;
      const name = `mirror@${node}/${of} of ${other}`;
      return child(name, db_log_mirror, { folder, durability: "group" }, { name });
    });
    await system.supervise({ children }, { name: "mirrors" });
  },
};

async function nodeLosesItsDisk(sites: TwoSites): Promise<Findings> {
  await copiedAndCutOff(sites);
  const unaccounted = sites.watchUnaccounted();
  const keys = Array.from({ length: 10 }, (_, i) => `+491701${i}`);
  const wrong: string[] = [];
  for (const key of keys) if (!(await sites.write(key, "marked"))) wrong.push("a write was refused");
  const lost = sites.siteNode("A2");
  const before = sites.ledger("A", 1)?.size;
  if (before === 0) wrong.push("the node has no mark");
  lost.crash({ powerLoss: true });
  lost.disk.wipe("A");
  await lost.restart();
  if (sites.ledger("A", 1)?.size !== before) wrong.push("marks are gone");
  const ranges = sites.ledger("A", 1)?.ranges() ?? [];
  if (ranges.length > 0) wrong.push("compared as a whole");
  sites.weather("A").down = false;
  return judge(sites, unaccounted, wrong);
}

hazard({
  number: 15,
  title: "with a mirror on another node a lost log is loaded from there, and nothing is compared",
  options: onNodes,
  seeds: [1, 2],
  play: nodeLosesItsDisk,
  twin: { name: "a log that mirrors after it acknowledged", replaced: { db_dirty_log: forgetful_log } },
});

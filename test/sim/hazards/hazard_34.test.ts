/** A node is cut off from control and from all others, and clients still write to it. */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { leaseless_switch } from "../mutants/switch_mutants.ts";
import { ending } from "./at_rest.ts";
import { clustered, cutOff, keyOfSecondNode, leaseMs, readAt } from "./cut_off.ts";
import { type Findings, hazard, judge, rowOf } from "./hazard.ts";

async function writesWhileCutOff(sites: TwoSites, world: World): Promise<Findings> {
  await sites.copied();
  const key = keyOfSecondNode(sites);
  const wrong: string[] = [];
  const old = sites.siteNode("A2");
  if (!(await sites.write(key, "before", 5_000, old))) wrong.push("the first write was refused");
  await readAt(sites, "A2", key);
  await sites.settled();
  const unaccounted = sites.watchUnaccounted();
  cutOff(sites, "A2", "drop");
  // Nobody may move what it might still write.
  const moving = ending(sites.move("+49"));
  await world.sleep(leaseMs * 2);
  if (await sites.write(key, "cut off", 500, old)) wrong.push("a write was taken after the lease's end");
  if (sites.authority(rowOf(key)).site !== "A") wrong.push("it moved around its owner");
  cutOff(sites, "A2", "open");
  await moving;
  if (!(await sites.write(key, "after", 5_000, sites.siteNode("B2"))))
    wrong.push("nobody serves it afterwards");
  await sites.settled();
  return judge(sites, unaccounted, wrong);
}

hazard({
  number: 34,
  title: "a node that is cut off takes no writes once its lease has ended, and nothing moves around it",
  options: clustered,
  play: writesWhileCutOff,
  twin: {
    name: "owners that serve however old their view of control is",
    replaced: { db_switch: leaseless_switch },
  },
});

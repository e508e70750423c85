/** A node has acknowledged the block of a prefix; then it is cut off, and hears nothing of the swap. */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { leaseless_switch } from "../mutants/switch_mutants.ts";
import { decisionBecomes, ending } from "./at_rest.ts";
import { clustered, cutOff, keyOfSecondNode, readAt } from "./cut_off.ts";
import { type Findings, hazard, judge } from "./hazard.ts";

async function cutOffBeforeTheSwap(sites: TwoSites, _world: World): Promise<Findings> {
  await sites.copied();
  const key = keyOfSecondNode(sites);
  const wrong: string[] = [];
  const [old, fresh] = [sites.siteNode("A2"), sites.siteNode("B2")];
  if (!(await sites.write(key, "old", 5_000, old))) wrong.push("the first write was refused");
  await sites.settled();
  await readAt(sites, "A2", key);
  const unaccounted = sites.watchUnaccounted();
  sites.points.arm("control compareAndSet", decisionBecomes("swapped"));
  const moved = ending(sites.move("+49"));
  await sites.reached("control compareAndSet");
  cutOff(sites, "A2", "drop");
  sites.points.release("control compareAndSet");
  await moved;
  // A client that still asks the old side hears nothing there, and tries the other one.
  for (let tries = 1; !(await sites.write(key, "new", 5_000, fresh)); tries++) {
    if (tries < 3) continue;
    wrong.push("the new side did not serve");
    break;
  }
  const shown = await readAt(sites, "A2", key);
  if (shown === "old") wrong.push("the old side showed what had been overwritten");
  cutOff(sites, "A2", "open");
  await sites.settled();
  return judge(sites, unaccounted, wrong);
}

hazard({
  number: 54,
  title: "a node that was cut off before a swap does not show the old side's values after it",
  options: clustered,
  play: cutOffBeforeTheSwap,
  twin: {
    name: "owners that serve however old their view of control is",
    replaced: { db_switch: leaseless_switch },
  },
});

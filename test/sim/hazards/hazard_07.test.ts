/** One node has not heard yet that its cohorts make marks, when the copy would start there. */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { eager_ledger } from "./crawl_twins.ts";
import { keyOfSecondNode } from "./cut_off.ts";
import { type Findings, hazard, judge } from "./hazard.ts";

async function oneNodeLate(sites: TwoSites, world: World): Promise<Findings> {
  const key = keyOfSecondNode(sites);
  const wrong: string[] = [];
  const late = sites.siteNode("A2");
  if (!(await sites.write(key, "before", 5_000, late))) wrong.push("the first write was refused");
  const { network } = world;
  sites.control.onWrite = (record, value) => {
    const isLive = record.startsWith("cohort/") && (value as { readonly phase: string }).phase === "live";
    if (isLive) network.way("A1", "A2").cut = "hold";
  };
  await sites.migrate();
  await world.sleep(400);
  const unaccounted = sites.watchUnaccounted();
  if (!(await sites.write(key, "unmarked", 5_000, late))) wrong.push("a write was refused");
  await world.sleep(400);
  sites.control.onWrite = undefined;
  network.heal("A1", "A2");
  await sites.phase("swapped");
  await sites.settled();
  return judge(sites, unaccounted, wrong);
}

hazard({
  number: 7,
  title: "a copy does not begin where writes are not marked yet",
  // Without leases nobody reads control by himself.
  options: { nodesPerSite: 2, shards: 2 },
  play: oneNodeLate,
  twin: { name: "a ledger that lets ranges be scanned at once", replaced: { db_dirty_keys: eager_ledger } },
});

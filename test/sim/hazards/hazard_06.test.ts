/** A delete is lost while forwarding is down: no row here, no mark, a row at the peer. Only the peer's rows tell. */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { one_way_compare, one_way_crawler } from "./compare_twins.ts";
import { compared, crawl, retry } from "./comparing.ts";
import { hazard, judge, rowOf } from "./hazard.ts";

const key = "+4917006";

/** Everything is copied; then the delete of one key reaches neither the ledger nor the peer. */
async function deleteLost(sites: TwoSites, world: World): Promise<void> {
  await sites.copied();
  await sites.write(key, "v");
  await sites.settled();
  sites.weather("A").down = true;
  await sites.write(key, null);
  sites.ledger("A")?.drop(rowOf(key));
  sites.files("A").rows.delete(rowOf(key));
  // What had read the tombstone before has failed by now.
  await world.sleep(2_000);
  sites.weather("A").down = false;
}

hazard({
  number: 6,
  title: "a row that only the peer has is reported by a comparison, and a retry of its key removes it",
  play: async (sites: TwoSites, world: World) => {
    await deleteLost(sites, world);
    const wrong: string[] = [];
    if (sites.shown("B", key) !== "v") wrong.push("the delete was not lost");
    const found = await compared(sites);
    if (found.join() !== rowOf(key)) wrong.push(`reported: ${JSON.stringify(found)}`);
    if ((await retry(sites, [rowOf(key)])) !== 1) wrong.push("db_perror does not know the key");
    await world.sleep(100);
    return judge(sites, [], wrong);
  },
  twin: {
    name: "a comparison that walks the local rows only",
    replaced: { db_compare: one_way_compare },
  },
});

hazard({
  number: 6,
  title: "a crawl removes the row that only the peer has",
  play: async (sites: TwoSites, world: World) => {
    await deleteLost(sites, world);
    await crawl(sites);
    await world.sleep(1_000);
    return judge(sites, [], sites.shown("B", key) === null ? [] : ["the peer still shows the row"]);
  },
  twin: { name: "a crawl of the local rows only", replaced: { db_crawler: one_way_crawler } },
});

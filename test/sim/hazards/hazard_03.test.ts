/** Two nodes write one key, the remote sees their writes reversed, and their clocks are an hour apart. */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { clocked_store, clocked_switch, hourMs, nodeAhead } from "./clock_twins.ts";
import { carrying, hazard, judge, rowOf } from "./hazard.ts";

/** Who writes each key first, and who last. */
const keys = { "+4917003": ["A1", "A2"], "+4917103": ["A2", "A1"] } as const;

hazard({
  number: 3,
  title:
    "the last of two nodes' writes stands on both sides, whatever their clocks say and however they arrive",
  options: { nodesPerSite: 2, skewMs: (node) => (node === nodeAhead ? hourMs : 0) },
  play: async (sites: TwoSites, world: World) => {
    await sites.copied();
    const unaccounted = sites.watchUnaccounted();
    const wrong: string[] = [];
    for (const [key, [first, last]] of Object.entries(keys)) {
      // Says who wrote it: so does a clock's reading in a design that trusts it.
      const write = (node: string, what: string) =>
        sites.write(key, `${node} ${what}`, 5_000, sites.siteNode(node));
      const parked = sites.points.parked("A apply request") + 1;
      sites.points.arm("A apply request", { matches: carrying(key, `${first} first`) });
      if (!(await write(first, "first"))) wrong.push(`${first} was refused`);
      await sites.reached("A apply request", parked);
      // Whoever sent it has given up on it, so that the next one may go.
      const givenUp = (): boolean => sites.ledger("A")?.owner(rowOf(key)) !== "queuer";
      await world.eventually("the first write was given up", givenUp, 5_000);
      if (!(await write(last, "last"))) wrong.push(`${last} was refused`);
    }
    await sites.settled();
    sites.points.release("A apply request");
    await world.sleep(100);
    return judge(sites, unaccounted, wrong);
  },
  twin: {
    name: "versions that are the writers' clocks",
    replaced: { db_switch: clocked_switch, db_store: clocked_store },
  },
});

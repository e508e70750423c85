/** The peer applies an increment, its answer is lost, and it is sent again. */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { carrying, hazard, judge, rowOf } from "./hazard.ts";
import { counting_store } from "./repair_twins.ts";

const key = "+4917009";

hazard({
  number: 9,
  title: "an increment that is sent again after its answer was lost counts once",
  play: async (sites: TwoSites, world: World) => {
    await sites.copied();
    await sites.write(key, "1");
    await sites.settled();
    const unaccounted = sites.watchUnaccounted();
    sites.points.arm("A apply reply", { matches: carrying(key, "2") });
    const next = Number(await sites.read(key)) + 1;
    await sites.write(key, `${next}`);
    await sites.reached("A apply reply");
    const wrong = sites.row("B", rowOf(key)) === undefined ? ["the peer has not applied it"] : [];
    sites.points.drop("A apply reply");
    await world.eventually("it was sent again", () => sites.dirty() === 0, 10_000);
    return judge(sites, unaccounted, wrong);
  },
  twin: { name: "a peer that is sent increments, not rows", replaced: { db_store: counting_store } },
});

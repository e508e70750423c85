/** v1 times out on its way, is repeated, v2 follows; the packet of the first v1 arrives after both. */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { carrying, hazard, judge } from "./hazard.ts";
import { unversioned_store } from "./twins.ts";

const key = "+4917011";

hazard({
  number: 11,
  title: "a timed-out v1 that arrives after its retry and after v2 does not come back, lanes or not",
  play: async (sites: TwoSites, world: World) => {
    await sites.copied();
    const unaccounted = sites.watchUnaccounted();
    sites.points.arm("A apply request", { matches: carrying(key, "v1") });
    await sites.write(key, "v1");
    await sites.reached("A apply request");
    await world.eventually("the retry of v1 is at B", () => sites.shown("B", key) === "v1", 5_000);
    await sites.settled();
    await sites.write(key, "v2");
    await sites.settled();
    const wrong = sites.shown("B", key) === "v2" ? [] : ["v2 is not at B before the late v1"];
    sites.points.release("A apply request");
    await world.sleep(100);
    return judge(sites, unaccounted, wrong);
  },
  twin: {
    name: "lanes alone: a store that writes whatever comes last",
    replaced: { db_store: unversioned_store },
  },
});

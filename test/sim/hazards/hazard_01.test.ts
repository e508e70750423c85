/** A repair reads v1; live v2 reaches both sides; the repair's v1 arrives at the remote. */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { carrying, hazard, judge, rowOf } from "./hazard.ts";
import { unversioned_store } from "./twins.ts";

const key = "+4917001";

hazard({
  number: 1,
  title: "a repair that read its row before a live write does not undo that write",
  play: async (sites: TwoSites, world: World) => {
    await sites.copied();
    const unaccounted = sites.watchUnaccounted();
    sites.weather("A").down = true;
    await sites.write(key, "v1");
    await world.eventually(
      "replay owns the key",
      () => sites.ledger("A")?.owner(rowOf(key)) === "replay",
      5_000,
    );
    sites.points.arm("A apply request", { matches: carrying(key, "v1") });
    sites.weather("A").down = false;
    await sites.reached("A apply request");
    // The repair of v1 has read its row and is on its way; for its sender it will have timed out.
    await sites.write(key, "v2");
    await sites.settled();
    const wrong = sites.shown("B", key) === "v2" ? [] : ["v2 has not overtaken the repair"];
    sites.points.release("A apply request");
    await world.sleep(100);
    return judge(sites, unaccounted, wrong);
  },
  twin: { name: "a store that writes whatever comes last", replaced: { db_store: unversioned_store } },
});

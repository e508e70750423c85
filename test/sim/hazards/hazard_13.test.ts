/** v2 marks k again while the send of v1 finishes and clears k: once admitted after the send's read, once before. */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { carrying, hazard, judge, rowOf } from "./hazard.ts";
import { hasty_ledger, unversioned_ledger } from "./twins.ts";

const key = "+4917013";

hazard({
  number: 13,
  title: "a key written during its own repair stays dirty when the repair is confirmed",
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
    sites.points.arm("A apply reply", { matches: carrying(key, "v1") });
    sites.weather("A").down = false;
    await sites.reached("A apply reply");
    await sites.write(key, "v2");
    sites.points.release("A apply reply");
    return judge(sites, unaccounted);
  },
  twin: {
    name: "a ledger that clears whatever was admitted meanwhile",
    replaced: { db_dirty_keys: unversioned_ledger },
  },
});

hazard({
  number: 13,
  title: "a send that read its row before a marked write was committed does not clear that write's mark",
  options: { tuning: { sendsInFlightMax: 1 } },
  play: async (sites: TwoSites, world: World) => {
    await sites.copied();
    const unaccounted = sites.watchUnaccounted();
    // v1 is committed and waits behind another key's send, which takes the queuer's only place.
    sites.points.arm("A apply reply", { matches: carrying("+4917113") });
    await sites.write("+4917113", "another");
    await sites.reached("A apply reply");
    await sites.write(key, "v1");
    // v2 is in the ledger, its mark not yet durable, so not committed: what is sent now is v1.
    sites.points.arm("A log append");
    const written = sites.write(key, "v2");
    await sites.reached("A log append");
    sites.points.release("A apply reply");
    await world.eventually("v1 is at B", () => sites.shown("B", key) === "v1", 5_000);
    await world.sleep(50);
    sites.points.release("A log append");
    const wrong = (await written) ? [] : ["v2 was refused"];
    return judge(sites, unaccounted, wrong);
  },
  twin: {
    name: "a ledger that does not ask what was pending at the read",
    replaced: { db_dirty_keys: hasty_ledger },
  },
});

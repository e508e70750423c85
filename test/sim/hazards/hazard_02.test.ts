/** Two forwarders bring v1 and v2 in the wrong order: the queuer and replay, or one queuer's two sends. */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { carrying, hazard, judge, rowOf } from "./hazard.ts";
import { laneless_ledger } from "./pace_twins.ts";
import { unversioned_store } from "./twins.ts";

const key = "+4917002";

hazard({
  number: 2,
  title: "a forward that a replay of the same key has overtaken changes nothing",
  play: async (sites: TwoSites, world: World) => {
    await sites.copied();
    const unaccounted = sites.watchUnaccounted();
    sites.points.arm("A apply request", { matches: carrying(key, "v1") });
    await sites.write(key, "v1");
    await sites.reached("A apply request");
    // The queuer has given up on v1: from here on replay forwards the key.
    const replaced = (): boolean => sites.ledger("A")?.owner(rowOf(key)) !== "queuer";
    await world.eventually("the queuer has given it up", replaced, 5_000);
    await sites.write(key, "v2");
    await sites.settled();
    const wrong = sites.shown("B", key) === "v2" ? [] : ["v2 is not at B before v1"];
    sites.points.release("A apply request");
    await world.sleep(100);
    return judge(sites, unaccounted, wrong);
  },
  twin: { name: "a store that writes whatever comes last", replaced: { db_store: unversioned_store } },
});

hazard({
  number: 2,
  title: "a put that is delayed by 100 ms is not followed by the next one of its key before it has landed",
  play: async (sites: TwoSites, world: World) => {
    await sites.copied();
    const unaccounted = sites.watchUnaccounted();
    const wrong: string[] = [];
    const underWay = new Set<string>();
    sites.network.onApply = (site, rows, ended) => {
      const row = rows.find((each) => each.key === rowOf(key));
      if (site !== "A" || row === undefined) return;
      const version = row.version.join(".");
      if (ended) underWay.delete(version);
      else underWay.add(version);
      if (underWay.size > 1) wrong.push(`${underWay.size} versions of the key are under way at once`);
    };
    sites.points.arm("A apply request", { matches: carrying(key, "v1") });
    await sites.write(key, "v1");
    await sites.reached("A apply request");
    await sites.write(key, "v2");
    await world.sleep(100);
    sites.points.release("A apply request");
    return judge(sites, unaccounted, wrong);
  },
  twin: {
    name: "a ledger that gives a key's lane to several at once",
    replaced: { db_dirty_keys: laneless_ledger },
  },
});

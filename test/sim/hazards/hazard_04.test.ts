/** The crawler reads k; a delete passes; the crawler puts k. Once with the put on its way, once with the read. */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { carrying, hazard, judge, rowOf } from "./hazard.ts";
import { scanning_crawler, unversioned_store } from "./twins.ts";

const key = "+4917004";

/** The delete has reached B, and nothing more is to be done about it. */
async function deletedAtBoth(sites: TwoSites, world: World): Promise<void> {
  await sites.write(key, null);
  const done = (): boolean =>
    sites.row("B", rowOf(key))?.value === null && sites.ledger("A")?.version(rowOf(key)) === undefined;
  await world.eventually("the delete is at B", done, 5_000);
}

hazard({
  number: 4,
  title: "a crawled row that arrives after its key's delete does not bring the key back",
  play: async (sites: TwoSites, world: World) => {
    await sites.write(key, "copied");
    const unaccounted = sites.watchUnaccounted();
    sites.points.arm("A apply request", { matches: carrying(key, "copied") });
    const copied = sites.copied();
    await sites.reached("A apply request");
    await deletedAtBoth(sites, world);
    await copied;
    sites.points.release("A apply request");
    await world.sleep(100);
    return judge(sites, unaccounted);
  },
  twin: { name: "a store that writes whatever comes last", replaced: { db_store: unversioned_store } },
});

hazard({
  number: 4,
  title: "a key that is deleted between the crawler's read and its put stays deleted",
  play: async (sites: TwoSites, world: World) => {
    await sites.write(key, "copied");
    const unaccounted = sites.watchUnaccounted();
    // The local side is read, the peer's answer is on its way.
    sites.points.arm("A scan reply");
    const copied = sites.copied();
    await sites.reached("A scan reply");
    await deletedAtBoth(sites, world);
    sites.points.release("A scan reply");
    await copied;
    return judge(sites, unaccounted);
  },
  twin: {
    name: "a crawler that sends what it scanned, to a store that writes whatever comes last",
    replaced: { db_crawler: scanning_crawler, db_store: unversioned_store },
  },
});

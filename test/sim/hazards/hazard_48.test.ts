/**
 * The local commit of v5 takes longer than its client waits, or than its db_switch lives. A repair that takes that for
 * a failure reads v4, pushes it and clears the mark; then v5 lands.
 */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { isUp } from "./at_rest.ts";
import { unfenced_late_store } from "./broken_actors.ts";
import { impatient_ledger } from "./data_twins.ts";
import { carrying, hazard, judge } from "./hazard.ts";
import { late_store } from "./late_messages.ts";

const key = "+4917048";

async function withV4(sites: TwoSites): Promise<void> {
  await sites.copied();
  await sites.write(key, "v4");
  await sites.settled();
}

hazard({
  number: 48,
  title:
    "a mark whose local commit outlasts its client's patience is not repaired before the commit has ended",
  play: async (sites, world) => {
    await withV4(sites);
    const unaccounted = sites.watchUnaccounted();
    sites.points.arm("A store apply", { matches: carrying(key, "v5") });
    const wrong = (await sites.write(key, "v5", 300)) ? ["acknowledged before its commit"] : [];
    await sites.reached("A store apply");
    // Time enough for a repair that does not wait.
    await world.sleep(2_000);
    sites.points.release("A store apply");
    await world.sleep(100);
    const findings = await judge(sites, unaccounted, wrong);
    const shown = `${sites.shown("A", key)} and ${sites.shown("B", key)}`;
    return shown === "v5 and v5" ? findings : { ...findings, wrong: [...wrong, `shown: ${shown}`] };
  },
  twin: {
    name: "a ledger that takes a slow commit for one that failed",
    replaced: { db_dirty_keys: impatient_ledger },
  },
});

hazard({
  number: 48,
  title: "a commit that outlives its db_switch lands before the repair of its mark or never",
  options: { replaced: { db_store: late_store } },
  play: async (sites: TwoSites, world: World) => {
    await withV4(sites);
    const unaccounted = sites.watchUnaccounted();
    sites.points.arm("A way to store", { matches: carrying(key, "v5") });
    const written = sites.write(key, "v5", 300);
    await sites.reached("A way to store");
    const wrong = (await written) ? ["acknowledged before its commit"] : [];
    sites.kill("A", "db_switch");
    await world.sleep(1);
    await isUp(sites, world, sites.name("A", "db_switch"));
    await sites.settled();
    sites.points.release("A way to store");
    await world.sleep(100);
    return judge(sites, unaccounted, wrong);
  },
  twin: { name: "a store without fences", replaced: { db_store: unfenced_late_store } },
});

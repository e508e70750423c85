/** The local store applies a write, its answer is lost; the client hears of a time-out. */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { carrying, hazard, judge } from "./hazard.ts";
import { late_ledger } from "./twins.ts";

const key = "+4917010";

hazard({
  number: 10,
  title: "a write whose local answer is lost ends equal on both sides",
  play: async (sites: TwoSites, world: World) => {
    await sites.copied();
    await sites.write(key, "before");
    await sites.settled();
    const unaccounted = sites.watchUnaccounted();
    sites.points.arm("A store applied", { matches: carrying(key, "applied") });
    const wrong: string[] = [];
    if (await sites.write(key, "applied", 300)) wrong.push("acknowledged without an answer of the store");
    sites.points.drop("A store applied");
    // The store's answer never comes: whoever waits for it ends with its process.
    sites.kill("A", "db_store");
    const serves = (): boolean => sites.node.stateOf(sites.name("A", "db_switch")) !== undefined;
    await world.eventually("A is down", () => !serves(), 1_000);
    await world.eventually("A serves again", serves, 5_000);
    if ((await sites.read(key)) !== "applied") wrong.push("the local side lost what it had applied");
    const findings = await judge(sites, unaccounted, wrong);
    const shown = sites.shown("B", key);
    return shown === "applied" ? findings : { ...findings, wrong: [...wrong, `B shows ${shown}`] };
  },
  twin: { name: "a ledger that marks after the local write", replaced: { db_dirty_keys: late_ledger } },
});

/** The second stretch of a copy is done, the first one is still under way: a crash, and the copy is resumed. */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { hasty_crawler } from "./crawl_twins.ts";
import { carrying, hazard, judge } from "./hazard.ts";

const keys = Array.from({ length: 20 }, (_, i) => `+49171${10 + i}`);
const [first = ""] = keys;

hazard({
  number: 18,
  title: "a copy that is resumed after a crash begins with the stretch that was under way",
  options: { tuning: { crawlBatchMax: 4, peerTimeoutMs: 60_000 } },
  play: async (sites: TwoSites, world: World) => {
    for (const key of keys) await sites.write(key, "v");
    const unaccounted = sites.watchUnaccounted();
    sites.points.arm("A apply request", { matches: carrying(first) });
    const copied = sites.copied();
    await sites.reached("A apply request");
    // Whoever does not wait for the first stretch is through with the others.
    await world.sleep(1_000);
    // Takes along into the log whatever was noted there.
    await sites.write("+4917999", "another");
    await world.sleep(100);
    sites.crash();
    sites.points.drop("A apply request");
    await sites.restart();
    await Promise.all([copied, sites.copied()]);
    const behind = keys.filter((key) => sites.shown("B", key) !== "v");
    return judge(sites, unaccounted, behind.length > 0 ? [`not copied: ${behind.join()}`] : []);
  },
  twin: {
    name: "a crawler that saves its cursor before the answer",
    replaced: { db_crawler: hasty_crawler },
  },
});

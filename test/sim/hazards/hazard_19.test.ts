/** A copy's cursor is behind: it walks once more over rows that it has sent, and they have changed on both sides. */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { carrying, hazard, judge, rowOf } from "./hazard.ts";
import { unversioned_store } from "./twins.ts";

const keys = Array.from({ length: 12 }, (_, i) => `+49171${10 + i}`);
const [first = "", second = ""] = keys;

hazard({
  number: 19,
  title: "a copy that walks again over a stretch leaves what was written since, and so do its late packets",
  options: { tuning: { crawlBatchMax: 4 } },
  play: async (sites: TwoSites, world: World) => {
    for (const key of keys) await sites.write(key, "copied");
    const unaccounted = sites.watchUnaccounted();
    // The first stretch's packet is on its way when the crawler gives up on it: its cursor stays behind.
    sites.points.arm("A apply request", { matches: carrying(first, "copied") });
    // The third stretch waits: the copy is not over.
    const third = (details: unknown): boolean =>
      (details as { range: { from: string } }).range.from > rowOf(keys[6] ?? "");
    sites.points.arm("A scan reply", { matches: third, count: Number.POSITIVE_INFINITY });
    const copied = sites.copied();
    await sites.reached("A apply request");
    await sites.reached("A scan reply");
    const wrong = sites.shown("B", first) === "copied" ? [] : ["the first stretch was not sent again"];
    await sites.write(first, "newer");
    await sites.write(second, null);
    await world.eventually("the updates are at B", () => sites.ledger("A")?.size === 0, 5_000);
    const ledger = sites.ledger("A");
    for (const range of ledger?.ranges() ?? []) ledger?.setRange({ ...range, cursor: range.from });
    sites.points.disarm("A scan reply");
    sites.points.release("A scan reply");
    await copied;
    sites.points.release("A apply request");
    await world.sleep(100);
    if (sites.shown("B", first) !== "newer") wrong.push(`B shows ${sites.shown("B", first)}`);
    return judge(sites, unaccounted, wrong);
  },
  twin: { name: "a store that writes whatever comes last", replaced: { db_store: unversioned_store } },
});

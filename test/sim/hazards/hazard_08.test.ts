/** Rows go and come at the bounds of a scan: the cursor's own row, the largest, one before the first, one behind. */

import { db_store } from "../../../actors/db_store.ts";
import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { row_bound_crawler } from "./crawl_twins.ts";
import { hazard, judge, rowOf } from "./hazard.ts";

const keys = Array.from({ length: 20 }, (_, i) => `+49171${10 + i}`);
const stretch = 4;
const first = "+4917100";
const [endOfFirst = "", endOfSecond = "", largest = ""] = [stretch - 1, 2 * stretch - 1, -1].map((i) =>
  keys.at(i),
);

/** Deletes a key, and its tombstone on both sides: nothing is left of the row. */
async function vanish(sites: TwoSites, world: World, key: string): Promise<void> {
  await sites.write(key, null);
  await world.eventually(
    "nothing stands for it",
    () => sites.ledger("A")?.version(rowOf(key)) === undefined,
    5_000,
  );
  for (const site of ["A", "B"]) {
    const stored = sites.row(site, rowOf(key));
    if (stored === undefined) continue;
    const store = sites.node.system.ref(db_store, sites.name(site, "db_store"));
    await sites.alive(store.call.collect({ key: rowOf(key), version: stored.version }));
  }
}

hazard({
  number: 8,
  title: "a scan whose own, last and first rows go and come meanwhile copies what there is",
  options: { tuning: { crawlBatchMax: stretch } },
  play: async (sites: TwoSites, world: World) => {
    for (const key of keys) await sites.write(key, "v");
    const unaccounted = sites.watchUnaccounted();
    // The first stretch is at B, the second one is being read.
    sites.points.arm("A scan reply", {
      matches: (range) => (range as { range: { from: string } }).range.from !== "",
    });
    const copied = sites.copied();
    await sites.reached("A scan reply");
    const gone = [endOfFirst, endOfSecond, largest];
    for (const key of gone) await vanish(sites, world, key);
    for (const key of [first, `${endOfFirst}5`, `${largest}5`]) await sites.write(key, "inserted");
    sites.points.release("A scan reply");
    await copied;
    const behind = keys.filter((key) => !gone.includes(key) && sites.shown("B", key) !== "v");
    return judge(sites, unaccounted, behind.length > 0 ? [`not copied: ${behind.join()}`] : []);
  },
  twin: {
    name: "a crawler that goes on from a row, not from a place between rows",
    replaced: { db_crawler: row_bound_crawler },
  },
});

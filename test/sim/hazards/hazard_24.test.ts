/** A key was compared and found equal; then somebody writes the peer's store behind everybody's back; then the move. */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { silent_ledger, trusting_compare } from "./compare_twins.ts";
import { retry } from "./comparing.ts";
import { hazard, judge, rowOf } from "./hazard.ts";
import { corrupt } from "./rogue.ts";

const key = "+4917024";

/** The write that blocks a prefix: everything before it was compared. */
function isBlock(call: unknown): boolean {
  return (call as { readonly value?: { readonly state?: string } }).value?.state === "blocking";
}

hazard({
  number: 24,
  title: "a key that was corrupted after its comparison is found by the one before the cut, which refuses",
  play: async (sites: TwoSites, world: World) => {
    await sites.write(key, "v");
    await sites.copied();
    const wrong: string[] = [];
    const { compared, parts } = await sites.alive(sites.sites.coverage());
    if (compared !== parts) wrong.push("the copy was not compared");
    corrupt(sites, "B", key, "rogue");
    const { outcome, reason } = await sites.move("+49");
    if (outcome !== "aborted" || !reason.includes("1 keys differ")) wrong.push(`${outcome}: ${reason}`);
    if (sites.authority(rowOf(key)).site !== "A") wrong.push("B serves the corrupted row");
    await retry(sites, [rowOf(key)]);
    await world.sleep(100);
    return judge(sites, [], wrong);
  },
  twin: {
    name: "a comparison before the cut of what the ledger knows of only",
    replaced: { db_compare: trusting_compare },
  },
});

hazard({
  number: 24,
  title:
    "a key that was written and then corrupted after that comparison is found under the block, and repaired",
  play: async (sites: TwoSites, world: World) => {
    await sites.write(key, "v");
    await sites.copied();
    sites.points.arm("control compareAndSet", { matches: isBlock });
    const moved = sites.move("+49");
    await sites.reached("control compareAndSet");
    await sites.write(key, "w");
    await sites.settled();
    corrupt(sites, "B", key, "rogue");
    sites.points.release("control compareAndSet");
    const { outcome, verified } = await moved;
    const wrong = outcome === "swapped" && verified === 1 ? [] : [`${outcome}, ${verified} keys verified`];
    if (sites.shown("B", key) !== "w") wrong.push(`B shows ${sites.shown("B", key)}`);
    await world.sleep(100);
    return judge(sites, [], wrong);
  },
  twin: { name: "a ledger that does not tell what changed", replaced: { db_dirty_keys: silent_ledger } },
});

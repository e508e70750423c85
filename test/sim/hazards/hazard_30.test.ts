/** A hot key: each repair is stale when it arrives, and what waits for it grows. */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { hazard, judge, rowOf } from "./hazard.ts";
import { laneless_ledger } from "./pace_twins.ts";

const key = "+4917030";
const writes = 1_000;

interface Queue {
  readonly waiting: ReadonlySet<string>;
}

hazard({
  number: 30,
  title: "of a key that is written 1,000 times at most one operation is under way and one waits",
  seeds: [1],
  play: async (sites: TwoSites, world: World) => {
    await sites.copied();
    const unaccounted = sites.watchUnaccounted();
    sites.weather("A").delayMs = 10;
    let underWay = 0;
    let most = 0;
    let waitedMost = 0;
    let operations = 0;
    sites.network.onApply = (site, rows, ended) => {
      const own = rows.filter((row) => row.key === rowOf(key)).length;
      if (site !== "A" || own === 0) return;
      underWay += ended ? -own : own;
      if (!ended) operations++;
      most = Math.max(most, underWay);
      const queue = sites.node.stateOf(sites.name("A", "db_queuer")) as Queue | undefined;
      waitedMost = Math.max(waitedMost, queue?.waiting.size ?? 0);
    };
    // The first send is parked: all that is written meanwhile waits for it.
    sites.points.arm("A apply request");
    const written: Promise<boolean>[] = [];
    for (let i = 0; i < writes; i++) {
      written.push(sites.write(key, `${i}`));
      if (i === writes / 2) sites.points.release("A apply request");
      if (i % 10 === 9) await world.sleep(1);
    }
    await Promise.all(written);
    await sites.settled();
    const wrong: string[] = [];
    if (most !== 1) wrong.push(`${most} operations under way at once`);
    if (waitedMost > 1) wrong.push(`${waitedMost} waited`);
    if (operations < 5 || operations > writes / 5)
      wrong.push(`${operations} operations for ${writes} writes`);
    return judge(sites, unaccounted, wrong);
  },
  twin: { name: "a ledger without lanes", replaced: { db_dirty_keys: laneless_ledger } },
});

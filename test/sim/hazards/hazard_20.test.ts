/** One row of a batch of 100 is rejected, and the batch counts as done, or as failed. */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { hazard, judge, rowOf } from "./hazard.ts";
import { wholesale_queuer, wholesale_replay } from "./repair_twins.ts";

const poison = "+4917042";
const keys = Array.from({ length: 100 }, (_, i) => `+49${17_000 + i}`);

hazard({
  number: 20,
  title: "of a batch of 100 with one rejected row exactly that one stays dirty",
  options: { tuning: { sendsInFlightMax: 1 } },
  play: async (sites: TwoSites, world: World) => {
    await sites.copied();
    const unaccounted = sites.watchUnaccounted();
    sites.weather("A").rejected.add(rowOf(poison));
    // All of them wait behind one send, so that they go in one batch.
    sites.points.arm("A apply request");
    await sites.write("+4918000", "first");
    await sites.reached("A apply request");
    await Promise.all(keys.map((key) => sites.write(key, "v")));
    let largest = 0;
    sites.network.onApply = (site, rows) => {
      if (site === "A") largest = Math.max(largest, rows.length);
    };
    sites.points.release("A apply request");
    await sites.settled();
    const left = [...(sites.ledger("A")?.marks() ?? [])].map(({ key, owner }) => `${key} ${owner}`);
    const wrong: string[] = [];
    if (largest !== keys.length) wrong.push(`the largest batch had ${largest} rows`);
    if (left.join() !== `${rowOf(poison)} perror`) wrong.push(`still dirty: ${left.join()}`);
    const absent = keys.filter((key) => key !== poison && sites.shown("B", key) !== "v");
    if (absent.length > 0) wrong.push(`not at B: ${absent.join()}`);
    sites.weather("A").rejected.clear();
    await sites.write(poison, "valid");
    await world.eventually("the key is healed", () => sites.ledger("A")?.size === 0, 10_000);
    return judge(sites, unaccounted, wrong);
  },
  twin: {
    name: "senders that count a batch as one",
    replaced: { db_queuer: wholesale_queuer, db_replay: wholesale_replay },
  },
});

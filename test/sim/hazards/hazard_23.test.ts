/** Comparisons run while one of 20 keys is written every 5 ms: each of them sees the sides at two different moments. */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { hasty_compare } from "./compare_twins.ts";
import { hazard, judge } from "./hazard.ts";

/** Each key is written every 100 ms: now and then it is at both sides when a suspect of it is looked at again. */
const keys = Array.from({ length: 20 }, (_, i) => `+49170${2300 + i}`);
const writes = 200;

hazard({
  number: 23,
  title: "comparisons that straddle live writes report nothing",
  seeds: [1, 2],
  play: async (sites: TwoSites, world: World) => {
    await sites.copied();
    const unaccounted = sites.watchUnaccounted();
    const written = (async () => {
      for (let i = 0; i < writes; i++) {
        sites.write(keys[i % keys.length] ?? "", `v${i}`).catch(() => undefined);
        await world.sleep(5);
      }
    })();
    let suspects = 0;
    let mismatches = 0;
    for (let pass = 0; pass < 8; pass++) {
      for (const each of await sites.alive(sites.sites.compare())) {
        suspects += each.suspects;
        mismatches += each.mismatches;
      }
    }
    await written;
    await world.sleep(500);
    const wrong: string[] = [];
    if (suspects === 0) wrong.push("no comparison straddled a write");
    if (mismatches > 0) wrong.push(`${mismatches} false reports`);
    return judge(sites, unaccounted, wrong);
  },
  twin: {
    name: "a comparison that judges by its first look",
    replaced: { db_compare: hasty_compare },
  },
});

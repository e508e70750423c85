/** 40: the flip happens while keys are dirty. */

import { decisionBecomes } from "./at_rest.ts";
import { hazard, judge } from "./hazard.ts";
import { boastful_ledger } from "./undrained_twins.ts";

const keys = Array.from({ length: 20 }, (_, i) => `+491704${i}`);

hazard({
  number: 40,
  title: "a prefix that moves while its keys are dirty shows what was acknowledged, right after the flip",
  play: async (sites) => {
    for (const key of keys) await sites.write(key, "v1");
    await sites.copied();
    const unaccounted = sites.watchUnaccounted();
    // Every send takes long, so what is written just before the block is dirty under it.
    sites.weather("A").delayMs = 200;
    await Promise.all(keys.map((key) => sites.write(key, "v2")));
    sites.points.arm("control compareAndSet", decisionBecomes("blocking"));
    const move = sites.move("+49");
    await sites.reached("control compareAndSet");
    await Promise.all(keys.map((key) => sites.write(key, "v3")));
    sites.points.release("control compareAndSet");
    const { outcome, reason } = await move;
    const wrong = outcome === "swapped" ? [] : [`the prefix did not swap: ${reason}`];
    for (const key of keys) {
      const shown = await sites.read(key);
      if (shown !== "v3") wrong.push(`${key} shows ${shown}, v3 was acknowledged`);
    }
    sites.weather("A").delayMs = 0;
    return judge(sites, unaccounted, wrong);
  },
  twin: { name: "a ledger that says it is empty", replaced: { db_dirty_keys: boastful_ledger } },
});

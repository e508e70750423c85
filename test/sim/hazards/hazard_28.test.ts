/** A key in db_perror is written validly, or deleted, and the process dies in between; or as the key gets there. */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { within } from "./at_rest.ts";
import { carrying, hazard, judge, rowOf } from "./hazard.ts";
import { sticky_ledger, volatile_perror } from "./repair_twins.ts";

const key = "+4917028";

function quarantined(sites: TwoSites, world: World): Promise<void> {
  return world.eventually(
    "it is quarantined",
    () => sites.ledger("A")?.owner(rowOf(key)) === "perror",
    10_000,
  );
}

/** What db_perror lists, each key with its reason. */
async function listed(sites: TwoSites): Promise<string[]> {
  return (await sites.alive(sites.sites.perror("A"))).map((entry) => `${entry.key} ${entry.reason}`);
}

const ways = [
  { what: "written validly", value: "valid" },
  { what: "deleted", value: null },
] as const;

/** The new version is on its way to the peer, or the peer has it and the mark is not cleared. */
const points = ["A store applied", "A apply request", "A apply reply"] as const;

for (const { what, value } of ways) {
  for (const point of points) {
    hazard({
      number: 28,
      title: `a key in db_perror that is ${what} leaves it, a crash at "${point}" in between`,
      play: async (sites: TwoSites, world: World) => {
        await sites.copied();
        await sites.write(key, "before");
        await sites.settled();
        const unaccounted = sites.watchUnaccounted();
        sites.weather("A").rejected.add(rowOf(key));
        await sites.write(key, "rejected");
        await quarantined(sites, world);
        const wrong = (await listed(sites)).length === 1 ? [] : ["it is not listed"];
        sites.weather("A").rejected.clear();
        sites.points.arm(point, { matches: carrying(key, value) });
        const written = sites.write(key, value);
        wrong.push(...(await within(`the new version is at "${point}"`, () => sites.reached(point))));
        sites.crash({ powerLoss: true });
        await written;
        sites.points.drop(point);
        await sites.restart();
        await world.sleep(2_000);
        if ((await listed(sites)).length > 0) wrong.push("its entry is still there");
        if (sites.shown("B", key) !== value) wrong.push(`B shows ${sites.shown("B", key)}`);
        return judge(sites, unaccounted, wrong);
      },
      twin: {
        name: "a ledger whose quarantine no new version ends",
        replaced: { db_dirty_keys: sticky_ledger },
      },
    });
  }
}

for (const point of ["A log append", "A log appended"] as const) {
  hazard({
    number: 28,
    title: `a key that gets there at a crash ("${point}") is listed with its reason after this restart and the next`,
    play: async (sites: TwoSites, world: World) => {
      await sites.copied();
      const unaccounted = sites.watchUnaccounted();
      sites.weather("A").rejected.add(rowOf(key));
      let rejections = 0;
      sites.network.onApply = (site, rows, ended) => {
        if (site !== "A" || !ended || !rows.some((row) => row.key === rowOf(key))) return;
        // The queuer's attempt, and three of replay.
        if (++rejections === 4) sites.points.arm(point);
      };
      await sites.write(key, "rejected");
      const wrong = await within("the entry is being logged", () => sites.reached(point, 1, 2_000));
      sites.crash({ powerLoss: true });
      sites.points.drop(point);
      sites.points.disarm(point);
      sites.network.onApply = undefined;
      for (const restart of ["first", "second"]) {
        await sites.restart();
        await quarantined(sites, world);
        const entries = (await listed(sites)).join();
        if (entries !== `${rowOf(key)} poison`) wrong.push(`after the ${restart} restart: ${entries}`);
        sites.crash({ powerLoss: true });
      }
      await sites.restart();
      sites.weather("A").rejected.clear();
      await sites.write(key, "valid");
      await world.eventually("the key is healed", () => sites.shown("B", key) === "valid", 10_000);
      return judge(sites, unaccounted, wrong);
    },
    twin: { name: "a db_perror that lives in memory", replaced: { db_perror: volatile_perror } },
  });
}

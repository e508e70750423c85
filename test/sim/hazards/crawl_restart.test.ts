/**
 * A crawl has read a stretch when db_switch dies; the next one has not read control yet when the crawl goes on. Nothing
 * may be sent then, and the crawl must not take that for "nothing to send".
 */

import { expect, it } from "vitest";
import { shardScope } from "../../../actors/records.ts";
import { TwoSites, type WorldOptions } from "../../../app/simulate/two_sites.ts";
import { simulateSeed, type World } from "../../../src/simulation/index.ts";
import { atRest, inEachOrder } from "./at_rest.ts";
import { silent_ledger } from "./broken_actors.ts";

async function crawlAcrossARestart(world: World, options: WorldOptions): Promise<string[]> {
  const sites = await TwoSites.start(world, options);
  for (let i = 0; i < 20; i++) await sites.write(`+4917${10 + i}`, `v${i}`);
  const unaccounted = sites.watchUnaccounted();
  sites.points.arm("A scan reply");
  await sites.migrate();
  await sites.points.reached("A scan reply");
  sites.points.arm("A store fence", {
    matches: (details) => (details as { scope: string }).scope === shardScope("A", 0),
  });
  sites.kill("A", "db_switch");
  await sites.points.reached("A store fence");
  sites.points.release("A scan reply");
  await world.sleep(200);
  sites.points.release("A store fence");
  const findings = await atRest(sites, unaccounted);
  return sites.shown("B", "+491710") === "v0" ? findings : [...findings, "a row was not copied"];
}

it("a crawl that goes on before its db_switch has read control copies everything", async () => {
  expect(await inEachOrder((world) => crawlAcrossARestart(world, {}))).toEqual([]);
});

it("a ledger that gives it nothing instead of refusing is caught", async () => {
  const replaced = { db_dirty_keys: silent_ledger };
  const { result } = await simulateSeed({ seed: 1 }, (world) => crawlAcrossARestart(world, { replaced }));
  expect(result).toContain("a row was not copied");
});

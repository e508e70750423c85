/** An idle crawler looks at its ledger now and then, however often it was paused and resumed. */

import { expect, it } from "vitest";
import { db_crawler } from "../../actors/db_crawler.ts";
import { TwoSites } from "../../app/simulate/two_sites.ts";
import { simulateSeed } from "../../src/simulation/index.ts";
import { counting_ledger } from "./counting_ledger.ts";

it("a crawler that was paused and resumed twenty times polls as often as before", async () => {
  await simulateSeed({ seed: 1 }, async (world) => {
    const sites = await TwoSites.start(world, { replaced: { db_dirty_keys: counting_ledger } });
    await sites.copied();
    const crawler = sites.node.system.ref(db_crawler, sites.name("A", "db_crawler"));
    const looks = (): number =>
      (sites.node.stateOf(sites.name("A", "db_dirty_keys")) as { readonly looks: number }).looks;
    const looksIn = async (ms: number): Promise<number> => {
      const before = looks();
      await world.sleep(ms);
      return looks() - before;
    };
    const usual = await looksIn(2_000);
    expect(usual).toBeGreaterThan(5);
    for (let i = 0; i < 20; i++) {
      await sites.alive(crawler.call.pause());
      await sites.alive(crawler.call.resume());
    }
    expect(await looksIn(2_000)).toBeLessThanOrEqual(usual + 2);
    await sites.alive(crawler.call.pause());
    await world.sleep(500);
    expect(await looksIn(2_000)).toBe(0);
  });
});

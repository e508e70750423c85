import { expect, it } from "vitest";
import { TwoSites } from "../../app/simulate/two_sites.ts";
import { simulateSeed } from "../../src/simulation/index.ts";

it.each(["fifo", "random"] as const)(
  "two sites migrate and move every prefix in virtual time, %s order",
  async (order) => {
    const report = await simulateSeed({ seed: 4, order }, async (world) => {
      const sites = await TwoSites.start(world, { shards: 2, threads: 2 });
      for (let i = 0; i < 40; i++) await sites.write(`+49${1000 + i}`, `before ${i}`);
      const unaccounted = sites.watchUnaccounted();
      await sites.migrate({ "+33": ["B", "A", "B"] });
      for (let i = 0; i < 200; i++) await sites.write(`+${i % 2 ? 49 : 33}${1000 + (i % 50)}`, `during ${i}`);
      await sites.phase("swapped");
      await sites.settled();
      expect(await sites.read("+491001")).toBe("during 151");
      return {
        unaccounted,
        lost: sites.lost(),
        differing: sites.differing(),
        shown: sites.shown("B", "+491001"),
      };
    });
    expect(report.result).toEqual({ unaccounted: [], lost: [], differing: [], shown: "during 151" });
  },
);

it("gives equal hashes for equal seeds, with faults and a killed process", async () => {
  const run = (seed: number) =>
    simulateSeed({ seed, order: "random" }, async (world) => {
      const sites = await TwoSites.start(world);
      sites.weather("A").failShare = 0.2;
      await sites.migrate();
      for (let i = 0; i < 50; i++) await sites.write(`+49${i % 7}0`, `${i}`);
      sites.kill("A", "db_queuer");
      await sites.phase("swapped");
    });
  const [first, second, other] = [await run(1), await run(1), await run(2)];
  expect(second).toEqual(first);
  expect(other.hash).not.toBe(first.hash);
});

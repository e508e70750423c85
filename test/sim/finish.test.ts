import { describe, expect, it } from "vitest";
import { rowKey } from "../../actors/records.ts";
import { TwoSites } from "../../app/simulate/two_sites.ts";
import { simulateSeed, type World } from "../../src/simulation/index.ts";

const deleted = rowKey("device_platform", "+4922");

/** Everything has moved, and one key was written and deleted on the way. */
async function swapped(world: World): Promise<TwoSites> {
  const sites = await TwoSites.start(world);
  await sites.write("+4911", "kept");
  await sites.write("+4922", "gone soon");
  await sites.write("+1555", "of no prefix");
  await sites.migrate();
  await sites.phase("swapped");
  await sites.write("+4922", null);
  return sites;
}

describe("finish", () => {
  it("ends the replication, collects tombstones, and leaves a side that serves alone", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const sites = await swapped(world);
      expect((await sites.alive(sites.sites.move("*", "B"))).outcome).toBe("swapped");
      expect(sites.row("B", deleted)?.value).toBeNull();
      await sites.alive(sites.sites.finish());
      expect(sites.row("B", deleted)).toBeUndefined();
      expect(await sites.write("+4911", "after")).toBe(true);
      expect(await sites.read("+4911")).toBe("after");
      await world.sleep(2_000);
      expect(sites.dirty()).toBe(0);
      expect(sites.shown("A", "+4911")).toBe("kept");
      await sites.alive(sites.sites.finish());
    });
  });

  it("is refused while the old side serves something, and says what", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const sites = await swapped(world);
      await expect(sites.alive(sites.sites.finish())).rejects.toMatchObject({
        code: "conflict",
        message: expect.stringContaining("device_platform/*"),
      });
      expect(await sites.write("+4911", "still replicated")).toBe(true);
      await sites.settled();
      expect(sites.shown("A", "+4911")).toBe("still replicated");
    });
  });

  it("is refused before everything has swapped", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const sites = await TwoSites.start(world);
      await sites.copied();
      await expect(sites.alive(sites.sites.finish())).rejects.toMatchObject({ code: "conflict" });
    });
  });

  it("stays finished after a restart", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const sites = await swapped(world);
      await sites.alive(sites.sites.move("*", "B"));
      await sites.alive(sites.sites.finish());
      sites.crash();
      await sites.restart();
      await sites.migrate();
      await world.sleep(1_000);
      expect(await sites.write("+4911", "after")).toBe(true);
      expect(sites.dirty()).toBe(0);
      expect(sites.shown("A", "+4911")).toBe("kept");
    });
  });
});

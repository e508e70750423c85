import { expect, it } from "vitest";
import { devicePlatform } from "../../actors/backends/device_platform.ts";
import { startTwoSites } from "./two_sites.ts";

it("a prefix goes to the other site and back; a move from a site that does not serve it changes nothing", async () => {
  const two = await startTwoSites({ recheckMs: [5, 10] });
  const { sites } = two;
  try {
    const devices = await sites.access(devicePlatform);
    const key = "+4915112345678";
    const write = (text: string) => devices.call.put({ key, value: Buffer.from(text) });
    const shown = async () => Buffer.from((await devices.call.get({ key })) ?? []).toString();
    await write("first");
    await sites.migration.call.run(sites.migrationPlan());
    await expect
      .poll(async () => (await sites.migration.call.progress()).phase, { timeout: 15_000 })
      .toBe("swapped");

    await write("second");
    await expect(sites.move("+49", "B")).rejects.toMatchObject({ code: "conflict" });
    expect(await shown()).toBe("second");
    expect(await sites.move("+49", "A")).toMatchObject({ prefix: "+49", outcome: "swapped" });
    expect(await shown()).toBe("second");
    await write("third");
    expect(await sites.move("+49", "B")).toMatchObject({ outcome: "swapped" });
    expect(await shown()).toBe("third");
  } finally {
    await two.remove();
  }
});

it("a move to an unknown site, or of a prefix that no plan has, is refused by name", async () => {
  const two = await startTwoSites();
  try {
    await expect(two.sites.move("+49", "C")).rejects.toMatchObject({ details: { field: "to" } });
    await expect(two.sites.move("+7", "B")).rejects.toMatchObject({ details: { field: "prefix" } });
  } finally {
    await two.remove();
  }
});

import { expect, it } from "vitest";
import { profilePicture } from "../../actors/backends/profile_picture.ts";
import { startTwoSites } from "./two_sites.ts";

it("a written value is read back, migrated, failed over by prefix, reversed, and read where it lives", async () => {
  const two = await startTwoSites({ recheckMs: [5, 10] });
  const { sites } = two;
  try {
    const pictures = await sites.access(profilePicture);
    const key = "+4915112345678";
    await pictures.call.put({ key, value: Buffer.from("picture") });
    const shown = async () => Buffer.from((await pictures.call.get({ key })) ?? []).toString();
    expect(await shown()).toBe("picture");

    await sites.migration.call.run(sites.migrationPlan({ "+33": ["B", "A", "B"] }));
    for (;;) {
      const { phase, stopped } = await sites.migration.call.progress();
      expect(stopped).toBe("");
      if (phase === "swapped") break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const { moves } = await sites.migration.call.progress();
    expect(moves.map(({ prefix, outcome }) => `${prefix} ${outcome}`)).toEqual([
      "+49 swapped",
      "+33 swapped",
      "+1 swapped",
      "+33 swapped",
      "+33 swapped",
    ]);
    expect(await shown()).toBe("picture");
  } finally {
    await two.remove();
  }
});

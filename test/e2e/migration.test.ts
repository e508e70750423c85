import { expect, it } from "vitest";
import { backends } from "../../actors/backends/index.ts";
import { cohortId } from "../../actors/records.ts";
import { prefixes, startTwoSites } from "./two_sites.ts";

it("a written value is read back, migrated, failed over by prefix, reversed, and read from where it lives", async () => {
  const sites = await startTwoSites({ recheckMs: [5, 10] });
  try {
    const pictures = await sites.module("profile_picture");
    const value = Buffer.from("picture");
    await pictures.call.run({
      key: "+4915112345678",
      operation: "put",
      message: { key: "+4915112345678", value },
    });
    const get = { key: "+4915112345678", operation: "get", message: { key: "+4915112345678" } };
    expect(Buffer.from((await pictures.call.run(get)) as Uint8Array).toString()).toBe("picture");

    const plan = {
      from: "A",
      to: "B",
      prefixes: prefixes.map((prefix) => ({
        prefix,
        cohorts: Object.keys(backends).map((name) => cohortId(name, prefix)),
        path: prefix === "+33" ? ["B", "A", "B"] : ["B"],
      })),
    };
    await sites.migration.call.run(plan);
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
    expect(Buffer.from((await pictures.call.run(get)) as Uint8Array).toString()).toBe("picture");
  } finally {
    await sites.remove();
  }
});

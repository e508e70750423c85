/**
 * A row at the remote whose version is above everything that we have: nothing of ours explains it, so somebody else
 * wrote it, or the local store lost what it had. Sending again can't repair it, and overwriting it may destroy the
 * only copy.
 */

import { expect, it } from "vitest";
import { devicePlatform } from "../../actors/backends/device_platform.ts";
import { db_perror, type PerrorEntry } from "../../actors/db_perror.ts";
import { type Row, rowKey } from "../../actors/records.ts";
import { encodeRow } from "../../actors/stores/row_codec.ts";
import { TwoSites } from "../../app/simulate/two_sites.ts";
import { simulateSeed } from "../../src/simulation/index.ts";

const key = "+4917024";

async function entries(sites: TwoSites): Promise<PerrorEntry[]> {
  const perror = sites.node.system.ref(db_perror, sites.name("A", "db_perror"));
  return perror.call.list({ prefix: "", limit: 10 });
}

it.each(["fifo", "random"] as const)(
  "a key whose remote row is above our versions goes to db_perror and holds nobody up, %s order",
  async (order) => {
    const report = await simulateSeed({ seed: 3, order }, async (world) => {
      const sites = await TwoSites.start(world);
      await sites.copied();
      await sites.write(key, "ours");
      await sites.settled();
      const ours = sites.row("A", rowKey(devicePlatform.name, key));
      if (ours === undefined) throw new Error("a written row stands at A");
      const [cohortTerm, shardTerm, n] = ours.version;
      const foreign: Row = {
        ...ours,
        version: [cohortTerm, shardTerm, n + 1_000],
        value: new TextEncoder().encode("theirs"),
      };
      sites.files("B").rows.set(foreign.key, encodeRow(foreign));
      await sites.write(key, "later");
      await sites.write("+4917025", "neighbour");
      await sites.settled();
      const found = (await entries(sites)).map((entry) => ({ key: entry.key, reason: entry.reason }));
      const shown = [sites.shown("A", key), sites.shown("B", key), sites.shown("B", "+4917025")];
      return { found, shown };
    });
    expect(report.result).toEqual({
      found: [{ key: rowKey(devicePlatform.name, key), reason: "foreign" }],
      shown: ["later", "theirs", "neighbour"],
    });
  },
);

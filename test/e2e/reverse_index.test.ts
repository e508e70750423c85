/** The reverse index of a relation is derived on each side: no comparison looks at it. */

import { open } from "lmdb";
import { expect, it } from "vitest";
import { blocklist } from "../../actors/backends/blocklist.ts";
import { shardOf } from "../../actors/records.ts";
import { layout } from "../../actors/stores/data_directory.ts";
import { prefixes, shards, startTwoSites, type TwoSites } from "./two_sites.ts";

const key = "+4915112345678";
const member = "+4915187654321";

async function copied({ sites }: TwoSites): Promise<void> {
  await sites.migration.call.run(sites.migrationPlan({}, { movesFromMs: Number.MAX_SAFE_INTEGER }));
  while ((await sites.migration.call.progress()).phase !== "ready") {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Empties the index of the key's shard, behind everybody's back: at both sites, because a look-up asks both. */
async function dropIndex(folder: string): Promise<void> {
  for (const site of ["A", "B"]) {
    const root = open({ path: layout.store(folder, site, shardOf(blocklist.name, key, shards)), maxDbs: 8 });
    await root.openDB({ name: "index", encoding: "binary", keyEncoding: "binary" }).clearAsync();
    await root.close();
  }
}

it("a reverse index that lost an entry differs from nothing: only rows are compared", async () => {
  expect(prefixes).toContain("+49");
  const first = await startTwoSites({ recheckMs: [5] });
  const { folder } = first;
  await (await first.sites.access(blocklist)).call.add({ key, member, value: new Uint8Array() });
  await copied(first);
  await first.stop();
  await dropIndex(folder);
  const again = await startTwoSites({ recheckMs: [5] }, folder);
  try {
    await copied(again);
    const passes = await again.sites.compare();
    expect(passes.map(({ rows }) => rows).reduce((a, b) => a + b)).toBe(1);
    expect(passes.every(({ mismatches }) => mismatches === 0)).toBe(true);
    const lists = await again.sites.access(blocklist);
    expect(await lists.call.has({ key, member })).not.toBeNull();
    expect(await lists.call.of({ member })).toEqual([]);
  } finally {
    await again.remove();
  }
});

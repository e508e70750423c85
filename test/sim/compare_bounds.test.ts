/** A comparison of sides that differ in more rows than it may hold, or name. */

import { expect, it } from "vitest";
import { db_compare } from "../../actors/db_compare.ts";
import { dataLimits } from "../../actors/limits.ts";
import { type RowKey, rowKey, versionZero } from "../../actors/records.ts";
import { encodeRow } from "../../actors/stores/row_codec.ts";
import { TwoSites } from "../../app/simulate/two_sites.ts";
import { simulateSeed, type World } from "../../src/simulation/index.ts";

const rows = dataLimits.suspectsMax + 5_000;

function keyAt(i: number): RowKey {
  return rowKey("device_platform", `+49${10_000_000 + i}`);
}

// Suspects come in faster than they are looked at again.
const tuning = { crawlRowsPerSecond: 1_000_000, recheckMs: [5_000] };

const good = encodeRow({ version: versionZero, value: Uint8Array.of(1), expiresAtMs: 0 });
const bad = encodeRow({ version: versionZero, value: Uint8Array.of(2), expiresAtMs: 0 });

/** Both sides hold all rows, and are live; then the peer's are all other bytes. */
async function corruptedAll(world: World): Promise<TwoSites> {
  const sites = await TwoSites.start(world, { tuning });
  for (let i = 0; i < rows; i++) for (const site of ["A", "B"]) sites.files(site).rows.set(keyAt(i), good);
  await sites.copied();
  for (let i = 0; i < rows; i++) sites.files("B").rows.set(keyAt(i), bad);
  return sites;
}

function suspects(sites: TwoSites): number {
  const state = sites.node.stateOf(sites.name("A", "db_compare"));
  return (state as { readonly suspects: { readonly size: number } } | undefined)?.suspects.size ?? 0;
}

it("a pass over sides that differ everywhere holds no more than it may, and ends in a dirty range", async () => {
  await simulateSeed({ seed: 1 }, async (world) => {
    const sites = await corruptedAll(world);
    let most = 0;
    world.afterEachEvent(() => {
      most = Math.max(most, suspects(sites));
    });
    const passes = await sites.alive(sites.sites.compare());
    const [pass] = passes.filter(({ degraded }) => degraded);
    expect(pass?.degraded).toBe(true);
    expect(pass?.cohorts).toEqual([]);
    expect(pass?.mismatches).toBeGreaterThan(0);
    expect(pass?.mismatches).toBeLessThanOrEqual(dataLimits.mismatchesPerPassMax);
    expect(pass?.examples).toHaveLength(dataLimits.mismatchesNamedMax);
    expect(most).toBeGreaterThan(dataLimits.suspectsMax - 1_000);
    expect(most).toBeLessThanOrEqual(dataLimits.suspectsMax);
    // Everything that differs is accounted for by now: the named ones by db_perror, all others by the range.
    expect(sites.ledger("A")?.ranges()).toMatchObject([{ from: "", to: "", reason: "overflow" }]);
    expect(sites.unaccounted()).toEqual([]);
    const all = await sites.alive(sites.sites.coverage());
    expect(all.unaccountedFoundTotal).toBe(pass?.mismatches);
    expect(all).toMatchObject({ compared: 0, forgotten: 15 });
  });
}, 120_000);

it("sampled keys that find no room among the suspects are counted", async () => {
  await simulateSeed({ seed: 1 }, async (world) => {
    const sites = await corruptedAll(world);
    const compare = sites.node.system.ref(db_compare, sites.name("A", "db_compare"));
    compare.cast.sample(Array.from({ length: rows }, (_, i) => keyAt(i)));
    await world.sleep(10);
    const { samplesSkipped } = await sites.alive(compare.call.statistics());
    expect(samplesSkipped).toBe(rows - dataLimits.suspectsMax);
  });
}, 120_000);

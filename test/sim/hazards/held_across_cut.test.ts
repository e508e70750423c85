/** 37: a forward under the old term is held on the network across the swap, and lands on the side that now serves. */

import { expect, it } from "vitest";
import { db_store } from "../../../actors/db_store.ts";
import { rowKey } from "../../../actors/records.ts";
import { TwoSites, type WorldOptions } from "../../../app/simulate/two_sites.ts";
import { simulateSeed, type World } from "../../../src/simulation/index.ts";
import { appliesRow, atRest, ending, inEachOrder } from "./at_rest.ts";
import { unfenced_store } from "./broken_actors.ts";

const written = "+491701";
const deleted = "+491702";

async function forwardAcrossTheCut(world: World, options: WorldOptions): Promise<string[]> {
  const sites = await TwoSites.start(world, options);
  await sites.copied();
  const unaccounted = sites.watchUnaccounted();
  const { points } = sites;
  for (const key of [written, deleted]) {
    points.arm("A apply request", appliesRow(rowKey("device_platform", key)));
    await sites.write(key, "v1");
  }
  await points.reached("A apply request", 2);
  // The sends time out, repairs bring v1 to the peer, and the prefix drains.
  const move = await ending(sites.move("+49"));
  const findings = "outcome" in move && move.outcome === "swapped" ? [] : ["the prefix did not swap"];
  await sites.write(written, "v2");
  await sites.write(deleted, null);
  await sites.settled();
  await collectTombstone(sites, deleted);
  points.release("A apply request");
  await world.sleep(1_000);
  for (const [key, wanted] of [
    [written, "v2"],
    [deleted, null],
  ] as const) {
    const shown = await sites.read(key);
    if (shown !== wanted) findings.push(`${key} shows ${shown}, ${wanted} was acknowledged`);
  }
  return [...findings, ...(await atRest(sites, unaccounted))];
}

/** As the collection of tombstones will: no row is left whose version could refuse an older one. */
async function collectTombstone(sites: TwoSites, key: string): Promise<void> {
  const row = rowKey("device_platform", key);
  for (const site of ["A", "B"]) {
    const stored = sites.row(site, row);
    if (stored === undefined) continue;
    const store = sites.node.system.ref(db_store, sites.name(site, "db_store"));
    expect(await sites.alive(store.call.collect({ key: row, version: stored.version }))).toBe(true);
  }
}

it("hazard 37: a forward of the old term that lands after the cut changes nothing on the new side", async () => {
  expect(await inEachOrder((world) => forwardAcrossTheCut(world, {}))).toEqual([]);
});

it("twin of hazard 37: without fences it brings a deleted key back, and that is seen", async () => {
  const replaced = { db_store: unfenced_store };
  const { result } = await simulateSeed({ seed: 37 }, (world) => forwardAcrossTheCut(world, { replaced }));
  expect(result).toContain(`${deleted} shows v1, null was acknowledged`);
});

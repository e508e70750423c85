/** A row with an expiry is copied late: once it is renewed meanwhile, once its time is running out. */

import { profilePicture } from "../../../actors/backends/profile_picture.ts";
import { type Row, type RowKey, rowKey } from "../../../actors/records.ts";
import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { ending } from "./at_rest.ts";
import { relative_store } from "./data_twins.ts";
import { hazard, judge } from "./hazard.ts";
import { unversioned_store } from "./twins.ts";

const key = "+4917044";
const row: RowKey = rowKey(profilePicture.name, key);

/** A picture that expires so many ms from now. */
async function put(sites: TwoSites, world: World, forMs: number): Promise<void> {
  const { call } = await sites.access(profilePicture);
  const expiresAtMs = Math.ceil(sites.node.wallClock.startMs + world.nowMs + forMs);
  await sites.alive(call.put({ key, value: new Uint8Array([44]), expiresAtMs }));
}

async function isShown(sites: TwoSites): Promise<boolean> {
  const { call } = await sites.access(profilePicture);
  return (await sites.alive(call.get({ key }))) !== null;
}

/** The copy has read the row and is on its way. Resolves with how the copy ends. */
async function copying(sites: TwoSites): Promise<{ readonly copied: Promise<void> }> {
  const carries = (details: unknown): boolean =>
    (details as { readonly rows: readonly Row[] }).rows.some((each) => each.key === row);
  sites.points.arm("A apply request", { matches: carries });
  const copied = sites.copied();
  await sites.reached("A apply request");
  return { copied };
}

/** What is wrong when B serves, and the row should be shown there or not. */
async function servedByB(sites: TwoSites, shown: boolean): Promise<string[]> {
  await ending(sites.move("+49"));
  const wrong = sites.authority(row).site === "B" ? [] : ["the prefix did not swap"];
  if ((await isShown(sites)) !== shown) wrong.push(shown ? "its renewal is lost" : "it outlives its expiry");
  return wrong;
}

hazard({
  number: 44,
  title: "a row that is renewed while its copy is on its way outlives its first expiry on both sides",
  play: async (sites, world) => {
    await put(sites, world, 3_000);
    const firstMs = world.nowMs + 3_000;
    const unaccounted = sites.watchUnaccounted();
    const { copied } = await copying(sites);
    await put(sites, world, 60_000);
    const first = sites.row("A", row)?.expiresAtMs;
    await world.eventually("the renewal is at B", () => sites.row("B", row)?.expiresAtMs === first, 5_000);
    // The copy has given that request up and is through; now it lands.
    await copied;
    sites.points.release("A apply request");
    await world.until(firstMs + 1);
    return judge(sites, unaccounted, await servedByB(sites, true));
  },
  twin: { name: "a store that writes whatever comes last", replaced: { db_store: unversioned_store } },
});

hazard({
  number: 44,
  title: "a row whose copy arrives just before it expires is not given its whole time again",
  play: async (sites, world) => {
    await put(sites, world, 900);
    const expiryMs = world.nowMs + 900;
    const unaccounted = sites.watchUnaccounted();
    const { copied } = await copying(sites);
    await world.until(expiryMs - 100);
    sites.points.release("A apply request");
    await copied;
    await world.until(expiryMs + 1);
    return judge(sites, unaccounted, await servedByB(sites, false));
  },
  twin: {
    name: "rows that travel with the time that they have left",
    replaced: { db_store: relative_store },
  },
});

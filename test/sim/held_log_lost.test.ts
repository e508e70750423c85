/** The new side's log holds the only record of which keys it must not serve: it is lost, and they are held again. */

import { expect, it } from "vitest";
import { TwoSites } from "../../app/simulate/two_sites.ts";
import { simulateSeed, type World } from "../../src/simulation/index.ts";
import { ending } from "./hazards/at_rest.ts";
import { clean, type Findings, judge, rowOf } from "./hazards/hazard.ts";

const key = "+4917039";
const neighbour = "+4917139";

/** A's db_perror has the key's last version; +49 moves to B, whose disk is lost then. */
async function diskLostAfterTheMove(world: World, forgets = (_key: string) => false): Promise<Findings> {
  const sites = await TwoSites.start(world);
  const { control } = sites;
  const list = control.list.bind(control);
  control.list = async (prefix) => (forgets(prefix) ? [] : list(prefix));
  await sites.copied();
  const unaccounted = sites.watchUnaccounted();
  await sites.write(key, "older");
  await sites.write(neighbour, "moved");
  await sites.settled();
  sites.weather("A").rejected.add(rowOf(key));
  await sites.write(key, "never arrives");
  await world.eventually("it is quarantined", () => sites.ledger("A")?.counts().perror === 1, 10_000);
  const wrong: string[] = [];
  const move = await sites.move("+49");
  if (move.outcome !== "swapped" || move.held !== 1) wrong.push(`the move: ${JSON.stringify(move)}`);
  sites.crash();
  sites.disk.wipe("B/log-0");
  await sites.restart();
  const read = await ending(sites.read(key));
  if (!(read instanceof Error) || read.code !== "held") wrong.push(`shows ${String(read)}`);
  if (await sites.write(key, "newer")) wrong.push("a write over the lost version was acknowledged");
  if ((await sites.read(neighbour)) !== "moved") wrong.push("its neighbour is not served");
  return judge(sites, unaccounted, wrong);
}

it.each([1, 2, 3])("keys that a move carried over are held though the log is lost, seed %i", async (seed) => {
  const { result } = await simulateSeed({ seed, order: "random" }, (world) => diskLostAfterTheMove(world));
  // It differs until somebody reconciles it.
  expect(result).toEqual({ ...clean, differing: [rowOf(key)] });
});

it("twin: a control store that does not remember them lets the lost version be overwritten", async () => {
  const { result } = await simulateSeed({ seed: 1 }, (world) =>
    diskLostAfterTheMove(world, (prefix) => prefix.startsWith("held/")),
  );
  expect(result.wrong).toEqual(["shows older", "a write over the lost version was acknowledged"]);
});

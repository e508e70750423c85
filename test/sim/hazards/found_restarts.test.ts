/** Found by thinking about what a process does not know when it starts, and what its bounds leave out. */

import { expect, it } from "vitest";
import { db_switch } from "../../../actors/db_switch.ts";
import { cohortId } from "../../../actors/records.ts";
import { TwoSites } from "../../../app/simulate/two_sites.ts";
import { NanoError } from "../../../src/index.ts";
import { simulateSeed, type World } from "../../../src/simulation/index.ts";
import { ending, inEachOrder, isUp } from "./at_rest.ts";
import { boundless_ledger, hopeful_queuer } from "./found_twins.ts";
import { hazard, judge, rowOf } from "./hazard.ts";

const key = "+4917401";

hazard({
  number: "N10",
  title: "a queuer that starts while the breaker is open sends nothing",
  play: async (sites, world) => {
    await sites.copied();
    const unaccounted = sites.watchUnaccounted();
    sites.weather("A").down = true;
    await Promise.all(Array.from({ length: 10 }, (_, i) => sites.write(`${key}${i}`, "v")));
    const replay = () => sites.node.stateOf("A/0/db_replay") as { breaker: { state: string } };
    await world.eventually("the breaker is open", () => replay().breaker.state === "open", 5_000);
    sites.kill("A", "db_queuer");
    const admits = () => sites.node.stateOf(sites.name("A", "db_switch")) !== undefined;
    await world.eventually("it is down", () => !admits(), 1_000);
    await isUp(sites, world, sites.name("A", "db_switch"));
    await world.eventually("the breaker is open", () => replay().breaker.state === "open", 5_000);
    const queuer = sites.node.stateOf("A/0/db_queuer") as { readonly inFlight: number };
    let sends = 0;
    const unwatch = world.afterEachEvent(() => {
      sends = Math.max(sends, queuer.inFlight);
    });
    for (let i = 0; i < 10; i++) await sites.write(`${key}9${i}`, "v");
    await world.sleep(50);
    unwatch();
    const sent = sends > 0 ? [`the queuer has ${sends} sends under way to a remote that is down`] : [];
    sites.weather("A").down = false;
    return judge(sites, unaccounted, sent);
  },
  twin: { name: "a queuer that does not ask", replaced: { db_queuer: hopeful_queuer } },
});

const ledgerBytesMax = 2_000;

hazard({
  number: "N11",
  title: "a copy of rows that the remote rejects does not grow the ledger beyond its bound",
  options: { tuning: { ledgerBytesMax, rejectionsMax: 1_000 } },
  play: async (sites, world) => {
    const keys = Array.from({ length: 30 }, (_, i) => `${key}${10 + i}`);
    await Promise.all(keys.map((each) => sites.write(each, "v")));
    for (const each of keys) sites.weather("A").rejected.add(rowOf(each));
    const unaccounted = sites.watchUnaccounted();
    let most = 0;
    world.afterEachEvent(() => {
      most = Math.max(most, sites.ledger("A")?.bytes ?? 0);
    });
    const copied = sites.copied();
    await world.sleep(500);
    sites.weather("A").rejected.clear();
    await copied;
    const wrong = most > ledgerBytesMax ? [`the ledger took ${most} bytes of ${ledgerBytesMax}`] : [];
    if (most < ledgerBytesMax / 2) wrong.push("the ledger was never full");
    return judge(sites, unaccounted, wrong);
  },
  twin: { name: "a ledger that takes every suspect", replaced: { db_dirty_keys: boundless_ledger } },
});

/** The store answers a client's read when its process has died. */
async function readAcrossADeath(
  world: World,
  read: (sites: TwoSites) => Promise<string | null>,
): Promise<string[]> {
  const sites = await TwoSites.start(world);
  await sites.copied();
  await sites.write(key, "v");
  await sites.settled();
  sites.points.arm("A store get");
  const answer = ending(read(sites));
  await sites.reached("A store get");
  sites.kill("A", "db_store");
  sites.points.drop("A store get");
  const shown = await answer;
  return shown === "v" ? [] : [shown instanceof NanoError ? `refused: ${shown.code}` : `shows ${shown}`];
}

it("hazard N12: a read that is under way when its shard dies is answered by the shard's next life", async () => {
  expect(await inEachOrder((world) => readAcrossADeath(world, (sites) => sites.read(key)))).toEqual([]);
});

it("twin of hazard N12: a read that is asked once is refused, and that is seen", async () => {
  const once = async (sites: TwoSites): Promise<string | null> => {
    const shard = sites.node.system.ref(db_switch, sites.name("A", "db_switch"));
    const cohort = cohortId("device_platform", "+49");
    const [row] = await sites.alive(shard.call.get({ cohort, keys: [rowOf(key)] }));
    return row === undefined ? null : new TextDecoder().decode(row.value);
  };
  const { result } = await simulateSeed({ seed: 1 }, (world) => readAcrossADeath(world, once));
  expect(result).toEqual(["refused: crashed"]);
});

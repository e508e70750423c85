/** Writes that a drain can't see: between the admission check and the mark, or behind a db_switch that has died. */

import { expect, it } from "vitest";
import { rowKey } from "../../../actors/records.ts";
import { TwoSites, type WorldOptions } from "../../../app/simulate/two_sites.ts";
import { simulateSeed, type World } from "../../../src/simulation/index.ts";
import {
  appliesRow,
  atRest,
  decisionBecomes,
  decisions,
  ending,
  inEachOrder,
  isUp,
  within,
} from "./at_rest.ts";
import { unbarriered_switch, unfenced_late_store } from "./broken_actors.ts";
import { late_ledger, late_store } from "./late_messages.ts";

const key = "+491701";
const row = rowKey("device_platform", key);

/** 33: the write was let in before the block and is not marked yet when the drain counts. */
async function writeBehindTheCount(world: World, options: WorldOptions): Promise<string[]> {
  const replaced = { db_dirty_keys: late_ledger, ...options.replaced };
  const sites = await TwoSites.start(world, { ...options, replaced });
  await sites.write(key, "v1");
  await sites.copied();
  const unaccounted = sites.watchUnaccounted();
  sites.points.arm("control compareAndSet", decisionBecomes("blocking"));
  const move = ending(sites.move("+49"));
  await sites.points.reached("control compareAndSet");
  sites.points.arm("A way to ledger");
  const write = sites.write(key, "v2", 30_000);
  await sites.points.reached("A way to ledger");
  sites.points.release("control compareAndSet");
  await world.sleep(2_000);
  const findings = decisions(sites)
    .filter(({ state }) => state === "swapped")
    .map(({ prefix }) => `${prefix} swapped while a write was between its check and its mark`);
  sites.points.release("A way to ledger");
  await Promise.all([move, write]);
  return [...findings, ...(await atRest(sites, unaccounted))];
}

/** 53: the write's commit is still on its way when its db_switch has died and the next one counts nothing in flight. */
async function commitOfADeadSwitch(world: World, options: WorldOptions): Promise<string[]> {
  const replaced = { db_store: late_store, ...options.replaced };
  const sites = await TwoSites.start(world, { ...options, replaced });
  await sites.write(key, "v1");
  await sites.copied();
  const unaccounted = sites.watchUnaccounted();
  sites.points.arm("control compareAndSet", decisionBecomes("blocking"));
  const move = ending(sites.move("+49"));
  await sites.points.reached("control compareAndSet");
  sites.points.arm("A way to store", appliesRow(row));
  const write = sites.write(key, "v2", 30_000);
  await sites.points.reached("A way to store");
  sites.kill("A", "db_switch");
  await isUp(sites, world, sites.name("A", "db_switch"));
  sites.points.release("control compareAndSet");
  await move;
  const swapped = await within("the drain passed", () =>
    world.eventually("swapped", () => decisions(sites).some(({ state }) => state === "swapped"), 15_000),
  );
  sites.points.release("A way to store");
  await Promise.all([write, world.sleep(1_000)]);
  return [...swapped, ...(await atRest(sites, unaccounted))];
}

/** 53, without a move: the repair of the dead switch's mark sends what stands, and clears it, before the commit. */
async function commitBehindItsRepair(world: World, options: WorldOptions): Promise<string[]> {
  const replaced = { db_store: late_store, ...options.replaced };
  const sites = await TwoSites.start(world, { ...options, replaced });
  await sites.write(key, "v1");
  await sites.copied();
  const unaccounted = sites.watchUnaccounted();
  sites.points.arm("A way to store", appliesRow(row));
  const write = sites.write(key, "v2", 30_000);
  await sites.points.reached("A way to store");
  sites.kill("A", "db_switch");
  const repaired = await within("the dead switch's mark was repaired", () => sites.settled(15_000));
  sites.points.release("A way to store");
  await Promise.all([write, world.sleep(1_000)]);
  return [...repaired, ...(await atRest(sites, unaccounted))];
}

const cases = [
  {
    number: 33,
    title: "a drain does not pass while an admitted write has no mark yet",
    scenario: writeBehindTheCount,
    twin: { db_switch: unbarriered_switch },
  },
  {
    number: 53,
    title: "a commit of a db_switch that died alone does not land behind the drain of its successor",
    scenario: commitOfADeadSwitch,
    twin: { db_store: unfenced_late_store },
  },
  {
    number: 53,
    title: "a commit of a db_switch that died alone does not land behind the repair of its mark",
    scenario: commitBehindItsRepair,
    twin: { db_store: unfenced_late_store },
  },
] as const;

it("a ledger that outlives its db_switch is not taken for lost: nothing is scanned anew", async () => {
  const { result } = await simulateSeed({ seed: 33 }, async (world) => {
    const sites = await TwoSites.start(world);
    await sites.copied();
    sites.kill("A", "db_switch");
    await isUp(sites, world, sites.name("A", "db_switch"));
    return sites.ledger("A")?.ranges();
  });
  expect(result).toEqual([]);
});

for (const { number, title, scenario, twin } of cases) {
  it(`hazard ${number}: ${title}`, async () => {
    expect(await inEachOrder((world) => scenario(world, {}))).toEqual([]);
  });

  it(`twin of hazard ${number}: without the mechanism this is seen to fail: ${title}`, async () => {
    const { result } = await simulateSeed({ seed: 33 }, (world) => scenario(world, { replaced: twin }));
    expect(result).not.toEqual([]);
  });
}

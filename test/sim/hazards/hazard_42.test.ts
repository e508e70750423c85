/**
 * 42: a reversal before the reverse direction has drained. A prefix swaps, is written on the new side while the way
 * back is slow, and moves back; and a reversal that is aborted at each of its instructions and then made again.
 */

import { expect, it } from "vitest";
import { TwoSites } from "../../../app/simulate/two_sites.ts";
import { simulateSeed, type World } from "../../../src/simulation/index.ts";
import { decisionBecomes, ending } from "./at_rest.ts";
import { clean, type Findings, hazard, judge } from "./hazard.ts";
import { stepped_failover } from "./stepped_coordinator.ts";
import { boastful_ledger } from "./undrained_twins.ts";

const prefix = "+49";
const keys = Array.from({ length: 100 }, (_, i) => `+49172${i}`);
const coordinator = "A/db_failover";

/** On B, with a slow way back: a hundred acknowledged writes that A lacks. */
async function writtenOnTheNewSide(sites: TwoSites): Promise<void> {
  for (const key of keys.slice(0, 10)) await sites.write(key, "old");
  await sites.copied();
  await sites.move(prefix);
  sites.weather("B").delayMs = 100;
  await Promise.all(keys.map((key, i) => sites.write(key, writtenFor(i))));
}

/** Some of them are deleted. */
function writtenFor(i: number): string | null {
  return i % 10 === 3 ? null : "new";
}

async function shownOn(sites: TwoSites): Promise<string[]> {
  const wrong: string[] = [];
  for (const [i, key] of keys.entries()) {
    const shown = await sites.read(key);
    if (shown !== writtenFor(i)) wrong.push(`${key} shows ${shown}`);
  }
  return wrong;
}

hazard({
  number: 42,
  title: "a reversal right after a hundred writes on the new side loses none of them",
  play: async (sites) => {
    await writtenOnTheNewSide(sites);
    const unaccounted = sites.watchUnaccounted();
    sites.points.arm("control compareAndSet", decisionBecomes("blocking"));
    const back = sites.move(prefix, "B", "A");
    await sites.reached("control compareAndSet");
    // Compared already, and dirty when the block comes.
    for (const key of keys) await sites.write(key, "newer");
    await Promise.all(keys.map((key, i) => sites.write(key, writtenFor(i))));
    sites.points.release("control compareAndSet");
    const { outcome, reason } = await back;
    const wrong = outcome === "swapped" ? [] : [`it did not move back: ${reason}`];
    wrong.push(...(await shownOn(sites)));
    sites.weather("B").delayMs = 0;
    return judge(sites, unaccounted, wrong);
  },
  twin: { name: "a ledger that says it is empty", replaced: { db_dirty_keys: boastful_ledger } },
});

/** The reversal's n-th instruction is answered when it was aborted; then it is made again. */
async function abortedReversal(world: World, n: number): Promise<Findings | undefined> {
  const options = { replacedCoordinators: { db_failover: stepped_failover } };

  const sites = await TwoSites.start(world, options);
  await writtenOnTheNewSide(sites);
  const unaccounted = sites.watchUnaccounted();
  let count = 0;
  let ended = false;
  sites.points.arm(`${coordinator} instruction`, { matches: () => !ended && ++count === n });
  const back = ending(sites.move(prefix, "B", "A")).then(() => {
    ended = true;
  });
  const stands = (): boolean => sites.points.parked(`${coordinator} instruction`) > 0;
  await world.eventually("it stands or ends", () => stands() || ended, 30_000);
  if (!stands()) return undefined;
  await sites.sites.abortMove("test");
  await world.sleep(50);
  sites.points.release(`${coordinator} instruction`);
  await back;
  const wrong = await shownOn(sites);
  // It had swapped already, or it swaps now.
  const again = await ending(sites.move(prefix, "B", "A"));
  if ("outcome" in again && again.outcome !== "swapped") wrong.push(`it did not move back: ${again.reason}`);
  wrong.push(...(await shownOn(sites)));
  sites.weather("B").delayMs = 0;
  return judge(sites, unaccounted, wrong);
}

it("hazard 42: a reversal that is aborted at any of its instructions, and made again, loses nothing", async () => {
  const findings: Findings[] = [];
  let n = 1;
  for (; ; n++) {
    const { result } = await simulateSeed({ seed: 42 }, (world) => abortedReversal(world, n));
    if (result === undefined) break;
    findings.push(result);
  }
  expect(findings.filter((each) => JSON.stringify(each) !== JSON.stringify(clean))).toEqual([]);
  expect(n).toBeGreaterThan(60);
}, 300_000);

/**
 * 31, on a move's way: the actors of both sides and the coordinators are killed at events of a failover, one in each
 * move there or back, while clients write and delete keys of the prefix. One side serves soon after, and no more than
 * one ever does; whatever was acknowledged stands, and both sides are equal.
 */

import { describe, expect, it } from "vitest";
import { cohortId, type Site } from "../../../actors/records.ts";
import { shardProcesses } from "../../../actors/shard_options.ts";
import { TwoSites, type WorldOptions } from "../../../app/simulate/two_sites.ts";
import { simulateSeed, type World } from "../../../src/simulation/index.ts";
import { admits, ending, watchAuthority, within } from "./at_rest.ts";
import { unrebuilt_ledger } from "./broken_actors.ts";

const processes = ["link", ...shardProcesses];

const victims = [
  ...["A", "B"].flatMap((site) => [
    `${site}/db_dirty_log/0`,
    ...processes.map((each) => `${site}/0/${each}`),
  ]),
  "A/db_failover",
  "A/db_migration",
];

const cohort = cohortId("device_platform", "+49");

/** A move has about 300 events; each victim begins elsewhere, so that together they meet all of them. */
const step = 23;

/** A shard's supervisor gives up after 20 restarts in 10 s. */
const pauseMs = 1_500;

/** For the successor of whoever died to start and pass a few barriers. */
const soonMs = 8_000;

interface Outcome {
  readonly findings: readonly string[];
  readonly kills: number;
}

async function killInMoves(world: World, options: WorldOptions, victim: string): Promise<Outcome> {
  const sites = await TwoSites.start(world, options);
  for (let i = 0; i < 10; i++) await sites.write(`+49170${i}`, `v${i}`);
  await sites.copied();
  const unaccounted = sites.watchUnaccounted();
  const authority = watchAuthority(sites, world, [cohort]);
  for (let kills = 0, n = victims.indexOf(victim) % step; ; kills++, n += step) {
    const killed = await killInMove(sites, world, victim, n);
    const findings = await within("one side serves", () =>
      world.eventually("served", () => served(sites).length === 1, soonMs),
    );
    findings.push(...(await within("all is repaired", () => sites.settled(soonMs))));
    for (const key of unaccounted) findings.push(`unaccounted: ${key}`);
    for (const key of [...sites.lost(), ...sites.differing()]) findings.push(`lost or differs: ${key}`);
    findings.push(...authority);
    if (findings.length > 0 || !killed) return { findings, kills };
    await world.sleep(pauseMs);
  }
}

/** One move, with the kill after `n` events of it. False if it was over before. */
async function killInMove(sites: TwoSites, world: World, victim: string, n: number): Promise<boolean> {
  const [from = "A"] = served(sites);
  let left = n;
  let ended: "killed" | "moved" | undefined;
  const unwatch = world.afterEachEvent(() => {
    if (left-- !== 0 || ended !== undefined) return;
    ended = "killed";
    sites.node.kill(victim);
  });
  const move = ending(sites.move("+49", from, from === "A" ? "B" : "A")).then(() => {
    ended ??= "moved";
  });
  const write = async (): Promise<void> => {
    for (let i = 0; ended === undefined; i++) {
      await sites.write("+491798", `${n}.${i}`);
      await sites.write("+491799", i % 2 === 0 ? `${n}.${i}` : null);
      await world.sleep(2);
    }
  };
  await Promise.all([move, write()]);
  unwatch();
  return ended === "killed";
}

function served(sites: TwoSites): Site[] {
  return (["A", "B"] as const).filter((site) => admits(sites, site, cohort));
}

describe("hazard 31: in moves there and back", () => {
  it.each(victims)("the death of %s loses nothing", async (victim) => {
    const { result } = await simulateSeed({ seed: 31, order: "random" }, (world) =>
      killInMoves(world, {}, victim),
    );
    expect(result.findings).toEqual([]);
    expect(result.kills).toBeGreaterThan(5);
  });
});

describe("twin of hazard 31: in moves there and back", () => {
  it.each(["A/0/db_dirty_keys", "A/0/db_queuer", "A/0/db_store"])(
    "nothing rebuilt from the marks: the death of %s is seen",
    async (victim) => {
      const replaced = { db_dirty_keys: unrebuilt_ledger };
      const { result } = await simulateSeed({ seed: 31, order: "random" }, (world) =>
        killInMoves(world, { replaced }, victim),
      );
      expect(result.findings).not.toEqual([]);
    },
  );
});

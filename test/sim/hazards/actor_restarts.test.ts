/**
 * 31: an actor's restart loses its mailbox and everything it had in hand. Each actor of a shard is killed at each event
 * of a write's way, from the admission to the last confirmation, of a repair's, of a copy's, and of the way into
 * db_perror, while others write. Whatever was acknowledged stands, nothing is ever unaccounted for, and both sides are
 * equal soon.
 */

import { describe, expect, it } from "vitest";
import { db_dirty_keys } from "../../../actors/db_dirty_keys.ts";
import { rowKey } from "../../../actors/records.ts";
import { TwoSites, type WorldOptions } from "../../../app/simulate/two_sites.ts";
import { simulateSeed, type World } from "../../../src/simulation/index.ts";
import { ending, within } from "./at_rest.ts";
import { unrebuilt_ledger } from "./broken_actors.ts";
import { rowOf } from "./hazard.ts";

const victims = [
  "A/db_dirty_log/0",
  "A/0/link",
  "A/0/db_store",
  "A/0/db_dirty_keys",
  "A/0/db_perror",
  "A/0/db_replay",
  "A/0/db_queuer",
  "A/0/db_compare",
  "A/0/db_crawler",
  "A/0/db_switch",
  "B/0/db_store",
  "device_platform writers",
] as const;

/** Those whose end restarts something that rests on the marks. */
const restarted = victims.slice(2, -2);

/**
 * `restart`: db_switch died when a row was committed and not sent; as it restarts, it dies again or another does.
 * `copy`: a range over rows of which the peer lacks some. `quarantine`: a key that the peer rejects for good.
 */
const ways = ["write", "repair", "restart", "copy", "quarantine"] as const;
type Way = (typeof ways)[number];

/** A way that took fewer events was not played. */
const killsMin: Readonly<Record<Way, number>> = {
  write: 30,
  repair: 30,
  restart: 6,
  copy: 30,
  quarantine: 30,
};

/** Keys that are written beside each way. */
const besides = [1, 2, 3].map((i) => `+4918${i}`);

/** Rows that a copy has to bring. */
const copied = 5;

/** A shard's supervisor gives up after 20 restarts in 10 s: two of them each. */
const pauseMs = 1_200;

interface Outcome {
  readonly findings: readonly string[];
  /** Events at which the victim died, one way for each. */
  readonly kills: number;
}

async function killAtEachEvent(
  world: World,
  options: WorldOptions,
  victim: string,
  way: Way,
): Promise<Outcome> {
  const sites = await TwoSites.start(world, options);
  await sites.copied();
  const unaccounted = sites.watchUnaccounted();
  for (let n = 0; ; n++) {
    const killed = await killAt(sites, world, { victim, way, n });
    const findings = await within(`all is repaired after a kill at event ${n}`, () => sites.settled(5_000));
    if (way === "quarantine") findings.push(...(await heal(sites, world, keyOf(n))));
    for (const key of unaccounted) findings.push(`unaccounted: ${key}`);
    for (const key of [...sites.lost(), ...sites.differing()]) findings.push(`lost or differs: ${key}`);
    if (findings.length > 0 || !killed) return { findings, kills: n };
    await world.sleep(pauseMs);
  }
}

/** One way of one key, with the kill after `n` events of it. False if the way was over before. */
async function killAt(
  sites: TwoSites,
  world: World,
  { victim, way, n }: { readonly victim: string; readonly way: Way; readonly n: number },
): Promise<boolean> {
  const key = keyOf(n);
  if (way === "repair") await failedForward(sites, world, key);
  if (way === "copy") await suspectAll(sites);
  if (way === "quarantine") sites.weather("A").rejected.add(rowOf(key));
  let left = n;
  let killed = false;
  let begun = way !== "restart";
  const unwatch = world.afterEachEvent(() => {
    if (!begun && sites.shown("A", key) === `${n}` && sites.shown("B", key) === null) {
      begun = true;
      sites.kill("A", "db_switch");
    }
    if (!begun || left-- !== 0) return;
    killed = true;
    sites.node.kill(victim);
  });
  const keys = [...besides];
  if (way !== "repair") keys.push(key);
  const writes = keys.map((each) =>
    way === "quarantine" ? written(sites, world, each, `${n}`) : sites.write(each, `${n}`),
  );
  await Promise.race(writes);
  await world.eventually("the way is over", () => killed || sites.dirty() === 0, 10_000);
  unwatch();
  await Promise.all(writes);
  return killed;
}

/** A client that tries again until it is answered: the key has to get into db_perror. */
async function written(sites: TwoSites, world: World, key: string, value: string): Promise<void> {
  while (!(await sites.write(key, value))) await world.sleep(20);
}

function keyOf(n: number): string {
  return `+4917${1_000 + n}`;
}

/** The peer lost what others wrote, and a range over everything stands for it. */
async function suspectAll(sites: TwoSites): Promise<void> {
  const ledger = sites.node.system.ref(db_dirty_keys, sites.name("A", "db_dirty_keys"));
  await ledger.call.openRange({ cohort: "*", from: "", to: "", reason: "copy" });
  for (let i = 0; i < copied; i++) sites.files("B").rows.delete(rowOf(keyOf(i)));
}

/** What is wrong with db_perror's key; then the peer takes it. */
async function heal(sites: TwoSites, world: World, key: string): Promise<string[]> {
  const wrong: string[] = [];
  const row = rowOf(key);
  if (sites.ledger("A")?.owner(row) !== "perror") wrong.push(`${key} is not in db_perror`);
  let entries = await ending(sites.sites.perror("A"));
  while (!Array.isArray(entries)) {
    await world.sleep(20);
    entries = await ending(sites.sites.perror("A"));
  }
  if (!entries.some((entry) => entry.key === row)) wrong.push(`${key} is not listed`);
  sites.weather("A").rejected.clear();
  await written(sites, world, key, "healed");
  const healed = (): boolean =>
    sites.ledger("A")?.version(row) === undefined && sites.shown("B", key) === "healed";
  return [...wrong, ...(await within(`${key} is healed`, () => world.eventually("healed", healed, 5_000)))];
}

/** The key's first send has failed, and a repair may begin. */
async function failedForward(sites: TwoSites, world: World, key: string): Promise<void> {
  sites.weather("A").down = true;
  await sites.write(key, "v");
  const row = rowKey("device_platform", key);
  await world.eventually("replay owns it", () => sites.ledger("A")?.owner(row) === "replay", 5_000);
  sites.weather("A").down = false;
}

describe.each(ways)("hazard 31: at each event of a %s", (way) => {
  it.each(victims)("the death of %s loses nothing", { timeout: 60_000 }, async (victim) => {
    const { result } = await simulateSeed({ seed: 31, order: "random" }, (world) =>
      killAtEachEvent(world, {}, victim, way),
    );
    expect(result.findings).toEqual([]);
    expect(result.kills).toBeGreaterThan(killsMin[way]);
  });
});

describe.each(ways)("twin of hazard 31: at each event of a %s", (way) => {
  it.each(restarted)("nothing rebuilt from the marks: the death of %s is seen", async (victim) => {
    const replaced = { db_dirty_keys: unrebuilt_ledger };
    const { result } = await simulateSeed({ seed: 31, order: "random" }, (world) =>
      killAtEachEvent(world, { replaced }, victim, way),
    );
    expect(result.findings).not.toEqual([]);
  });
});

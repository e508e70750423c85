/**
 * A prefix swaps while keys of it are in db_perror: the new side lacks their newest value, so it neither shows nor
 * takes them until somebody reconciles them, and their neighbours never notice (39).
 */

import { expect, it } from "vitest";
import { db_switch } from "../../../actors/db_switch.ts";
import { type RowKey, rowKey } from "../../../actors/records.ts";
import { TwoSites, type WorldOptions } from "../../../app/simulate/two_sites.ts";
import { NanoError } from "../../../src/index.ts";
import { simulateSeed, type World } from "../../../src/simulation/index.ts";
import { atRest, decisionBecomes, ending, inEachOrder, isUp } from "./at_rest.ts";
import { unholding_ledger } from "./broken_actors.ts";

const poison = "+491701";
const neighbour = "+491702";
const row: RowKey = rowKey("device_platform", poison);

/** The peer has v1 of the poison key and rejects v2, which is in db_perror now. */
async function withPoison(world: World, options: WorldOptions): Promise<TwoSites> {
  const sites = await TwoSites.start(world, options);
  for (const key of [poison, neighbour]) await sites.write(key, "v1");
  await sites.copied();
  sites.weather("A").rejected.add(row);
  await sites.write(poison, "v2");
  await world.eventually("it is quarantined", () => sites.ledger("A")?.owner(row) === "perror", 10_000);
  return sites;
}

/** What a client of the poison key gets: the code of the refusal, or the value. */
async function readPoison(sites: TwoSites): Promise<string | null> {
  const answer = await ending(sites.read(poison));
  return answer instanceof NanoError ? answer.code : answer;
}

async function swapWithPoison(world: World, options: WorldOptions): Promise<string[]> {
  const sites = await withPoison(world, options);
  const unaccounted = sites.watchUnaccounted();
  const findings: string[] = [];
  const expectPoison = async (when: string): Promise<void> => {
    const read = await readPoison(sites);
    if (read !== "held") findings.push(`${when} the poison key is not refused but reads ${read}`);
    if (await sites.write(poison, "v3")) findings.push(`${when} a write of the poison key is acknowledged`);
    if (!(await sites.write(neighbour, when))) findings.push(`${when} its neighbour is refused`);
    if ((await sites.read(neighbour)) !== when)
      findings.push(`${when} its neighbour does not show its value`);
  };
  const move = await ending(sites.move("+49"));
  if (!("held" in move) || move.held !== 1) findings.push("the swap did not carry the key over");
  await expectPoison("after the swap");
  sites.kill("B", "db_switch");
  await isUp(sites, world, sites.name("B", "db_switch"));
  await expectPoison("after a restart of db_switch");
  await sites.settled();
  sites.crash();
  await sites.restart();
  await expectPoison("after a restart of the node");
  sites.weather("A").rejected.clear();
  await ending(sites.move("+49", "B", "A"));
  if ((await readPoison(sites)) !== "v2")
    findings.push("the old side does not show what was acknowledged there");
  await sites.write(poison, "v4");
  return [...findings, ...(await atRest(sites, unaccounted))];
}

it("hazard 39: the new side neither shows nor takes a key in db_perror, after restarts too", async () => {
  expect(await inEachOrder((world) => swapWithPoison(world, {}))).toEqual([]);
});

it("twin of hazard 39: a ledger that carries nothing over is caught", async () => {
  const replaced = { db_dirty_keys: unholding_ledger };
  const { result } = await simulateSeed({ seed: 39 }, (world) => swapWithPoison(world, { replaced }));
  expect(result).toContain("after the swap the poison key is not refused but reads v1");
});

it("a scan over a held key is refused, one that begins behind it or ends before it is not", async () => {
  const { result } = await simulateSeed({ seed: 39 }, async (world) => {
    const sites = await withPoison(world, {});
    await ending(sites.move("+49"));
    const admission = sites.node.system.ref(db_switch, sites.name("B", "db_switch"));
    const scan = async (from: RowKey, to: RowKey): Promise<string> => {
      const request = { cohort: "device_platform/+49", range: { from, to }, limit: 10 };
      const answer = await ending(admission.call.scan(request));
      return answer instanceof NanoError ? answer.code : answer.map(({ key }) => key).join();
    };
    const behind = `${row}\u0000`;
    return {
      from: await scan(row, behind),
      over: await scan("", ""),
      before: await scan("", row),
      behind: await scan(behind, ""),
    };
  });
  expect(result).toEqual({
    from: "held",
    over: "held",
    before: "",
    behind: rowKey("device_platform", neighbour),
  });
});

/** The coordinator's death leaves a hold behind; the key is healed then, and the prefix moves to that side. */
async function staleHold(world: World, end: "aborted" | "swapped"): Promise<string[]> {
  const sites = await withPoison(world, {});
  const { points } = sites;
  if (end === "aborted") {
    points.arm("control wrote", decisionBecomes("aborted"));
    // The first coordinator dies with the holds carried over, its successor when it has ended the decision.
    points.arm("control compareAndSet", decisionBecomes("swapped"));
    const move = ending(sites.move("+49"));
    await dieAt(sites, "control compareAndSet");
    await move;
    await dieAt(sites, "control wrote");
  } else {
    await ending(sites.move("+49"));
    points.arm("control wrote", decisionBecomes("swapped"));
    const move = ending(sites.move("+49", "B", "A"));
    await dieAt(sites, "control wrote");
    await move;
  }
  await isUp(sites, world, "A/db_failover");
  sites.weather("A").rejected.clear();
  await sites.write(poison, "v3", 10_000);
  await world.eventually("the key is healed", () => sites.shown("B", poison) === "v3", 10_000);
  await sites.settled();
  await ending(sites.move("+49"));
  const read = await readPoison(sites);
  return read === "v3" ? [] : [`the healed key reads ${read}`];
}

async function dieAt(sites: TwoSites, point: string): Promise<void> {
  await sites.points.reached(point);
  sites.node.kill("A/db_failover");
  sites.points.drop(point);
}

it.each(["aborted", "swapped"] as const)(
  "a hold that a coordinator left behind, its decision %s when it died, does not outlive the healing of its key",
  async (at) => {
    expect(await inEachOrder((world) => staleHold(world, at))).toEqual([]);
  },
);

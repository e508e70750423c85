/** 50: the queuer dies with a backlog. Each of its keys is repaired once: not lost with the queue, not sent twice. */

import { expect, it } from "vitest";
import type { Row } from "../../../actors/records.ts";
import { rowKey } from "../../../actors/records.ts";
import { TwoSites, type WorldOptions } from "../../../app/simulate/two_sites.ts";
import { simulateSeed, type World } from "../../../src/simulation/index.ts";
import { atRest, inEachOrder } from "./at_rest.ts";
import { ownerless_ledger, rebuilding_queuer, unrebuilt_ledger } from "./broken_actors.ts";

const backlog = 100;
const rowOf = (i: number) => rowKey("device_platform", `+4917${1000 + i}`);

async function dieWithABacklog(world: World, options: WorldOptions): Promise<string[]> {
  // One send at a time, for one key: all others wait behind it.
  const tuning = { sendsInFlightMax: 1, sendBatchMax: 16, peerTimeoutMs: 60_000 };
  const sites = await TwoSites.start(world, { ...options, tuning });
  await sites.copied();
  const unaccounted = sites.watchUnaccounted();
  sites.points.arm("A apply request");
  await sites.write("+491700", "first");
  await sites.points.reached("A apply request");
  await Promise.all(Array.from({ length: backlog }, (_, i) => sites.write(`+4917${1000 + i}`, `v${i}`)));
  const queuer = sites.node.stateOf("A/0/db_queuer") as { readonly waiting: ReadonlySet<string> };
  await world.eventually("the backlog waits", () => queuer.waiting.size === backlog, 1_000);
  const sends = new Map<string, number>();
  sites.network.onApply = (site, rows: readonly Row[], ended) => {
    if (site !== "A" || ended) return;
    for (const { key } of rows) sends.set(key, (sends.get(key) ?? 0) + 1);
  };
  sites.kill("A", "db_queuer");
  const findings = await atRest(sites, unaccounted, 5_000);
  sites.points.drop("A apply request");
  for (let i = 0; i < backlog; i++) {
    const times = sends.get(rowOf(i)) ?? 0;
    if (times !== 1) findings.push(`${rowOf(i)} was sent ${times} times`);
  }
  return findings;
}

it("hazard 50: each key of a dead queuer's backlog is repaired, and once", async () => {
  expect(await inEachOrder((world) => dieWithABacklog(world, {}))).toEqual([]);
});

it("twin of hazard 50: marks that keep a dead owner are never repaired, and that is seen", async () => {
  const replaced = { db_dirty_keys: unrebuilt_ledger };
  const { result } = await simulateSeed({ seed: 50 }, (world) => dieWithABacklog(world, { replaced }));
  expect(result).toContain(`${rowOf(0)} was sent 0 times`);
});

it("twin of hazard 50: a queue rebuilt from marks that replay owns sends them twice, and that is seen", async () => {
  const replaced = { db_dirty_keys: ownerless_ledger, db_queuer: rebuilding_queuer };
  const { result } = await simulateSeed({ seed: 50 }, (world) => dieWithABacklog(world, { replaced }));
  expect(result).toContainEqual(expect.stringMatching(/ was sent [2-9] times$/));
});

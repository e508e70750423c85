/**
 * The remote slows, so sends time out, so they are sent again, so the remote has more to do for nothing: it stays slow
 * when its reason has gone. Here the remote works off one apply after the other, those included that nobody waits for
 * any more; for a second it has a fifth of its capacity.
 */

import { devicePlatform } from "../../../actors/backends/device_platform.ts";
import { db_switch } from "../../../actors/db_switch.ts";
import { cohortId } from "../../../actors/records.ts";
import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { hazard, judge, rowOf } from "./hazard.ts";
import { budgetless_replay } from "./pace_twins.ts";

/** What the remote takes for a row, ms: 10,000 rows/s. */
const rowMs = 0.1;
const slowRowMs = 5 * rowMs;
const slowForMs = 1_000;

const writesPerMs = 3;
const trafficMs = { before: 300, after: 300 };

/** Within this after the traffic everything has arrived: 0.4 s with the budget (measured), without it never. */
const drainMsMax = 3_000;

/** Local writes do not hear of the remote. */
const slowerMax = 1.5;

/** The remote's one worker; `rowMs` may be changed. */
class Capacity {
  rowMs = rowMs;
  #ended = false;

  constructor(sites: TwoSites, world: World) {
    const waiting: number[] = [];
    const isApply = (details: unknown): boolean =>
      waiting.push((details as { readonly rows: readonly unknown[] }).rows.length) > 0;
    sites.points.arm("B store apply", { count: Number.POSITIVE_INFINITY, matches: isApply });
    const work = async (): Promise<void> => {
      while (!this.#ended) {
        const rows = waiting.shift();
        await world.sleep(rows === undefined ? 0.5 : rows * this.rowMs);
        if (rows !== undefined) sites.points.release("B store apply", 1);
      }
      sites.points.disarm("B store apply");
      sites.points.release("B store apply");
    };
    void work();
  }

  end(): void {
    this.#ended = true;
  }
}

/** Writes for so long; the latency of each batch, ms. */
async function traffic(sites: TwoSites, world: World, forMs: number): Promise<number[]> {
  const shard = sites.node.system.ref(db_switch, sites.name("A", "db_switch"));
  const latencies: Promise<number>[] = [];
  for (let ms = 0; ms < forMs; ms++) {
    const rows = Array.from({ length: writesPerMs }, () => {
      const key = rowOf(`+4917${1_000 + Math.floor(world.chance("key") * 5_000)}`);
      return { key, value: new TextEncoder().encode(`${world.nowMs}`), expiresAtMs: 0 };
    });
    const fromMs = world.nowMs;
    const written = shard.call.write({ cohort: cohortId(devicePlatform.name, "+49"), rows });
    latencies.push(written.then(() => world.nowMs - fromMs));
    await world.sleep(1);
  }
  return Promise.all(latencies);
}

function p99(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length * 0.99)] ?? 0;
}

hazard({
  number: 29,
  title:
    "a remote that had a fifth of its capacity for a second is up to date soon after, and no local write waited",
  options: {
    tuning: {
      peerTimeoutMs: 50,
      sendsInFlightMax: 4,
      repairsPerSecond: 4_000,
      backoffMinMs: 20,
      backoffMaxMs: 50,
      breakerFailures: 3,
    },
  },
  seeds: [1],
  play: async (sites: TwoSites, world: World) => {
    await sites.copied();
    const capacity = new Capacity(sites, world);
    const calm = p99(await traffic(sites, world, trafficMs.before));
    capacity.rowMs = slowRowMs;
    const slow = p99(await traffic(sites, world, slowForMs));
    capacity.rowMs = rowMs;
    const dirtyWhenSlow = sites.dirty();
    await traffic(sites, world, trafficMs.after);
    const wrong: string[] = [];
    await sites
      .settled(drainMsMax)
      .catch(() => wrong.push(`after ${drainMsMax} ms ${sites.dirty()} keys are dirty`));
    if (dirtyWhenSlow === 0) wrong.push("the remote was not too slow");
    if (slow > calm * slowerMax) wrong.push(`p99 of local writes was ${slow} ms, ${calm} ms before`);
    capacity.end();
    return judge(sites, [], wrong);
  },
  twin: { name: "a replay without breaker and rate", replaced: { db_replay: budgetless_replay } },
});

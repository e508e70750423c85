/** One key in 10,000 is rejected by the remote: it blocks what is repaired beside it, or eats the budget of repairs. */

import { db_dirty_keys } from "../../../actors/db_dirty_keys.ts";
import { type Row, type RowKey, versionZero } from "../../../actors/records.ts";
import { encodeRow } from "../../../actors/stores/row_codec.ts";
import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import { SimulationError, type World } from "../../../src/simulation/index.ts";
import { hazard, judge, rowOf } from "./hazard.ts";
import { stubborn_replay } from "./repair_twins.ts";

const keys = 10_000;
const poisonAt = 4_321;
const slowerMax = 1.2;

/** Rows that only A has, each with a mark of replay; then how long it takes until so many marks are left, ms. */
async function repairAll(sites: TwoSites, world: World, block: number, left: number): Promise<number> {
  const ledger = sites.node.system.ref(db_dirty_keys, sites.name("A", "db_dirty_keys"));
  const suspects: RowKey[] = [];
  for (let i = 0; i < keys; i++) {
    const key = rowOf(`+4917${block}${10_000 + i}`);
    const row: Row = { key, version: versionZero, value: new Uint8Array([i & 255]), expiresAtMs: 0 };
    sites.files("A").rows.set(key, encodeRow(row));
    suspects.push(key);
  }
  const fromMs = world.nowMs;
  await ledger.call.suspect({ keys: suspects, owner: "replay" });
  const repaired = (): boolean => (sites.ledger("A")?.size ?? keys) <= left;
  await world.eventually("the others are repaired", repaired, 20_000).catch((error) => {
    if (!(error instanceof SimulationError)) throw error;
  });
  return world.nowMs - fromMs;
}

hazard({
  number: 27,
  title: "one poison key in 10,000 makes the repair of the others at most 1.2 times as long",
  options: { tuning: { repairsPerSecond: 5_000, ledgerBytesMax: 64 * 1024 * 1024 } },
  seeds: [1],
  play: async (sites: TwoSites, world: World) => {
    await sites.copied();
    const cleanMs = await repairAll(sites, world, 1, 0);
    const poison = rowOf(`+49172${10_000 + poisonAt}`);
    sites.weather("A").rejected.add(poison);
    const poisonedMs = await repairAll(sites, world, 2, 1);
    const wrong: string[] = [];
    if (poisonedMs > cleanMs * slowerMax) wrong.push(`${poisonedMs} ms instead of ${cleanMs} ms`);
    await world
      .eventually("it is quarantined", () => sites.ledger("A")?.owner(poison) === "perror", 10_000)
      .catch(() => wrong.push("the poison key is not in db_perror"));
    sites.weather("A").rejected.clear();
    await sites.write(`+49172${10_000 + poisonAt}`, "valid");
    await world.sleep(100);
    return judge(sites, [], wrong);
  },
  twin: {
    name: "a replay that sends a batch until none of it is rejected",
    replaced: { db_replay: stubborn_replay },
  },
});

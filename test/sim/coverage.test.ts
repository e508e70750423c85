/** What was compared, when, and what changed since: through passes, restarts and a move. */

import { expect, it } from "vitest";
import type { DecisionRecord } from "../../actors/control_store.ts";
import type { Coverage, SitesCoverage } from "../../actors/coverage.ts";
import { changeCoverage } from "../../actors/coverage.ts";
import { db_dirty_keys } from "../../actors/db_dirty_keys.ts";
import { type RowKey, rowKey } from "../../actors/records.ts";
import { encodeRow } from "../../actors/stores/row_codec.ts";
import { TwoSites, type WorldOptions } from "../../app/simulate/two_sites.ts";
import { simulateSeed, type World } from "../../src/simulation/index.ts";
import { decisionBecomes } from "./hazards/at_rest.ts";

const keys = ["+49171", "+49172", "+33171"];

async function played(
  play: (sites: TwoSites, world: World) => Promise<void>,
  options: WorldOptions = {},
): Promise<void> {
  await simulateSeed({ seed: 1 }, async (world) => play(await TwoSites.start(world, options), world));
}

function coverage(sites: TwoSites): Promise<SitesCoverage> {
  return sites.alive(sites.sites.coverage());
}

async function compare(sites: TwoSites, changedOnly: boolean) {
  const passes = await sites.alive(sites.sites.compare({ changedOnly }));
  const sum = { rows: 0, mismatches: 0 };
  for (const { rows, mismatches } of passes) {
    sum.rows += rows;
    sum.mismatches += mismatches;
  }
  return sum;
}

function rowOf(key: string): RowKey {
  return rowKey("device_platform", key);
}

function corrupt(sites: TwoSites, key: string): void {
  const row = sites.row("B", rowOf(key));
  if (row === undefined) throw new Error("no such row");
  sites.files("B").rows.set(row.key, encodeRow({ ...row, value: Uint8Array.of(1) }));
}

function of(all: SitesCoverage, cohort: string): Coverage | undefined {
  return all.cohorts.find((each) => each.cohort === cohort);
}

const unknown = { compared: 0, share: 0, rows: null, changed: null, fullAgeMs: null, againAgeMs: null };

it("before the first comparison everything is unknown, and no count of anything is 0", async () => {
  await played(async (sites) => {
    for (const key of keys) await sites.write(key, "v");
    const all = await coverage(sites);
    expect(all).toMatchObject({ ...unknown, forgotten: 0, unaccountedFoundTotal: null });
    // Five backends, two prefixes and the rest of each.
    expect(all.parts).toBe(15);
    expect(of(all, "device_platform/+49")).toMatchObject({ ...unknown, parts: 1, site: "A" });
  });
});

it("after the copy each cohort was compared, with its rows and its age; what is written since is counted", async () => {
  await played(async (sites, world) => {
    for (const key of keys) await sites.write(key, "v");
    await sites.copied();
    await world.sleep(3_000);
    await sites.write(keys[0] ?? "", "w");
    await sites.write("+49173", "new");
    await sites.settled();
    const all = await coverage(sites);
    expect(all).toMatchObject({ parts: 15, compared: 15, forgotten: 0, share: 1, rows: 3, changed: 2 });
    expect(all.unaccountedFoundTotal).toBe(0);
    expect(all.fullAgeMs).toBeGreaterThan(3_000);
    expect(of(all, "device_platform/+49")).toMatchObject({ rows: 2, changed: 2 });
    expect(of(all, "device_platform/+33")).toMatchObject({ rows: 1, changed: 0 });
    expect(of(all, "groups/+49")).toMatchObject({ rows: 0, changed: 0 });
  });
});

it("a comparison after the first one reads what changed, and nothing else", async () => {
  await played(async (sites, world) => {
    for (const key of keys) await sites.write(key, "v");
    await sites.copied();
    await sites.write(keys[0] ?? "", "w");
    await sites.settled();
    await world.sleep(1_000);
    expect(await compare(sites, true)).toEqual({ rows: 1, mismatches: 0 });
    const all = await coverage(sites);
    expect(all).toMatchObject({ rows: 3, changed: 0, againRows: 1 });
    expect(all.fullAgeMs).toBeGreaterThan(1_000);
    expect(all.againAgeMs).toBeLessThan(100);
    expect(await compare(sites, true)).toEqual({ rows: 0, mismatches: 0 });
    expect(await compare(sites, false)).toEqual({ rows: 3, mismatches: 0 });
  });
});

it("a key that a mark stood for while it was compared is compared again after its repair", async () => {
  await played(async (sites) => {
    await sites.copied();
    sites.weather("A").down = true;
    await sites.write(keys[0] ?? "", "v");
    expect(await compare(sites, true).catch(() => "the peer is away")).toBe("the peer is away");
    sites.weather("A").down = false;
    await sites.settled();
    corrupt(sites, keys[0] ?? "");
    expect(await compare(sites, true)).toEqual({ rows: 1, mismatches: 1 });
    expect((await coverage(sites)).unaccountedFoundTotal).toBe(1);
  });
});

it("after a restart the comparison is remembered, and that nobody knows what changed since", async () => {
  await played(async (sites, world) => {
    for (const key of keys) await sites.write(key, "v");
    await sites.copied();
    corrupt(sites, keys[0] ?? "");
    await compare(sites, false);
    sites.crash();
    await sites.restart();
    await world.sleep(500);
    const all = await coverage(sites);
    expect(all).toMatchObject({ parts: 15, compared: 0, forgotten: 15, share: 0, rows: null, changed: null });
    expect(all.unaccountedFoundTotal).toBe(1);
    // What changed only is everything then.
    expect((await compare(sites, true)).rows).toBe(3);
    expect(await coverage(sites)).toMatchObject({ compared: 15, forgotten: 0, rows: 3, changed: 0 });
  });
});

it("a death of the ledger alone forgets its own shard's changes only", async () => {
  await played(
    async (sites, world) => {
      await sites.copied();
      sites.kill("A", "db_dirty_keys", 1);
      await world.sleep(500);
      expect(await coverage(sites)).toMatchObject({ parts: 30, compared: 15, forgotten: 15, share: 0.5 });
    },
    { shards: 2 },
  );
});

it("a death of db_switch or of db_compare alone forgets nothing", async () => {
  await played(async (sites, world) => {
    await sites.copied();
    await sites.write(keys[0] ?? "", "v");
    await sites.settled();
    for (const process of ["db_switch", "db_compare"] as const) {
      sites.kill("A", process);
      await world.sleep(500);
      expect(await coverage(sites)).toMatchObject({ compared: 15, forgotten: 0, changed: 1 });
    }
    expect(await compare(sites, true)).toEqual({ rows: 1, mismatches: 0 });
  });
});

it("a range that an operator opens is in doubt from then on, whatever was compared before", async () => {
  await played(async (sites) => {
    await sites.write(keys[0] ?? "", "v");
    await sites.copied();
    const ledger = sites.node.system.ref(db_dirty_keys, sites.name("A", "db_dirty_keys"));
    sites.weather("A").down = true;
    const cohort = "device_platform/+49";
    await sites.alive(ledger.call.openRange({ cohort, from: "device", to: "devicf", reason: "operator" }));
    expect(await coverage(sites)).toMatchObject({ compared: 14, forgotten: 1 });
    sites.weather("A").down = false;
    await sites.settled();
    expect(await coverage(sites)).toMatchObject({ compared: 14, forgotten: 1 });
    expect((await compare(sites, true)).rows).toBe(1);
  });
});

it("a repaired range is compared again as a whole", async () => {
  await played(
    async (sites) => {
      await sites.copied();
      sites.weather("A").down = true;
      for (let i = 0; i < 40; i++) await sites.write(`+4917${1_000 + i}`, "v");
      sites.weather("A").down = false;
      await sites.settled();
      const all = await coverage(sites);
      expect(of(all, "device_platform/+49")).toMatchObject({ compared: 0, forgotten: 1 });
      expect(of(all, "device_platform/+33")).toMatchObject({ compared: 1, changed: 0 });
      expect((await compare(sites, true)).rows).toBe(40);
      expect(await coverage(sites)).toMatchObject({ compared: 15, rows: 40, changed: 0 });
    },
    { tuning: { ledgerBytesMax: 2_000 } },
  );
});

it("a move says what its swap rested on, and the new side goes on from there", async () => {
  await played(async (sites, world) => {
    for (const key of keys) await sites.write(key, "v");
    await sites.copied();
    await world.sleep(5_000);
    const report = await sites.move("+49");
    expect(report.outcome).toBe("swapped");
    // Five cohorts; every row of them was compared while the move was announced, however old the comparison before it.
    expect(report.compared).toMatchObject({ parts: 5, compared: 5, rows: 2, changed: 0, againRows: 0 });
    expect(report.compared?.fullAgeMs).toBeLessThan(1_000);
    const [decision] = sites.control.listNow("decision/").map(({ value }) => value as DecisionRecord);
    expect(decision?.compared).toEqual(report.compared);
    await sites.write(keys[0] ?? "", "at B");
    await sites.settled();
    const all = await coverage(sites);
    expect(all).toMatchObject({ compared: 15, forgotten: 0, rows: 3 });
    expect(of(all, "device_platform/+49")).toMatchObject({ site: "B", rows: 2, changed: 1 });
    expect(of(all, "device_platform/+33")).toMatchObject({ site: "A", changed: 0 });
    expect(await compare(sites, true)).toEqual({ rows: 1, mismatches: 0 });
  });
});

it("a key that changed during the move is verified under its block, and repaired before the swap", async () => {
  await played(async (sites, world) => {
    await sites.write(keys[0] ?? "", "v");
    await sites.copied();
    // The comparison of the announced move has been recorded; the next write of control is the block.
    sites.points.arm("control compareAndSet", decisionBecomes("blocking"));
    const moved = sites.move("+49");
    await sites.reached("control compareAndSet");
    await sites.write(keys[0] ?? "", "w");
    await sites.settled();
    corrupt(sites, keys[0] ?? "");
    sites.points.release("control compareAndSet");
    const report = await moved;
    expect(report).toMatchObject({ outcome: "swapped", compared: { rows: 1, changed: 0 } });
    expect(report.verified).toBe(1);
    expect(sites.shown("B", keys[0] ?? "")).toBe("w");
    await world.sleep(100);
    expect(sites.lost()).toEqual([]);
  });
});

it("a ledger that dies between the comparison and the block ends the move: what changed is not known", async () => {
  await played(async (sites, world) => {
    await sites.write(keys[0] ?? "", "v");
    await sites.copied();
    sites.points.arm("control compareAndSet", decisionBecomes("blocking"));
    const moved = sites.move("+49");
    await sites.reached("control compareAndSet");
    sites.kill("A", "db_dirty_keys");
    await world.sleep(500);
    sites.points.release("control compareAndSet");
    const report = await moved;
    expect(report).toMatchObject({ outcome: "aborted", compared: null });
    expect(report.reason).toContain("what changed since the comparison is not known");
  });
});

it("two writers of a coverage record lose nothing of each other", async () => {
  await played(async (sites) => {
    const part = {
      cohort: "b/+49",
      site: "A",
      epoch: 1,
      rows: 1,
      fullFromMs: 0,
      fullToMs: 1,
      againFromMs: 0,
      againRows: 0,
    };
    await Promise.all([
      changeCoverage(sites.control, 0, { found: 2, parts: [part] }),
      changeCoverage(sites.control, 0, { found: 3, parts: [{ ...part, cohort: "b/+33" }] }),
    ]);
    const [record] = sites.control.listNow("coverage/0");
    expect(record?.value).toMatchObject({
      unaccountedFound: 5,
      parts: { "b/+49": part, "b/+33": { rows: 1 } },
    });
  });
});

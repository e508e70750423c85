/** What an operator is told before a move, what a rehearsal measures, and that a canary moves by itself. */

import { describe, expect, it } from "vitest";
import { controlKeys } from "../../actors/control_store.ts";
import type { CoverageRecord } from "../../actors/coverage.ts";
import { db_dirty_keys } from "../../actors/db_dirty_keys.ts";
import { writeCohorts } from "../../actors/db_migration.ts";
import { db_replay } from "../../actors/db_replay.ts";
import { dataLimits } from "../../actors/limits.ts";
import { cohortId, rowKey, type Site } from "../../actors/records.ts";
import type { Sites } from "../../actors/sites.ts";
import { TwoSites, type WorldOptions } from "../../app/simulate/two_sites.ts";
import { hasCode, NanoError } from "../../src/index.ts";
import { simulateSeed, type World } from "../../src/simulation/index.ts";
import { admits, atRest, decisionBecomes, ending } from "./hazards/at_rest.ts";

const prefix = "+49";
const cohort = cohortId("device_platform", prefix);

function simulated<T>(scenario: (world: World) => Promise<T>): Promise<T> {
  return simulateSeed({ seed: 1 }, scenario).then(({ result }) => result);
}

async function copied(world: World, options: WorldOptions = {}): Promise<TwoSites> {
  const sites = await TwoSites.start(world, options);
  for (let i = 0; i < 10; i++) await sites.write(`+49170${i}`, "v1");
  await sites.copied();
  return sites;
}

type Limits = Parameters<Sites["gates"]>[2];

function gatesOf(sites: TwoSites, to: Site = "B", limits: Limits = {}) {
  return sites.alive(sites.sites.gates(prefix, to, limits));
}

const texts = async (sites: TwoSites, limits: Limits = {}): Promise<string[]> =>
  (await gatesOf(sites, "B", limits)).missing.map(({ text }) => text);

describe("the gates of a move", () => {
  it("are open when everything was copied and compared and little is dirty", async () => {
    const gates = await simulated(async (world) => gatesOf(await copied(world)));
    expect(gates).toMatchObject({ prefix, from: "A", to: "B", missing: [], dirty: 0 });
    expect(gates.predictedReadOnlyMs).toBeLessThan(1_000);
  });

  it("name all that is missing at once, before anything was migrated", async () => {
    const missing = await simulated(async (world) => texts(await TwoSites.start(world)));
    expect(missing).toEqual([
      "+49: no marks are made for 5 cohorts (device_platform/+49 is off, profile_picture/+49 is off, " +
        "blocklist/+49 is off and 2 more); run the migration",
      "+49: the sides were never compared; run the migration",
    ]);
  });

  it("count what is dirty and tell when it is ready, from the repair rate in force", async () => {
    const missing = await simulated(async (world) => {
      const sites = await copied(world, { tuning: { queueMax: 1 } });
      await setRepairs(sites, 0);
      await Promise.all(Array.from({ length: 312 }, (_, i) => sites.write(`+49171${i}`, "v2")));
      const stopped = await texts(sites);
      await setRepairs(sites, 60);
      return [...stopped, ...(await texts(sites, { readOnlyMsMax: 1_000 }))];
    });
    expect(missing).toHaveLength(2);
    expect(missing[0]).toMatch(/^\+49: [23]\d\d dirty keys, and repairs are stopped \(their rate is 0\)$/);
    expect(missing[1]).toMatch(
      /^\+49: [23]\d\d dirty keys, ready in about [45] s \(it would be read-only for [56] s, at most 1 s\)$/,
    );
  });

  it("say that the remote does not answer", async () => {
    const missing = await simulated(async (world) => {
      const sites = await copied(world);
      sites.weather("A").down = true;
      for (let i = 0; i < 10; i++) await sites.write(`+49170${i}`, "v2");
      await world.sleep(150);
      return texts(sites);
    });
    expect(missing).toEqual([
      expect.stringMatching(/^\+49: \d+ dirty keys, and the remote of shard 0 does not answer$/),
    ]);
  });

  it("say which ranges are copied, and how far they are", async () => {
    const { mine, others } = await simulated(async (world) => {
      const sites = await copied(world);
      const ref = sites.node.system.ref(db_dirty_keys, sites.name("A", "db_dirty_keys"));
      // No crawler works it off: the remote is down.
      sites.weather("A").down = true;
      const bounds = (start: string) => ({
        from: rowKey("groups", start),
        to: rowKey("groups", `${start}~`),
      });
      await ref.call.openRange({ cohort: "groups/+33", ...bounds("+33"), reason: "overflow" });
      const others = (await gatesOf(sites)).missing.filter(({ gate }) => gate === "ranges");
      const id = await ref.call.openRange({ cohort: "groups/+49", ...bounds("+49"), reason: "overflow" });
      await ref.call.advance({ id, cursor: rowKey("groups", "+4917099") });
      return { others, mine: (await gatesOf(sites)).missing.filter(({ gate }) => gate === "ranges") };
    });
    expect(others).toEqual([]);
    expect(mine.map(({ text }) => text)).toEqual([
      "+49: 1 range still copied or repaired: overflow in shard 0 done up to groups +4917099",
    ]);
  });

  it("ask for a comparison that is not too old, which an operator can make", async () => {
    const { old, fresh } = await simulated(async (world) => {
      const sites = await copied(world);
      const record = await sites.control.get(controlKeys.coverage(0));
      const coverage = record?.value as CoverageRecord;
      const { [cohort]: part } = coverage.parts;
      const fullFromMs = (part?.fullFromMs ?? 0) - dataLimits.comparisonAgeMsMax - 60 * 60 * 1_000;
      const aged = { ...coverage, parts: { ...coverage.parts, [cohort]: { ...part, fullFromMs } } };
      await sites.control.compareAndSet(controlKeys.coverage(0), record?.revision ?? 0, aged);
      const old = await texts(sites);
      await sites.alive(sites.sites.compare());
      return { old, fresh: await texts(sites) };
    });
    expect(old).toEqual(["+49: the last comparison is 25 h old, at most 24 h; compare again"]);
    expect(fresh).toEqual([]);
  });

  it("name an open decision, whose it is, and for how long", async () => {
    const missing = await simulated(async (world) => {
      const sites = await copied(world);
      sites.points.arm("control compareAndSet", decisionBecomes("blocking"));
      const move = ending(sites.move(prefix));
      await sites.reached("control compareAndSet");
      const missing = await texts(sites);
      sites.points.release("control compareAndSet");
      await move;
      return missing;
    });
    expect(missing).toEqual([
      expect.stringMatching(
        /^\+49: decision \+49-\d{8} of A\/db_failover is announced; its lease ends in 5 s unless it is renewed$/,
      ),
    ]);
  });

  it("name the site that serves, and a stale mirror", async () => {
    const { elsewhere, mirror } = await simulated(async (world) => {
      const sites = await copied(world);
      const elsewhere = (await gatesOf(sites, "A")).missing.map(({ text }) => text);
      const stale = { site: "A", shard: 0, stale: true, sinceMs: 0, reason: "down" };
      await sites.control.compareAndSet(controlKeys.mirror("A", 0), 0, stale);
      return { elsewhere, mirror: await texts(sites) };
    });
    expect(elsewhere).toEqual([expect.stringMatching(/^\+49: A serves it, not B \(device_platform\/\+49, /)]);
    expect(mirror).toEqual([
      "+49: the mirror of A's shards 0 is stale: it must come back, and each shard be compared as a whole",
    ]);
  });

  it("say that a shard does not answer", async () => {
    const missing = await simulated(async (world) => {
      const sites = await copied(world);
      sites.points.arm("control get", { matches: (call) => (call as { key: string }).key === "shard/A/0" });
      sites.kill("A", "db_switch");
      await sites.reached("control get");
      return texts(sites);
    });
    expect(missing).toEqual([expect.stringMatching(/^\+49: a shard does not answer \(\w+\): /)]);
  });

  it("that refuse a move leave nothing behind, and say the same", async () => {
    const { refused, decisions } = await simulated(async (world) => {
      const sites = await TwoSites.start(world);
      const refused = await ending(sites.move(prefix));
      return { refused, decisions: sites.control.listNow("decision/") };
    });
    expect(refused).toMatchObject({
      code: "conflict",
      message: expect.stringMatching(/is off.*; .*never compared/),
    });
    expect(decisions).toEqual([]);
  });
});

async function setRepairs(sites: TwoSites, repairs: number): Promise<void> {
  const replay = sites.node.system.ref(db_replay, sites.name("A", "db_replay"));
  await sites.alive(replay.call.setRate({ repairs, crawl: 1_000 }));
}

describe("a move that may be read-only for so long at most", () => {
  it("is refused before it blocks when it would take longer, with both times", async () => {
    const { refused, blocked } = await simulated(async (world) => {
      const sites = await copied(world, { tuning: { queueMax: 1 } });
      await setRepairs(sites, 1);
      await Promise.all(Array.from({ length: 30 }, (_, i) => sites.write(`+49171${i}`, "v2")));
      const refused = await ending(sites.alive(sites.sites.move(prefix, "B", { readOnlyMsMax: 2_000 })));
      return { refused, blocked: sites.control.listNow("decision/").length };
    });
    expect(refused).toMatchObject({
      code: "conflict",
      message: expect.stringMatching(/dirty keys, ready in about \d+ s .*at most 2 s/),
    });
    expect(blocked).toBe(0);
  });

  it("is given back when it takes longer after all, close to that time", async () => {
    const { report, serves } = await simulated(async (world) => {
      const sites = await copied(world);
      sites.points.arm("A apply request");
      const write = sites.write("+491700", "v2");
      await sites.reached("A apply request");
      await write;
      const report = await sites.alive(sites.sites.move(prefix, "B", { readOnlyMsMax: 400 }));
      const serves = admits(sites, "A", cohortId("device_platform", prefix));
      sites.points.release("A apply request");
      return { report, serves };
    });
    expect(report).toMatchObject({
      outcome: "aborted",
      reason: "+49: not ready to swap after 400 ms of being read-only",
    });
    expect(report.readOnlyMs).toBeGreaterThanOrEqual(400);
    expect(report.readOnlyMs).toBeLessThan(500);
    expect(serves).toBe(true);
  });

  it("is given back at once when a range becomes dirty behind its gates: no crawler works", async () => {
    const { report, again, findings } = await simulated(async (world) => {
      const sites = await copied(world);
      const unaccounted = sites.watchUnaccounted();
      sites.points.arm("control compareAndSet", decisionBecomes("blocking"));
      const moved = sites.alive(sites.sites.move(prefix, "B"));
      await sites.reached("control compareAndSet");
      const ledger = sites.node.system.ref(db_dirty_keys, sites.name("A", "db_dirty_keys"));
      const bounds = { from: rowKey("device_platform", "+49"), to: rowKey("device_platform", "+49~") };
      await ledger.call.openRange({ cohort, ...bounds, reason: "overflow" });
      sites.points.release("control compareAndSet");
      const report = await moved;
      await sites.settled();
      const again = await sites.move(prefix);
      return { report, again, findings: await atRest(sites, unaccounted) };
    });
    expect(report).toMatchObject({
      outcome: "aborted",
      reason: "+49: 1 range still copied or repaired: overflow in shard 0 not begun",
    });
    expect(report.readOnlyMs).toBeLessThan(100);
    expect(again.outcome).toBe("swapped");
    expect(findings).toEqual([]);
  });

  it.each([0, -1, Number.NaN])("takes no %d", async (readOnlyMsMax) => {
    const refused = await simulated(async (world) => {
      const sites = await copied(world);
      return ending(sites.alive(sites.sites.move(prefix, "B", { readOnlyMsMax })));
    });
    expect(hasCode(refused, "bad_argument")).toBe(true);
  });
});

describe("a rehearsal", () => {
  it("measures the block, gives the prefix back, and leaves the other side as it was but for fences", async () => {
    const { report, before, after, held, serves, findings } = await simulated(async (world) => {
      const sites = await copied(world);
      const unaccounted = sites.watchUnaccounted();
      const poison = rowKey("device_platform", "+491700");
      sites.weather("A").rejected.add(poison);
      await sites.write("+491700", "rejected");
      const isPoison = (): boolean => sites.ledger("A")?.owner(poison) === "perror";
      await world.eventually("it is quarantined", isPoison, 10_000);
      const before = new Map(sites.files("B").rows);
      const report = await sites.alive(sites.sites.rehearse(prefix, "B"));
      const after = new Map(sites.files("B").rows);
      const { held } = sites.node.stateOf(sites.name("B", "db_dirty_keys")) as {
        held: ReadonlyMap<string, string>;
      };
      const serves = ["A", "B"].filter((site) => admits(sites, site, cohortId("device_platform", prefix)));
      sites.weather("A").rejected.clear();
      await sites.write("+491700", "accepted");
      return { report, before, after, held: held.size, serves, findings: await atRest(sites, unaccounted) };
    });
    expect(report).toMatchObject({ outcome: "rehearsed", reason: "", held: 1 });
    expect(report.readOnlyMs).toBeGreaterThan(0);
    expect(report.wouldTakeMs).toBeGreaterThanOrEqual(report.readOnlyMs);
    expect(Object.keys(report.steps)).toEqual([
      "announce",
      "block",
      "drain and verify",
      "carry held",
      "log",
      "abort and unblock",
    ]);
    expect(after).toEqual(before);
    expect(held).toBe(0);
    expect(serves).toEqual(["A"]);
    expect(findings).toEqual([]);
  });

  it("that is aborted before its block is no rehearsal, says why, and was never read-only", async () => {
    const report = await simulated(async (world) => {
      const sites = await copied(world);
      sites.points.arm("A scan request");
      const rehearsal = sites.alive(sites.sites.rehearse(prefix, "B"));
      await sites.reached("A scan request");
      await sites.sites.abortMove("not today");
      const report = await rehearsal;
      sites.points.release("A scan request");
      return report;
    });
    expect(report).toMatchObject({ outcome: "aborted", reason: "aborted on demand: not today" });
    expect(report).toMatchObject({ readOnlyMs: 0, wouldTakeMs: 0 });
  });

  it("says what a real move then takes, within a factor of two", async () => {
    const { rehearsed, moved } = await simulated(async (world) => {
      const sites = await copied(world);
      const rehearsed = await sites.alive(sites.sites.rehearse(prefix, "B"));
      return { rehearsed, moved: await sites.alive(sites.sites.move(prefix, "B")) };
    });
    expect(moved.outcome).toBe("swapped");
    expect(rehearsed.wouldTakeMs / moved.readOnlyMs).toBeGreaterThan(0.5);
    expect(rehearsed.wouldTakeMs / moved.readOnlyMs).toBeLessThan(2);
  });
});

describe("a canary", () => {
  it("moves before its prefix, by itself, and is served where it went", async () => {
    const { servedAt, order, findings } = await simulated(async (world) => {
      const sites = await TwoSites.start(world, { prefixes: ["+33", "+49", "+49%20"] });
      const keys = Array.from({ length: 50 }, (_, i) => `+49170${i}`);
      for (const key of keys) await sites.write(key, "v1");
      await sites.copied();
      const unaccounted = sites.watchUnaccounted();
      const order = sites.sites.migrationPlan().prefixes.map((each) => each.prefix);
      await sites.move("+49%20");
      const servedAt = keys.map((key) => sites.authority(rowKey("device_platform", key)).site);
      for (const key of keys) await sites.write(key, "v2");
      await sites.move("+49");
      for (const key of keys) await sites.write(key, "v3");
      const findings = await atRest(sites, unaccounted);
      for (const key of keys) if ((await sites.read(key)) !== "v3") findings.push(`${key} is not v3`);
      return { servedAt, order, findings };
    });
    expect(order).toEqual(["+49%20", "+33", "+49"]);
    const moved = servedAt.filter((site) => site === "B").length;
    expect(moved).toBeGreaterThan(3);
    expect(moved).toBeLessThan(20);
    expect(findings).toEqual([]);
  });

  it("can't be added when the migration has begun: its keys may have moved", async () => {
    const error = await simulated(async (world) => {
      const sites = await copied(world);
      return ending(writeCohorts(sites.control, ["groups/+49", "groups/+49%5"], "A"));
    });
    expect(error).toBeInstanceOf(NanoError);
    expect(error).toMatchObject({ code: "config" });
  });
});

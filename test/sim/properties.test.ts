/**
 * Properties of pace, in virtual time: how far the sides drift apart, how often a dead remote is asked, how fast dirty
 * keys are repaired, how many operations of one key are under way. Each is measured again with the part that brings
 * it about taken out, and has to be missing then.
 */

import { describe, expect, it } from "vitest";
import { devicePlatform } from "../../actors/backends/device_platform.ts";
import { db_dirty_keys } from "../../actors/db_dirty_keys.ts";
import { db_replay, type ReplayStatistics } from "../../actors/db_replay.ts";
import { db_switch } from "../../actors/db_switch.ts";
import { cohortId, everyCohort, type Row, type RowKey, rowKey, versionZero } from "../../actors/records.ts";
import { noPace } from "../../actors/send_pace.ts";
import { defaultTuning } from "../../actors/shard_options.ts";
import { encodeRow } from "../../actors/stores/row_codec.ts";
import { TwoSites, type WorldOptions } from "../../app/simulate/two_sites.ts";
import { hasCode } from "../../src/index.ts";
import { simulateSeed, type World } from "../../src/simulation/index.ts";
import { laneless_ledger, rateless_replay, resting_replay, tireless_replay } from "./hazards/pace_twins.ts";

async function measured<T>(
  options: WorldOptions,
  measure: (sites: TwoSites, world: World) => Promise<T>,
  order: "fifo" | "random" = "fifo",
  seed = 5,
): Promise<T> {
  const report = await simulateSeed({ seed, order }, async (world) => {
    const sites = await TwoSites.start(world, options);
    await sites.copied();
    return measure(sites, world);
  });
  return report.result;
}

const rowOf = (key: string): RowKey => rowKey(devicePlatform.name, key);

/** `perSecond` writes to 1,000 keys for `forMs`, one after the other; resolves when the last is answered. */
async function traffic(sites: TwoSites, world: World, perSecond: number, forMs: number): Promise<void> {
  const written: Promise<boolean>[] = [];
  const count = (perSecond * forMs) / 1_000;
  for (let i = 0; i < count; i++) {
    written.push(sites.write(`+49${10_000 + Math.floor(world.chance("key") * 1_000)}`, `${i}`));
    await world.sleep(1_000 / perSecond);
  }
  await Promise.all(written);
}

describe("divergence with a tenth of the remote's operations failing", () => {
  /** The most keys that differed at once in each of 10 s of traffic, and how many differ at the end. */
  const drift = async (sites: TwoSites, world: World) => {
    sites.weather("A").failShare = 0.1;
    const worst: number[] = [];
    const traffics = traffic(sites, world, 200, 10_000);
    for (let second = 0; second < 10; second++) {
      let most = 0;
      for (let i = 0; i < 10; i++) {
        await world.sleep(100);
        most = Math.max(most, sites.differing().length);
      }
      worst.push(most);
    }
    await traffics;
    await sites.settled(10_000).catch(() => undefined);
    return { worst, left: sites.differing().length };
  };

  /** A fifth of a second's writes. */
  const bound = 40;

  it.each(["fifo", "random"] as const)(
    "is bounded while writes go on and ends with them, %s order",
    async (order) => {
      const { worst, left } = await measured({}, drift, order);
      expect(Math.max(...worst)).toBeGreaterThan(0);
      expect(Math.max(...worst)).toBeLessThanOrEqual(bound);
      expect(left).toBe(0);
    },
  );

  it("grows and stays when nothing is repaired", async () => {
    const { worst, left } = await measured({ replaced: { db_replay: resting_replay } }, drift);
    expect(Math.max(...worst)).toBeGreaterThan(bound);
    expect(left).toBeGreaterThan(0);
  });
});

describe("requests to a dead remote", () => {
  const probeIntervalMs = 200;

  interface Sending {
    readonly breaker: { readonly state: string };
    readonly inFlight: number;
    readonly attempts: number;
  }

  /** 8 s of outage under traffic, from the moment when the breaker opens, and the end of it. */
  const outage = async (sites: TwoSites, world: World) => {
    const requests: number[] = [];
    sites.network.onRequest = (site) => {
      if (site === "A") requests.push(world.nowMs);
    };
    const sender = (process: "db_replay" | "db_queuer") =>
      sites.node.stateOf(sites.name("A", process)) as Sending;
    // Some failures first, so that replay, too, has sent to this remote before.
    sites.weather("A").failShare = 0.2;
    const traffics = traffic(sites, world, 100, 10_000);
    await world.sleep(1_000);
    sites.weather("A").down = true;
    // Without a breaker this waits in vain, and what follows is counted all the same.
    await world
      .eventually("the breaker opens", () => sender("db_replay").breaker.state === "open", 500)
      .catch(() => undefined);
    const openedMs = world.nowMs;
    const underWay = sender("db_replay").inFlight + sender("db_queuer").inFlight;
    const { attempts } = sender("db_replay");
    requests.length = 0;
    await world.sleep(probeIntervalMs - 50);
    /** Beyond the batches that were under way, and keys that replay took, while the breaker was open. */
    const early = Math.max(0, requests.length - underWay);
    const taken = sender("db_replay").attempts - attempts;
    requests.length = 0;
    await world.sleep(8_000);
    const probes = requests.map((atMs) => atMs - openedMs);
    sites.weather("A").down = false;
    sites.weather("A").failShare = 0;
    await traffics;
    await sites.settled();
    return { early, taken, probes, left: sites.differing().length };
  };

  const gaps = (times: readonly number[]): number[] =>
    times.map((atMs, i) => atMs - (i === 0 ? 0 : (times[i - 1] ?? 0)));

  const orders = [
    ["fifo", 5],
    ["random", 5],
    ["random", 6],
  ] as const;

  it.each(orders)(
    "are one probe in each interval and nothing else, and all is repaired once it is back, %s order, seed %i",
    async (order, seed) => {
      const { probes, ...found } = await measured({ tuning: { probeIntervalMs } }, outage, order, seed);
      expect(found).toEqual({ early: 0, taken: 0, left: 0 });
      expect(probes.length).toBeGreaterThan(25);
      expect(Math.min(...gaps(probes))).toBeGreaterThanOrEqual(probeIntervalMs);
    },
  );

  it("are none for a key that replay asked for before its breaker opened, and no statistic counts one", async () => {
    const found = await measured({ tuning: { probeIntervalMs: 60_000 } }, async (sites, world) => {
      sites.weather("A").down = true;
      const replay = sites.node.system.ref(db_replay, sites.name("A", "db_replay"));
      for (let i = 0; i < defaultTuning.breakerFailures; i++)
        replay.cast.feedback({ answered: 0, unanswered: 1 });
      await sites.write("+4910001", "v");
      await world.sleep(1_000);
      const owner = sites.ledger("A")?.owner(rowOf("+4910001"));
      return { owner, ...(await sites.alive(replay.call.statistics())) };
    });
    expect(found).toMatchObject({ owner: "replay", breaker: "open", attempts: 0, probes: 0, inFlight: 0 });
    // A batch of nothing takes no time: it would make the peer look faster than it is.
    expect(found.pace).toEqual(noPace);
  });

  it("are many more without a breaker", async () => {
    const replaced = { db_replay: tireless_replay };
    const { probes } = await measured({ tuning: { probeIntervalMs }, replaced }, outage);
    expect(probes.length).toBeGreaterThan(500);
  });
});

describe("a crawl beside a dead remote", () => {
  /** Stretches that it read there in 2 s, while the breaker would be open. */
  const stretches = async (sites: TwoSites, world: World): Promise<number> => {
    const { breakerFailures } = defaultTuning;
    sites.weather("A").down = true;
    for (let i = 0; i < breakerFailures * 2; i++) {
      await sites.write(`+49${20_000 + i}`, `${i}`);
      await world.sleep(50);
    }
    const ledger = sites.node.system.ref(db_dirty_keys, sites.name("A", "db_dirty_keys"));
    const range = { cohort: everyCohort, from: "", to: "", reason: "overflow" } as const;
    await ledger.call.openRange(range);
    let asked = 0;
    sites.network.onRequest = (site, what) => {
      if (site === "A" && what === "scan") asked++;
    };
    await world.sleep(2_000);
    return asked;
  };
  const tuning = { probeIntervalMs: 60_000 };

  it("asks nothing of it as long as the breaker is open", async () => {
    expect(await measured({ tuning }, stretches)).toBe(0);
  });

  it("asks again and again without a breaker", async () => {
    expect(await measured({ tuning, replaced: { db_replay: tireless_replay } }, stretches)).toBeGreaterThan(
      1,
    );
  });
});

describe("a copy that nobody writes beside", () => {
  /** As many batches without an answer as open the breaker, with reads that work. */
  const unanswered = 5;

  it("goes on after its own failures have opened the breaker", async () => {
    const report = await simulateSeed({ seed: 5 }, async (world) => {
      const sites = await TwoSites.start(world, { tuning: { breakerFailures: unanswered } });
      for (let i = 0; i < 20; i++) await sites.write(`+49${10_000 + i}`, `${i}`);
      sites.points.arm("A apply request", { count: unanswered });
      await sites.copied();
      return { parked: sites.points.parked("A apply request"), differing: sites.differing() };
    });
    expect(report.result).toEqual({ parked: unanswered, differing: [] });
  });
});

describe("the rate of repairs with 200,000 dirty keys", () => {
  const keys = 200_000;
  const options: WorldOptions = { tuning: { repairsPerSecond: 4_000, ledgerBytesMax: 64 * 1024 * 1024 } };

  /** Rows that only A has, each with a mark of replay. */
  async function soil(sites: TwoSites, count: number): Promise<void> {
    const ledger = sites.node.system.ref(db_dirty_keys, sites.name("A", "db_dirty_keys"));
    const { rows } = sites.files("A");
    for (let start = 0; start < count; start += 10_000) {
      const suspects: RowKey[] = [];
      for (let i = start; i < start + 10_000; i++) {
        const row: Row = {
          key: rowOf(`+49${1_000_000 + i}`),
          version: versionZero,
          value: new Uint8Array([i & 255]),
          expiresAtMs: 0,
        };
        rows.set(row.key, encodeRow(row));
        suspects.push(row.key);
      }
      await ledger.call.suspect({ keys: suspects, owner: "replay" });
    }
  }

  /** Confirmed rows per second at the first rate, and after each change of it. */
  const paceWith = (count: number, changes: readonly number[]) => async (sites: TwoSites, world: World) => {
    await soil(sites, count);
    const replay = sites.node.system.ref(db_replay, sites.name("A", "db_replay"));
    const repaired = (): number =>
      (sites.node.stateOf(sites.name("A", "db_replay")) as ReplayStatistics).repaired;
    const over = async (ms: number): Promise<number> => {
      const [before, fromMs] = [repaired(), world.nowMs];
      await world.sleep(ms);
      return ((repaired() - before) * 1_000) / (world.nowMs - fromMs);
    };
    await world.sleep(500);
    const rates = [await over(2_000)];
    for (const repairs of changes) {
      await replay.call.setRate({ repairs, crawl: 1_000 });
      rates.push(await over(2_000));
    }
    return rates;
  };

  it("is the one that was set, within a tenth, also after it is changed", async () => {
    const rates = await measured(options, paceWith(keys, [10_000, 1_000]));
    for (const [i, wanted] of [4_000, 10_000, 1_000].entries()) {
      expect(rates[i]).toBeGreaterThan(wanted * 0.9);
      expect(rates[i]).toBeLessThan(wanted * 1.1);
    }
  });

  it("is far above it without the token bucket", async () => {
    const [first] = await measured(
      { ...options, replaced: { db_replay: rateless_replay } },
      paceWith(keys / 2, []),
    );
    expect(first).toBeGreaterThan(4_000 * 1.1);
  });
});

describe("rates that an operator sets to 0", () => {
  it("stop repairs without ending db_replay, and the next rate takes effect at once", async () => {
    const found = await measured({}, async (sites, world) => {
      const name = sites.name("A", "db_replay");
      const replay = sites.node.system.ref(db_replay, name);
      const ledger = sites.node.system.ref(db_dirty_keys, sites.name("A", "db_dirty_keys"));
      const before = sites.node.process(name);
      await replay.call.setRate({ repairs: 0, crawl: 0 });
      const suspects = Array.from({ length: 1_000 }, (_, i) => rowOf(`+49${20_000 + i}`));
      await ledger.call.suspect({ keys: suspects, owner: "replay" });
      await world.sleep(5_000);
      const repaired = 1_000 - sites.dirty();
      const same = sites.node.process(name) === before;
      await replay.call.setRate({ repairs: 2_000, crawl: 2_000 });
      await sites.settled(1_000);
      return { repaired, same };
    });
    expect(found).toEqual({ repaired: 0, same: true });
  });

  it("hold a copy back until the next rate is set", async () => {
    const report = await simulateSeed({ seed: 5 }, async (world) => {
      const sites = await TwoSites.start(world, { tuning: { crawlRowsPerSecond: 0 } });
      for (let i = 0; i < 20; i++) await sites.write(`+49${10_000 + i}`, `${i}`);
      const copied = sites.copied();
      await world.sleep(5_000);
      const heldBack = sites.differing().length;
      const replay = sites.node.system.ref(db_replay, sites.name("A", "db_replay"));
      await replay.call.setRate({ repairs: 2_000, crawl: 2_000 });
      await copied;
      return { heldBack, left: sites.differing().length };
    });
    expect(report.result).toEqual({ heldBack: 20, left: 0 });
  });

  it("are refused when they are no rate", async () => {
    const codes = await measured({}, async (sites) => {
      const replay = sites.node.system.ref(db_replay, sites.name("A", "db_replay"));
      const refused = [-1, Number.NaN, Number.POSITIVE_INFINITY].map((repairs) =>
        replay.call.setRate({ repairs, crawl: 1 }).then(
          () => "taken",
          (error) => (hasCode(error, "bad_argument") ? "bad_argument" : String(error)),
        ),
      );
      return Promise.all(refused);
    });
    expect(codes).toEqual(["bad_argument", "bad_argument", "bad_argument"]);
  });
});

describe("a key that is written 10,000 times a second", () => {
  const key = "+4917777";

  /** The most operations of the key between request and answer at once, and what stands at the remote at the end. */
  const hot = async (sites: TwoSites, world: World) => {
    sites.weather("A").delayMs = 10;
    let underWay = 0;
    let most = 0;
    let operations = 0;
    sites.network.onApply = (site, rows, ended) => {
      if (site !== "A" || !rows.some((row) => row.key === rowOf(key))) return;
      underWay += ended ? -1 : 1;
      if (!ended) operations++;
      most = Math.max(most, underWay);
    };
    const shard = sites.node.system.ref(db_switch, sites.name("A", "db_switch"));
    const written: Promise<unknown>[] = [];
    for (let i = 0; i < 10_000; i++) {
      const value = new TextEncoder().encode(`${i}`);
      const rows = [{ key: rowOf(key), value, expiresAtMs: 0 }];
      written.push(shard.call.write({ cohort: cohortId(devicePlatform.name, "+49"), rows }));
      if (i % 10 === 9) await world.sleep(1);
    }
    await Promise.all(written);
    await sites.settled();
    return { most, operations, shown: sites.shown("B", key), left: sites.differing().length };
  };

  it.each(["fifo", "random"] as const)(
    "never has two remote operations under way, and its last value arrives, %s order",
    async (order) => {
      const { operations, ...found } = await measured({}, hot, order);
      expect(found).toEqual({ most: 1, shown: "9999", left: 0 });
      expect(operations).toBeGreaterThan(10);
    },
  );

  it("has several under way without lanes", async () => {
    const { most } = await measured({ replaced: { db_dirty_keys: laneless_ledger } }, hot);
    expect(most).toBeGreaterThan(1);
  });
});

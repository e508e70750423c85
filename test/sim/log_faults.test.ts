/**
 * Faults of the disk below a dirty log, with two sites on top: each is named, and has a twin that does without what
 * stops it. Torn and lost tails and rotten records that matter: hazard 14; lost disks: hazards 15 and 56.
 */

import { describe, expect, it } from "vitest";
import { devicePlatform } from "../../actors/backends/device_platform.ts";
import { db_dirty_keys } from "../../actors/db_dirty_keys.ts";
import { TwoSites, type WorldOptions } from "../../app/simulate/two_sites.ts";
import { NanoError } from "../../src/index.ts";
import { simulateSeed, type World } from "../../src/simulation/index.ts";
import { clean, type Findings, judge, rowOf } from "./hazards/hazard.ts";
import { copiedAndCutOff, lastPlaceOf, logFolder, rangesOf } from "./hazards/log_files.ts";
import {
  accountless_log,
  boundless_ledger,
  careless_log,
  credulous_ledger,
  eager_log,
  retrying_log,
} from "./hazards/log_twins.ts";

type Play = (sites: TwoSites, world: World) => Promise<Findings>;

async function played(seed: number, play: Play, options: WorldOptions = {}): Promise<Findings> {
  const report = await simulateSeed({ seed, order: "random" }, async (world) =>
    play(await TwoSites.start(world, options), world),
  );
  return report.result;
}

const seeds = [1, 2, 3, 4];

const keyOf = (i: number): string => `+4917${String(i).padStart(3, "0")}`;

async function writeSome(sites: TwoSites, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await sites.write(keyOf(i), `value ${i}`);
}

describe("bit rot anywhere in a log", () => {
  it.each(Array.from({ length: 16 }, (_, i) => i + 1))("loses nothing, seed %i", async (seed) => {
    const rot: Play = async (sites) => {
      await copiedAndCutOff(sites);
      const unaccounted = sites.watchUnaccounted();
      await writeSome(sites, 10);
      sites.crash();
      sites.disk.rot(logFolder);
      await sites.restart();
      sites.weather("A").down = false;
      return judge(sites, unaccounted);
    };
    expect(await played(seed, rot)).toEqual(clean);
  });
});

describe("damage in a log", () => {
  /** Restarts twice after it; says whether each found the shard suspect. */
  const damaged: Play = async (sites, world) => {
    await copiedAndCutOff(sites);
    const unaccounted = sites.watchUnaccounted();
    await writeSome(sites, 5);
    const place = lastPlaceOf(sites, keyOf(2));
    sites.crash();
    sites.disk.rot(place.path, place);
    await sites.restart();
    const wrong = rangesOf(sites).includes("log_lost") ? [] : ["nobody noticed"];
    const loud = world.logged.filter(
      ({ level, message }) => level === "error" && message.includes("damaged"),
    );
    const [said] = loud.map(
      ({ fields }) => fields as { damage?: readonly string[]; suspects?: readonly number[] },
    );
    if (!said?.damage?.[0]?.startsWith(place.path) || said.suspects?.join() !== "0")
      wrong.push("it was not said");
    sites.weather("A").down = false;
    await sites.settled();
    // Takes along what says that the range is done.
    await sites.write(keyOf(7), "after");
    await sites.settled();
    for (let restart = 0; restart < 3; restart++) {
      sites.crash();
      await sites.restart();
      if (rangesOf(sites).length > 0) wrong.push(`compared again after restart ${restart}`);
    }
    return judge(sites, unaccounted, wrong);
  };

  it.each(seeds)("is said loudly, and paid for once, seed %i", async (seed) => {
    expect(await played(seed, damaged)).toEqual(clean);
  });

  it("twin: is paid for after every restart by a log that does not say where an account begins", async () => {
    const findings = await played(1, damaged, { replaced: { db_dirty_log: accountless_log } });
    expect(findings.wrong).toContain("compared again after restart 0");
  });
});

describe("a sync of the log that fails", () => {
  const failing: Play = async (sites, world) => {
    await copiedAndCutOff(sites);
    const unaccounted = sites.watchUnaccounted();
    await sites.write(keyOf(1), "before");
    const { path } = lastPlaceOf(sites, keyOf(1));
    const wrong: string[] = [];
    const noteWrites = (point: string) =>
      sites.points.arm(point, {
        matches: (details) => {
          if (failed && details === path) wrong.push(`${point} on the file whose sync failed`);
          return false;
        },
      });
    let failed = false;
    for (const point of ["A log open", "A log sync", "A log cut"]) noteWrites(point);
    sites.disk.faults.failingSyncs = 1;
    if (await sites.write(keyOf(2), "in doubt")) wrong.push("what is in doubt was acknowledged");
    failed = true;
    const size = sites.disk.read(path).byteLength;
    await world.eventually("it serves again", () => sites.ledger("A") !== undefined, 10_000);
    if (wrong.length === 0) {
      await world.sleep(1_000);
      if (!(await sites.write(keyOf(3), "after"))) wrong.push("it does not serve again");
    }
    if (sites.disk.list(logFolder).some((name) => path.endsWith(name))) {
      if (sites.disk.read(path).byteLength !== size) wrong.push("it was written on");
    }
    sites.crash({ powerLoss: true });
    await sites.restart();
    sites.weather("A").down = false;
    return judge(sites, unaccounted, wrong);
  };

  it.each(seeds)(
    "acknowledges nothing in doubt, and its file is never written again, seed %i",
    async (seed) => {
      expect(await played(seed, failing)).toEqual(clean);
    },
  );

  it("twin: loses a mark in a log that tries the sync again", async () => {
    const findings = await played(1, failing, { replaced: { db_dirty_log: retrying_log } });
    expect(findings.wrong).toContain("what is in doubt was acknowledged");
    expect(findings.unaccounted).not.toEqual([]);
  });
});

describe("a full disk below the log", () => {
  const full: Play = async (sites, world) => {
    await copiedAndCutOff(sites);
    const unaccounted = sites.watchUnaccounted();
    await writeSome(sites, 5);
    const wrong: string[] = [];
    const log = sites.node.process("A/db_dirty_log/0");
    sites.disk.faults.bytesMax = 0;
    for (let i = 5; i < 10; i++)
      if (await sites.write(keyOf(i), "no space")) wrong.push("a write was acknowledged");
    const { call } = await sites.access(devicePlatform);
    const refusal: unknown = await call.delete({ key: keyOf(1) }).catch((error: unknown) => error);
    const words = refusal instanceof NanoError ? `${refusal.code}: ${refusal.message}` : String(refusal);
    if (!/^unavailable: .*A\/log-0 is full: free space there/.test(words))
      wrong.push(`refused with: ${words}`);
    // A shard that starts meanwhile waits for space, too.
    sites.kill("A", "db_switch");
    await world.sleep(20_000);
    sites.disk.faults.bytesMax = Number.POSITIVE_INFINITY;
    await world.sleep(3_000);
    if (!(await sites.write(keyOf(11), "there is space"))) wrong.push("it did not recover by itself");
    if (sites.node.process("A/db_dirty_log/0") !== log) wrong.push("the log died of it");
    sites.crash({ powerLoss: true });
    await sites.restart();
    if (rangesOf(sites).length > 0) wrong.push("what did not fit was taken for damage");
    sites.weather("A").down = false;
    return judge(sites, unaccounted, wrong);
  };

  it.each(seeds)("refuses writes with the cure, and they go on by themselves, seed %i", async (seed) => {
    expect(await played(seed, full)).toEqual(clean);
  });

  it("twin: loses marks in a log that takes what fits", async () => {
    const findings = await played(1, full, { replaced: { db_dirty_log: careless_log } });
    expect(findings.wrong).toContain("a write was acknowledged");
  });
});

describe("a compaction that is interrupted", () => {
  /** Enough of what is live, cleared and void for a compaction now and then. */
  const options: WorldOptions = { logCompactionBytes: 3_000 };
  const operations = ["append", "sync", "remove"];

  interface Compaction {
    readonly findings: Findings;
    /** What it did to the disk, until the power went, and what followed if it did not. */
    readonly trace: readonly string[];
  }

  /** The power goes before the step `step` of a compaction, of what it does to the disk once its file is there. */
  async function interrupted(step: number, seed: number, more: WorldOptions = {}): Promise<Compaction> {
    const trace: string[] = [];
    const play: Play = async (sites, world) => {
      await copiedAndCutOff(sites);
      const unaccounted = sites.watchUnaccounted();
      let began = false;
      const noting = (note: (path: unknown) => boolean) => ({ matches: note });
      sites.points.arm(
        "A log open",
        noting(() => {
          began = true;
          return false;
        }),
      );
      for (const operation of operations) {
        const seen = noting(() => {
          if (began && trace.length <= step) trace.push(operation);
          return trace.length > step;
        });
        sites.points.arm(`A log ${operation}`, { count: Number.POSITIVE_INFINITY, ...seen });
      }
      const parked = () => operations.some((operation) => sites.points.parked(`A log ${operation}`) > 0);
      for (let i = 0; i < 200 && !parked(); i++) {
        sites.write(keyOf(i % 20), `value ${i}`).catch(() => undefined);
        await world.sleep(10);
      }
      const wrong = parked() ? [] : ["there was no such step"];
      sites.crash({ powerLoss: true });
      for (const point of ["open", ...operations].map((operation) => `A log ${operation}`)) {
        sites.points.disarm(point);
        sites.points.drop(point);
      }
      await sites.restart();
      sites.weather("A").down = false;
      return judge(sites, unaccounted, wrong);
    };
    const findings = await played(seed, play, { ...options, ...more });
    return { findings, trace };
  }

  it.each([0, 1, 2, 3, 4, 5, 6])("keeps a whole account if the power goes at step %i", async (step) => {
    for (const seed of seeds) {
      expect({ seed, ...(await interrupted(step, seed)).findings }).toEqual({ seed, ...clean });
    }
  });

  it("has no other steps: header, what is live, and then the older files, each durable before the next", async () => {
    const { trace } = await interrupted(6, 1);
    expect(trace.slice(0, 5)).toEqual(["append", "sync", "append", "sync", "remove"]);
    expect(trace.at(-1)).toBe("append");
  });

  it("twin: loses marks if the older segments go first", async () => {
    const replaced = { db_dirty_log: eager_log, db_dirty_keys: credulous_ledger };
    const { findings } = await interrupted(1, 1, { replaced });
    expect(findings.unaccounted).not.toEqual([]);
  });
});

describe("a log's folder that was not synced", () => {
  it.each(seeds)("is found lost if it forgets the log, and everything is suspect, seed %i", async (seed) => {
    const forgotten: Play = async (sites) => {
      sites.disk.faults.unsyncedFolders = true;
      sites.crash();
      await sites.restart();
      await copiedAndCutOff(sites);
      const unaccounted = sites.watchUnaccounted();
      await writeSome(sites, 5);
      sites.crash({ powerLoss: true });
      await sites.restart();
      sites.weather("A").down = false;
      return judge(sites, unaccounted);
    };
    expect(await played(seed, forgotten)).toEqual(clean);
  });
});

describe("a ledger that is full", () => {
  const bytesMax = 2_000;
  const rows = Array.from({ length: 100 }, (_, i) => rowOf(keyOf(i)));

  /** A comparison finds many suspects; then a restart finds more marks than are allowed by now. */
  const full =
    (tuning: { ledgerBytesMax: number }): Play =>
    async (sites, world) => {
      await copiedAndCutOff(sites);
      const unaccounted = sites.watchUnaccounted();
      const wrong: string[] = [];
      const check = (when: string): void => {
        const bytes = sites.ledger("A")?.bytes ?? 0;
        if (bytes > bytesMax) wrong.push(`${when}: ${bytes} bytes`);
      };
      const ledger = sites.node.system.ref(db_dirty_keys, sites.name("A", "db_dirty_keys"));
      await ledger.call.suspect({ keys: rows, owner: "replay" });
      check("suspects");
      if ((await ledger.call.account(rows)).includes("none")) wrong.push("a suspect is not accounted for");
      sites.weather("A").down = false;
      await sites.settled();
      sites.crash();
      tuning.ledgerBytesMax = bytesMax * 100;
      await sites.restart();
      sites.weather("A").down = true;
      await writeSome(sites, 50);
      sites.crash();
      tuning.ledgerBytesMax = bytesMax;
      await sites.restart();
      await world.sleep(10);
      check("restart");
      sites.weather("A").down = false;
      return judge(sites, unaccounted, wrong);
    };

  it.each(seeds)("turns suspects and recovered marks into a range, seed %i", async (seed) => {
    const tuning = { ledgerBytesMax: bytesMax };
    expect(await played(seed, full(tuning), { tuning })).toEqual(clean);
  });

  it("twin: grows beyond its bound", async () => {
    const tuning = { ledgerBytesMax: bytesMax };
    const options = { tuning, replaced: { db_dirty_keys: boundless_ledger } };
    const { wrong } = await played(1, full(tuning), options);
    expect(wrong).toHaveLength(2);
  });
});

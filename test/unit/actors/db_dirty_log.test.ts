/** db_dirty_log in the simulator: what it acknowledges survives, and it acknowledges nothing else. */

import { describe, expect, it } from "vitest";
import { db_dirty_log } from "../../../actors/db_dirty_log.ts";
import { db_log_mirror } from "../../../actors/db_log_mirror.ts";
import { dataLimits } from "../../../actors/limits.ts";
import { NanoError } from "../../../src/index.ts";
import { simulateSeed, type World } from "../../../src/simulation/index.ts";
import { namesOf, powerCycle, required, type Started, started, supervised } from "./log_node.ts";
import { clear, mark, start } from "./log_rows.ts";

/** Does what kills the log, and waits until its supervisor has started another. */
async function untilRestarted(world: World, { node }: Started, kill: () => Promise<void>): Promise<void> {
  const before = node.process("logs/1");
  await kill();
  const isBack = (): boolean => node.process("logs/1") !== before && node.stateOf("logs/1") !== undefined;
  await world.eventually("the log is back", isBack, 1_000);
}

function said(world: World, words: string): number {
  return world.logged.filter(({ message }) => message.includes(words)).length;
}

describe("db_dirty_log", () => {
  it("appends that wait together are written together", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const of = await started(world);
      const appends = Array.from({ length: 100 }, (_, i) => of.log().call.append([mark(`k${i}`, i)]));
      await Promise.all(appends);
      const { commits, records } = await of.log().call.statistics();
      expect(records).toBe(100);
      // The first goes at once, the others gather behind it.
      expect(commits).toBe(2);
    });
  });

  it("what was acknowledged before the power went is recovered, and a note with it", async () => {
    for (let seed = 0; seed < 20; seed++) {
      await simulateSeed({ seed }, async (world) => {
        const of = await started(world);
        const acknowledged: string[] = [];
        const append = async (name: string): Promise<void> => {
          await of.log().call.append([mark(name, 1)]);
          acknowledged.push(name);
        };
        await of.log().call.append([mark("noted", 1), start(1)]);
        of.log().cast.note([clear("noted", 1)]);
        for (let i = 0; i < 30; i++) append(`k${i}`).catch(() => undefined);
        await world.sleep(world.chance("when") * 4);
        const answered = [...acknowledged];
        await powerCycle(of);
        const names = await namesOf(of.log());
        expect(names).toEqual(expect.arrayContaining(answered));
        if (answered.length > 1) expect(names).not.toContain("noted");
        expect((await of.log().call.recover({ shard: 0 })).shardTerm).toBe(1);
      });
    }
  });

  it("after a sync that failed nothing is acknowledged until it has started anew, and then from the disk", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const of = await started(world);
      await of.log().call.append([mark("before", 1)]);
      of.disk.faults.failingSyncs = 1;
      const append = (name: string): Promise<unknown> =>
        of
          .log()
          .call.append([mark(name, 1)])
          .then(
            () => "acknowledged",
            (error: unknown) => (error instanceof NanoError ? error.code : error),
          );
      await untilRestarted(world, of, async () => {
        const outcomes = await Promise.all(["a", "b", "c"].map(append));
        expect(outcomes).toEqual(["unavailable", "crashed", "crashed"]);
      });
      await of.log().call.append([mark("after", 1)]);
      await powerCycle(of);
      expect(await namesOf(of.log())).toEqual(expect.arrayContaining(["before", "after"]));
    });
  });

  it("on a full disk it refuses with the cure, lives on, and acknowledges again once there is space", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const of = await started(world);
      await of.log().call.append([mark("before", 1)]);
      const process = of.node.process("logs/1");
      of.disk.faults.bytesMax = 200;
      const refused = {
        code: "unavailable",
        message: expect.stringContaining("the disk of the dirty log logs/1 is full: free space there"),
      };
      for (let attempt = 0; attempt < 3; attempt++) {
        await expect(of.log().call.append([mark("k".repeat(200), 1)])).rejects.toMatchObject(refused);
      }
      // What fits is not written behind what did not.
      await expect(of.log().call.append([mark("small", 1)])).rejects.toMatchObject(refused);
      // Who has nothing to write may rely on what was refused.
      await expect(of.log().call.append([])).rejects.toMatchObject(refused);
      expect(said(world, "is full")).toBe(1);
      of.disk.faults.bytesMax = Number.POSITIVE_INFINITY;
      await of.log().call.append([mark("after", 1)]);
      expect(said(world, "is written again")).toBe(1);
      expect(of.node.process("logs/1")).toBe(process);
      await powerCycle(of);
      expect(await namesOf(of.log())).toEqual(expect.arrayContaining(["after", "before", "small"]));
      expect((await of.log().call.statistics()).damaged).toBe(0);
    });
  });

  it("what a full disk took of a frame is no damage, whenever the power goes while it starts anew", async () => {
    for (let seed = 1; seed <= 40; seed++) {
      await simulateSeed({ seed }, async (world) => {
        const of = await started(world);
        await of.log().call.append([mark("before", 1), start(1)]);
        const [full = ""] = [...of.use.open].filter((path) => path.startsWith("logs/1/"));
        of.disk.faults.bytesMax = of.disk.used + 100;
        const tooLong = [mark("k".repeat(300), 1)];
        await expect(of.log().call.append(tooLong)).rejects.toMatchObject({ code: "unavailable" });
        of.disk.faults.bytesMax = Number.POSITIVE_INFINITY;
        of.disk.faults.slowMs = 5;
        await world.sleep(dataLimits.logProbeMs + world.chance("when") * 60);
        await powerCycle(of);
        expect(await namesOf(of.log())).toContain("before");
        // What the new one took that was never synced may be said as damage.
        const damage = JSON.stringify(world.logged.map(({ fields }) => fields.damage));
        expect(damage).not.toContain(full);
      });
    }
  });

  it("a file of which a sync failed is left as it is", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const of = await started(world);
      await of.log().call.append([mark("before", 1)]);
      of.disk.faults.failingSyncs = 1;
      const [path = ""] = [...of.use.open].filter((each) => each.startsWith("logs/1/"));
      await untilRestarted(world, of, async () => {
        await expect(of.log().call.append([mark("a", 1)])).rejects.toMatchObject({ code: "unavailable" });
        expect(of.use.truncated).not.toContain(path);
      });
    });
  });

  it("starts on a full disk, refuses there, and begins once there is space", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const of = await started(world);
      await of.log().call.append([mark("before", 1)]);
      of.disk.faults.bytesMax = 0;
      await powerCycle(of);
      expect(await namesOf(of.log())).toEqual(["before"]);
      await expect(of.log().call.append([mark("no", 1)])).rejects.toMatchObject({ code: "unavailable" });
      of.disk.faults.bytesMax = Number.POSITIVE_INFINITY;
      await of.log().call.append([mark("after", 1)]);
      await powerCycle(of);
      expect(await namesOf(of.log())).toEqual(expect.arrayContaining(["after", "before"]));
    });
  });

  it("without room for a compaction it goes on in the old segments, and compacts when there is", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const of = await started(world, { compactionBytes: 3_000 });
      const name = (i: number) => `${i}${"k".repeat(150)}`;
      for (let i = 0; i < 15; i++) await of.log().call.append([mark(name(i), 1)]);
      of.disk.faults.bytesMax = 4_500;
      for (let i = 15; i < 19; i++) await of.log().call.append([mark(name(i), 1)]);
      expect((await of.log().call.statistics()).compactions).toBe(0);
      of.disk.faults.bytesMax = Number.POSITIVE_INFINITY;
      for (let i = 19; i < 40; i++) await of.log().call.append([mark(name(i), 1), clear(name(i), 1)]);
      expect((await of.log().call.statistics()).compactions).toBeGreaterThan(0);
      await powerCycle(of);
      expect(await namesOf(of.log())).toHaveLength(19);
      expect((await of.log().call.statistics()).damaged).toBe(0);
    });
  });

  it("without room for a compaction it keeps its required mirror, and goes on", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const of = await started(world, { ...required, compactionBytes: 3_000 });
      const name = (i: number) => `${i}${"k".repeat(150)}`;
      for (let i = 0; i < 14; i++) await of.log().call.append([mark(name(i), 1)]);
      // For some more in both, and for no account.
      of.disk.faults.bytesMax = of.disk.used + 2_500;
      for (let i = 14; i < 18; i++) await of.log().call.append([mark(name(i), 1)]);
      const postponed = world.logged.filter(({ message }) => message.includes("no room to compact"));
      expect(postponed).toHaveLength(1);
      expect(await of.log().call.statistics()).toMatchObject({
        compactions: 0,
        mirror: "current",
        trouble: "",
      });
      const { marks } = await of.node.system.ref(db_log_mirror, "mirror").call.recover({ shard: 0 });
      expect(marks).toHaveLength(18);
    });
  });

  it("a required mirror that is down costs its log no new account, and writes go on once it is back", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const of = await started(world, required);
      await of.log().call.append([mark("before", 1)]);
      const files = of.disk.list("logs/1");
      of.disk.faults.broken.add("mirror/");
      const refused = { code: "unavailable", message: expect.stringContaining("bring the mirror back") };
      await expect(of.log().call.append([mark("refused", 1)])).rejects.toMatchObject(refused);
      await world.sleep(5 * dataLimits.logProbeMs);
      expect(of.disk.list("logs/1")).toEqual(files);
      of.disk.faults.broken.delete("mirror/");
      await world.sleep(2 * dataLimits.logProbeMs);
      await of.log().call.append([mark("after", 1)]);
      expect(await of.log().call.statistics()).toMatchObject({ mirror: "current", trouble: "" });
      const { marks } = await of.node.system.ref(db_log_mirror, "mirror").call.recover({ shard: 0 });
      expect(marks.map(({ key }) => key.split("\u0000")[1])).toEqual(["before", "refused", "after"]);
    });
  });

  it("a log that is lost knows no term of its shards, those of other logs keep theirs", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const of = await started(world);
      await of.log().call.append([mark("a", 1, 0, 3), start(3, 0)]);
      await of.node.system.ref(db_dirty_log, "logs/2").call.append([mark("b", 1, 1, 4), start(4, 1)]);
      of.disk.wipe("logs/1");
      await powerCycle(of);
      const empty = { marks: [], ranges: [], perror: [], held: [] };
      expect(await of.log().call.recover({ shard: 0 })).toEqual({ shardTerm: 0, ...empty });
      expect((await of.log().call.recover({ shard: 1 })).shardTerm).toBe(4);
      expect(await namesOf(of.log(), 1)).toEqual(["b"]);
    });
  });

  it("a damaged log knows what it can read, and no term: every shard is suspect as a whole", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const of = await started(world);
      for (const name of ["a", "b", "c"]) await of.log().call.append([mark(name, 1), start(1)]);
      const path = "logs/1/0000000001.log";
      const bytes = of.disk.read(path);
      of.node.crash();
      of.disk.wipe("logs/1");
      await of.node.restart();
      const file = await of.mounted().openAppend(path, { synced: true });
      await file.append(bytes.map((byte, i) => (i === 20 ? byte ^ 1 : byte)));
      await supervised(of.node);
      expect((await of.log().call.statistics()).damaged).toBe(1);
      expect((await of.log().call.recover({ shard: 0 })).shardTerm).toBe(0);
      expect(await namesOf(of.log())).toEqual(["b", "c"]);
    });
  });

  it("a log that has grown is compacted while it runs, and what is appended meanwhile is in the new one", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const of = await started(world);
      of.node.crash();
      of.disk.wipe("logs/1");
      await of.node.restart();
      const grown = await of.mounted().openAppend("logs/1/0000000001.log", { synced: true });
      await grown.append(new Uint8Array(10_001));
      await supervised(of.node, { compactionBytes: 10_000 });
      await of.log().call.append([mark("a", 1), mark("b", 1), start(1)]);
      const later = ["c", "d"].map((name) => of.log().call.append([mark(name, 1), clear("a", 1)]));
      await Promise.all(later);
      expect(of.disk.list("logs/1")).toEqual(["0000000003.log"]);
      // Nothing had kept it from being written.
      expect(said(world, "is written again")).toBe(0);
      await powerCycle(of);
      expect(await namesOf(of.log())).toEqual(["b", "c", "d"]);
      expect((await of.log().call.recover({ shard: 0 })).shardTerm).toBe(1);
    });
  });
});

/** When a dirty log writes by itself, and what it does not put up with. */

import { describe, expect, it } from "vitest";
import { simulateSeed, type World } from "../../../src/simulation/index.ts";
import { type More, namesOf, powerCycle, required, type Started, started } from "./log_node.ts";
import { clear, mark, start } from "./log_rows.ts";

async function above(more: More, scenario: (of: Started, world: World) => Promise<void>): Promise<void> {
  await simulateSeed({ seed: 1 }, async (world) => {
    const of = await started(world, more);
    await of.log().call.append([start(1)]);
    await scenario(of, world);
  });
}

describe("notes, which nobody waits for", () => {
  it("are written with the next append, or when 1,001 of them wait", () =>
    above({}, async ({ log }, world) => {
      const commits = async (): Promise<number> => {
        await world.sleep(1_000);
        return (await log().call.statistics()).commits;
      };
      const before = await commits();
      for (let i = 0; i < 1_000; i++) log().cast.note([clear(`k${i}`, 1)]);
      expect(await commits()).toBe(before);
      log().cast.note([clear("one more", 1)]);
      expect(await commits()).toBe(before + 1);
      log().cast.note([clear("another", 1)]);
      expect(await commits()).toBe(before + 1);
      await log().call.append([mark("waited for", 1)]);
      expect(await commits()).toBe(before + 2);
    }));

  it("an append of nothing is answered at once, and writes nothing", () =>
    above({}, async ({ log }) => {
      const { commits } = await log().call.statistics();
      await log().call.append([]);
      expect((await log().call.statistics()).commits).toBe(commits);
    }));

  it("an append of nothing waits for the commit under way, and then writes nothing", () =>
    above({}, async ({ log, disk }) => {
      disk.faults.slowMs = 10;
      const order: string[] = [];
      const answered = (name: string, append: Promise<void>) => append.then(() => order.push(name));
      const first = answered("a record", log().call.append([mark("k", 1)]));
      const nothing = answered("nothing", log().call.append([]));
      await first;
      const { used } = disk;
      await nothing;
      expect(order).toEqual(["a record", "nothing"]);
      expect(disk.used).toBe(used);
    }));

  it("an append of nothing waits for the notes before it", () =>
    above({}, async (of) => {
      await of.log().call.append([mark("cleared", 1), mark("stays", 1)]);
      of.log().cast.note([clear("cleared", 1)]);
      await of.log().call.append([]);
      await powerCycle(of);
      expect(await namesOf(of.log())).toEqual(["stays"]);
    }));
});

describe("a compaction that fails", () => {
  const large = Array.from({ length: 20 }, (_, i) => mark(`${i}${"k".repeat(200)}`, 1));

  it("ends the log unless only room is missing: its next life begins with what is on the disk", () =>
    above({ compactionBytes: 3_000 }, async (of, world) => {
      await of.log().call.append(large);
      const pid = of.node.system.whereis("logs/1");
      of.disk.faults.broken.add("logs/1/0000000002");
      await expect(of.log().call.append([mark("unknown", 1)])).rejects.toMatchObject({ code: "unavailable" });
      await world.sleep(10);
      of.disk.faults.broken.clear();
      await world.eventually(
        "the log has another life",
        () => {
          const now = of.node.system.whereis("logs/1");
          return now !== undefined && now.id !== pid?.id;
        },
        1_000,
      );
      expect(await namesOf(of.log())).toEqual(expect.arrayContaining([`0${"k".repeat(200)}`]));
      await of.log().call.append([mark("after", 1)]);
    }));
});

describe("accounts that a required mirror does not take", () => {
  it("are tried again and again, and leave one file open", () =>
    above({ ...required, compactionBytes: 3_000 }, async (of, world) => {
      await of.log().call.append(Array.from({ length: 20 }, (_, i) => mark(`${i}${"k".repeat(200)}`, 1)));
      of.disk.faults.broken.add("mirror/");
      await expect(of.log().call.append([mark("refused", 1)])).rejects.toMatchObject({ code: "unavailable" });
      await world.sleep(5_000);
      of.disk.faults.broken.clear();
      await world.sleep(5_000);
      await of.log().call.append([mark("after", 1)]);
      const open = [...of.use.open].filter((path) => path.startsWith("logs/1/"));
      expect(open).toHaveLength(1);
    }));
});

describe("a log that starts while its required mirror is down", () => {
  it("lives, says so with the cure, refuses what it is asked, and goes on by itself when the mirror is back", () =>
    simulateSeed({ seed: 1 }, async (world) => {
      const of = await started(world, required);
      await of.log().call.append([start(1), mark("before", 1)]);
      of.disk.faults.broken.add("mirror/");
      await of.tree.call.terminateChild("logs/1");
      await of.tree.call.restartChild("logs/1");
      const pid = of.node.system.whereis("logs/1");
      const cure = expect.stringContaining("bring the mirror back");
      expect(await of.log().call.statistics()).toMatchObject({ mirror: "down", trouble: cure });
      await expect(of.log().call.append([mark("refused", 1)])).rejects.toMatchObject({
        code: "unavailable",
        message: cure,
      });
      of.disk.faults.broken.clear();
      await world.sleep(5_000);
      expect(of.node.system.whereis("logs/1")).toEqual(pid);
      expect(await of.log().call.statistics()).toMatchObject({ mirror: "current", trouble: "" });
      await of.log().call.append([mark("after", 1)]);
      expect(await namesOf(of.log())).toEqual(expect.arrayContaining(["after", "before"]));
    }).then(() => undefined));
});

/** A dirty log above its mirror, one that is down or slow included: what it says, whom it refuses, when it is back. */

import { describe, expect, it } from "vitest";
import { controlKeys } from "../../../actors/control_store.ts";
import { db_log_mirror } from "../../../actors/db_log_mirror.ts";
import { dataLimits } from "../../../actors/limits.ts";
import { simulateSeed, type World } from "../../../src/simulation/index.ts";
import { degrading, type More, namesOf, powerCycle, required, type Started, started } from "./log_node.ts";
import { clear, mark, start } from "./log_rows.ts";

const own = "logs/1";
const down = "mirror/";

async function above(more: More, scenario: (of: Started, world: World) => Promise<void>): Promise<void> {
  await simulateSeed({ seed: 1 }, async (world) => {
    const of = await started(world, more);
    await of.log().call.append([mark("before", 1), start(1)]);
    await scenario(of, world);
  });
}

function said(world: World, words: string): readonly unknown[] {
  return world.logged.filter(({ message }) => message.includes(words)).map(({ fields }) => fields.shards);
}

async function mirrored({ node }: Started): Promise<string[]> {
  const { marks } = await node.system.ref(db_log_mirror, "mirror").call.recover({ shard: 0 });
  return marks.map(({ key }) => key.split("\u0000")[1] ?? "");
}

describe("a log that starts", () => {
  const words = "their mirror has them";

  /** The shard has begun a term, so that control knows of it. */
  async function begun(scenario: (of: Started, world: World) => Promise<void>): Promise<void> {
    await above(required, async (of, world) => {
      await of.control.compareAndSet(controlKeys.shard("A", 0), 0, { term: 1 });
      await scenario(of, world);
    });
  }

  it("says that its mirror had to help only where something was lost, and which shards", async () => {
    await begun(async (of, world) => {
      await powerCycle(of, required);
      expect(said(world, words)).toEqual([]);
      of.node.crash();
      of.disk.wipe(own);
      await powerCycle(of, required);
      expect(said(world, words)).toEqual([[0]]);
      expect(await namesOf(of.log())).toEqual(["before"]);
    });
  });

  it("has lost nothing if it ended as it was asked, though something was only noted", async () => {
    await begun(async (of, world) => {
      of.log().cast.note([clear("before", 1)]);
      await of.log().call.statistics();
      await of.tree.call.terminateChild(own);
      await of.tree.call.restartChild(own);
      expect([said(world, words), await namesOf(of.log()), await mirrored(of)]).toEqual([[], [], []]);
    });
  });
});

describe("a required mirror that is down", () => {
  const cure = expect.stringContaining("bring the mirror back");

  it("is said by the statistics, with what ends it", async () => {
    await above(required, async (of) => {
      const well = { mirror: "current", trouble: "" };
      expect(await of.log().call.statistics()).toMatchObject(well);
      of.disk.faults.broken.add(down);
      await expect(of.log().call.append([mark("refused", 1)])).rejects.toMatchObject({ message: cure });
      expect(await of.log().call.statistics()).toMatchObject({ mirror: "down", trouble: cure });
      of.disk.faults.broken.delete(down);
      await of.log().call.append([mark("after", 1)]);
      expect(await of.log().call.statistics()).toMatchObject(well);
    });
  });

  it("has its log refuse what a new account made durable in the log alone", async () => {
    await above({ ...required, compactionBytes: 3_000 }, async (of) => {
      await of.log().call.append(Array.from({ length: 20 }, (_, i) => mark(`${i}${"k".repeat(200)}`, 1)));
      of.disk.faults.broken.add(down);
      await expect(of.log().call.append([mark("refused", 1)])).rejects.toMatchObject({ message: cure });
      // That was the compaction: it is done, and its mirror missing.
      expect(of.disk.list(own)).toEqual(["0000000002.log"]);
      of.disk.faults.broken.delete(down);
      await of.log().call.append([mark("after", 1)]);
      expect(await mirrored(of)).toEqual(expect.arrayContaining(["before", "refused", "after"]));
    });
  });
});

describe("a mirror that was left behind", () => {
  const isBack = (of: Started, world: World, withinMs: number): Promise<void> =>
    world.eventually("the mirror is current", () => stateOf(of).mirror.current, withinMs);

  function stateOf({ node }: Started) {
    return node.stateOf(own) as { readonly mirror: { readonly current: boolean } };
  }

  it("costs its log nothing, and takes the account when it answers, though nothing is written any more", async () => {
    await above(degrading, async (of, world) => {
      await world.sleep(5 * dataLimits.logProbeMs);
      of.disk.faults.broken.add(down);
      await of.log().call.append([mark("without it", 1)]);
      expect(await of.log().call.statistics()).toMatchObject({ mirror: "down", trouble: "" });
      await world.sleep(5 * dataLimits.logProbeMs);
      expect((await of.log().call.statistics()).compactions).toBe(0);
      of.disk.faults.broken.delete(down);
      await isBack(of, world, 3 * dataLimits.logProbeMs);
      await world.sleep(5 * dataLimits.logProbeMs);
      expect((await of.log().call.statistics()).compactions).toBe(1);
      expect(await mirrored(of)).toEqual(["before", "without it"]);
    });
  });

  it("is said to be, once for each account that goes on without it", async () => {
    await above({ ...degrading, compactionBytes: 3_000 }, async (of, world) => {
      of.disk.faults.broken.add(down);
      await of.log().call.append(Array.from({ length: 20 }, (_, i) => mark(`${i}${"k".repeat(200)}`, 1)));
      expect(said(world, "is left behind")).toHaveLength(1);
      await of.log().call.append([mark("compacts", 1)]);
      expect((await of.log().call.statistics()).compactions).toBe(1);
      expect(said(world, "is left behind")).toHaveLength(2);
    });
  });

  it("is given the time that it takes while writes go on, and asked no more once it has everything", async () => {
    await above(degrading, async (of, world) => {
      of.disk.faults.broken.add(down);
      await of.log().call.append([mark("without it", 1)]);
      // An account takes it longer than a probe waits.
      of.disk.faults.slowMs = 150;
      of.disk.faults.broken.delete(down);
      let goesOn = true;
      const writes = (async () => {
        for (let i = 0; goesOn; i++) await of.log().call.append([mark(`k${i}`, 1)]);
      })();
      await isBack(of, world, 20 * dataLimits.logProbeMs);
      await world.sleep(5 * dataLimits.logProbeMs);
      goesOn = false;
      await writes;
      expect(await of.log().call.statistics()).toMatchObject({ mirror: "current", compactions: 1 });
      expect(await mirrored(of)).toEqual(expect.arrayContaining(["before", "without it", "k0"]));
    });
  });
});

/**
 * How a dirty log ends that is asked to: what waits is written or refused, and nothing follows what may have failed.
 */

import { describe, expect, it } from "vitest";
import { hasCode } from "../../../src/index.ts";
import { simulateSeed, type World } from "../../../src/simulation/index.ts";
import { namesOf, powerCycle, type Started, started } from "./log_node.ts";
import { clear, mark, start } from "./log_rows.ts";

const own = "logs/1";

/** Asks the log to end; how it ended. */
async function ended({ node }: Started): Promise<string> {
  return node.system.stopProcess(own, { reason: "shutdown" }).then(
    () => "as it was asked",
    (error: unknown) => String(error),
  );
}

/** How an append of this key ends. */
function appended({ log }: Started, name: string): Promise<string> {
  return log()
    .call.append([mark(name, 1)])
    .then(
      () => "acknowledged",
      (error: unknown) => (hasCode(error, "crashed") || hasCode(error, "noproc") ? "refused" : String(error)),
    );
}

async function eachSeed(scenario: (of: Started, world: World) => Promise<void>): Promise<void> {
  for (let seed = 1; seed <= 20; seed++) {
    await simulateSeed({ seed }, async (world) => {
      const of = await started(world);
      await of.log().call.append([mark("before", 1), mark("done", 1), start(1)]);
      await scenario(of, world);
    });
  }
}

describe("a dirty log that is asked to end", () => {
  it("has written what was only noted, and closed its file", async () => {
    await eachSeed(async (of) => {
      of.log().cast.note([clear("done", 1)]);
      // It has taken the note when it answers.
      await of.log().call.statistics();
      const [file = ""] = of.disk.list(own);
      expect(of.use.open).toContain(`${own}/${file}`);
      expect(await ended(of)).toBe("as it was asked");
      expect(of.use.open).not.toContain(`${own}/${file}`);
      await powerCycle(of);
      expect(await namesOf(of.log())).toEqual(["before"]);
    });
  });

  it("loses nothing that it acknowledged, whenever it is asked, and answers everybody", async () => {
    await eachSeed(async (of, world) => {
      const answers = new Map<string, string>();
      const names = Array.from({ length: 30 }, (_, i) => `k${i}`);
      const writes = names.map(async (name) => {
        await world.sleep(world.chance("begins") * 4);
        answers.set(name, await appended(of, name));
      });
      await world.sleep(world.chance("ends") * 4);
      const how = await ended(of);
      await Promise.all(writes);
      expect(how).toBe("as it was asked");
      expect(answers.size).toBe(names.length);
      for (const answer of answers.values()) expect(["acknowledged", "refused"]).toContain(answer);
      await powerCycle(of);
      const kept = names.filter((name) => answers.get(name) === "acknowledged");
      expect(await namesOf(of.log())).toEqual(expect.arrayContaining(kept));
      expect((await of.log().call.statistics()).damaged).toBe(0);
    });
  });

  it("refuses what waits behind a commit, and does not write it: that commit may fail", async () => {
    await eachSeed(async (of, world) => {
      of.disk.faults.slowMs = 10;
      of.disk.faults.failingSyncs = 1;
      const answers = ["under way", "waits"].map((name) => appended(of, name));
      await world.sleep(5);
      await ended(of);
      expect(await Promise.all(answers)).toEqual(["refused", "refused"]);
      of.disk.faults.slowMs = 0;
      await powerCycle(of);
      expect((await of.log().call.statistics()).damaged).toBe(0);
      expect(await namesOf(of.log())).not.toContain("waits");
    });
  });

  it("has nothing under way on the disk when it has ended, and another finds all that it left", async () => {
    for (let seed = 1; seed <= 40; seed++) {
      await simulateSeed({ seed }, async (world) => {
        const of = await started(world, { compactionBytes: 2_000 });
        const names = Array.from({ length: 20 }, (_, i) => `${i}${"k".repeat(100)}`);
        await of.log().call.append([...names.map((name) => mark(name, 1)), start(1)]);
        // It writes everything anew now.
        const answer = appended(of, "last");
        await world.sleep(world.chance("ends") * 4);
        await of.tree.call.terminateChild(own);
        expect([of.use.underWay, await answer]).toEqual([0, expect.stringMatching(/acknowledged|refused/)]);
        expect([...of.use.open].filter((path) => path.startsWith(own))).toEqual([]);
        await of.tree.call.restartChild(own);
        expect(await appended(of, "after")).toBe("acknowledged");
        await powerCycle(of);
        expect(await namesOf(of.log())).toEqual(expect.arrayContaining([...names, "after"]));
        expect((await of.log().call.statistics()).damaged).toBe(0);
      });
    }
  });

  it("on a full disk ends all the same, and refuses what waits", async () => {
    await eachSeed(async (of) => {
      of.disk.faults.bytesMax = of.disk.used;
      await expect(of.log().call.append([mark("too much", 1)])).rejects.toMatchObject({
        code: "unavailable",
      });
      const waits = appended(of, "waits");
      expect([await ended(of), await waits]).toEqual(["as it was asked", "refused"]);
      of.disk.faults.bytesMax = Number.POSITIVE_INFINITY;
      await powerCycle(of);
      expect(await namesOf(of.log())).toEqual(["before", "done"]);
      expect((await of.log().call.statistics()).damaged).toBe(0);
    });
  });
});

describe("a dirty log that ends of a write that failed", () => {
  it("writes nothing behind it, what waits included, and closes its file", async () => {
    await eachSeed(async (of, world) => {
      const [file = ""] = of.disk.list(own);
      const before = of.node.process(own);
      of.disk.faults.failingSyncs = 1;
      const answers = ["fails", "waits"].map((name) => appended(of, name));
      expect(await Promise.all(answers)).toEqual([expect.stringContaining("can't be written"), "refused"]);
      await world.eventually("it starts anew", () => of.node.process(own) !== before, 1_000);
      expect(of.use.open).not.toContain(`${own}/${file}`);
      await powerCycle(of);
      expect(await namesOf(of.log())).not.toContain("waits");
      expect((await of.log().call.statistics()).damaged).toBe(0);
    });
  });
});

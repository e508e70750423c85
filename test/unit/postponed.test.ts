import { describe, expect, it } from "vitest";
import { PostponedLanes } from "../../src/core/postponed_lanes.ts";
import { queue, stickyQueue } from "../../src/index.ts";
import { simulateSeed } from "../../src/simulation/index.ts";
import { type Gate, gate_keeper } from "../fixtures/gate_keeper.ts";

describe("postponed lanes", () => {
  it("one of a group is tried at a time, the one that waits longest first", () => {
    const lanes = new PostponedLanes();
    expect([lanes.postpone("a", "g"), lanes.postpone("b", "g"), lanes.postpone("c", "h")]).toEqual([
      true,
      false,
      true,
    ]);
    expect(lanes.probe("g")).toBe("a");
    expect(lanes.postpone("a", "g")).toBe(false);
    expect([lanes.probe("g"), lanes.probe("g"), lanes.probe("g")]).toEqual(["b", "a", undefined]);
    expect(lanes.postpone("d", "g")).toBe(true);
  });

  it("a job that is done lets its group go on, and no other", () => {
    const lanes = new PostponedLanes();
    for (const lane of ["a", "b", "c"]) lanes.postpone(lane, "g");
    lanes.postpone("x", "h");
    expect(lanes.done("x")).toEqual([]);
    expect(lanes.probe("g")).toBe("a");
    expect(lanes.done("a")).toEqual(["b", "c"]);
    expect(lanes.done("a")).toEqual([]);
    expect(lanes.probe("g")).toBeUndefined();
    expect(lanes.probe("h")).toBe("x");
  });
});

describe.each([queue(), stickyQueue()])("a factory whose workers postpone, $type", (routing) => {
  it("serves others meanwhile, tries few, answers each once the gate is open, and drains after that", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const gate: Gate = { open: false, tried: 0 };
      const { system } = await world.node("n", { resources: () => ({ gate }) });
      const factory = await system.startFactory("gates", gate_keeper, { args: null, workers: 2, routing });
      const answered: string[] = [];
      const gated = Array.from({ length: 50 }, (_, i) =>
        factory
          .call(`gated ${i}`, "pass", `gated ${i}`, { timeoutMs: 60_000 })
          .then((key) => answered.push(String(key))),
      );
      await world.sleep(100);
      // Each once, and one of them every 10 ms.
      expect(gate.tried).toBeLessThan(65);
      expect(await factory.call("free", "pass", "free")).toBe("free");
      expect(answered).toEqual([]);
      const drained = factory.drain();
      await world.sleep(100);
      gate.open = true;
      await Promise.all([drained, ...gated]);
      expect(new Set(answered).size).toBe(50);
    });
  });

  it("gives up a postponed job at its deadline", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const { system } = await world.node("n", { resources: () => ({ gate: { open: false, tried: 0 } }) });
      const factory = await system.startFactory("gates", gate_keeper, { args: null, workers: 1, routing });
      const answer = factory.call("gated", "pass", "gated", { timeoutMs: 200 });
      await expect(answer).rejects.toMatchObject({ code: expect.stringMatching(/timeout|discarded/) });
      await world.sleep(3_000);
      expect((await factory.statistics()).waiting).toBe(0);
    });
  });
});

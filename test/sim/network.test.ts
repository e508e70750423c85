/** Calls by name between the nodes of a cluster, and what the network between them does to them. */

import { describe, expect, it } from "vitest";
import { child } from "../../src/index.ts";
import { type SimulatedNode, simulateSeed, type World } from "../../src/simulation/index.ts";
import { counter } from "./echo.ts";

/** Node `b` has the counter; `a` asks it by its name. */
async function cluster(world: World) {
  const nodeOf = (name: string): string | undefined => (name === "counter" ? "b" : undefined);
  const a = await world.node("a", { nodeOf });
  const b = await world.node("b", { nodeOf, skewMs: 3_600_000 });
  await startCounter(b);
  return { a, b, ref: a.system.ref(counter, "counter") };
}

async function startCounter(node: SimulatedNode): Promise<void> {
  await node.system.supervise({ children: [child("counter", counter, { from: 0 }, { name: "counter" })] });
}

describe("a call by name to another node", () => {
  it("is answered, with the callee's errors, whatever the clocks say", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const { ref } = await cluster(world);
      expect(await ref.call.add(2)).toBe(2);
      expect(await ref.call.addLater({ amount: 3, delayMs: 50 })).toBe(5);
      await expect(ref.call.crash()).rejects.toMatchObject({ code: "crashed" });
    });
  });

  it("times out when its answer is lost, though it took effect", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const { ref } = await cluster(world);
      world.network.way("b", "a").lossShare = 1;
      await expect(ref.call.add(1, { timeoutMs: 100 })).rejects.toMatchObject({ code: "timeout" });
      world.network.way("b", "a").lossShare = 0;
      expect(await ref.call.add(0)).toBe(1);
    });
  });

  it("takes effect late when its way held it", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const { b, ref } = await cluster(world);
      world.network.way("a", "b").cut = "hold";
      await expect(ref.call.add(1, { timeoutMs: 100 })).rejects.toMatchObject({ code: "timeout" });
      const value = (): unknown => (b.stateOf("counter") as { value: number }).value;
      expect(value()).toBe(0);
      world.network.heal("a", "b");
      await world.eventually("the held call arrives", () => value() === 1, 100);
    });
  });

  it("is told at once that the node died, and finds it again when it is back", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const { b, ref } = await cluster(world);
      const asked = ref.call.never(undefined, { timeoutMs: 60_000 });
      const heard = expect(asked).rejects.toMatchObject({ code: "crashed" });
      await world.sleep(20);
      b.crash();
      await heard;
      await expect(ref.call.add(1)).rejects.toMatchObject({ code: "crashed" });
      expect(world.nowMs).toBeLessThan(100);
      await b.restart();
      await startCounter(b);
      expect(await ref.call.add(7)).toBe(7);
    });
  });

  it("fails within seconds when its request was lost, however long its caller would wait", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const { ref } = await cluster(world);
      world.network.way("a", "b").lossShare = 1;
      const asked = ref.call.add(1, { timeoutMs: 3_600_000 });
      const heard = expect(asked).rejects.toMatchObject({ code: "crashed" });
      await world.sleep(20);
      world.network.way("a", "b").lossShare = 0;
      await heard;
      expect(world.nowMs).toBeLessThan(2_000);
    });
  });

  it("fails within seconds when its node is cut off, and waits for an hour while somebody works on it", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const { ref } = await cluster(world);
      expect(await ref.call.addLater({ amount: 1, delayMs: 3_000_000 }, { timeoutMs: 3_600_000 })).toBe(1);
      const asked = ref.call.never(undefined, { timeoutMs: 3_600_000 });
      const heard = expect(asked).rejects.toMatchObject({ code: "crashed" });
      world.network.way("b", "a").cut = "drop";
      await heard;
      expect(world.nowMs).toBeLessThan(3_010_000);
    });
  });

  it("arrives twice only if it may be repeated", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const { b, ref } = await cluster(world);
      world.network.way("a", "b").repeatShare = 1;
      expect(await ref.call.add(1)).toBe(1);
      world.network.mayRepeat = (_, method) => method === "add";
      await ref.call.add(1);
      await world.sleep(100);
      expect((b.stateOf("counter") as { value: number }).value).toBe(3);
    });
  });

  it("keeps its place on a way without faults, and loses it on one that reorders", async () => {
    const order = (reorderShare: number): Promise<number[]> =>
      simulateSeed({ seed: 1 }, async (world) => {
        const { ref } = await cluster(world);
        world.network.way("a", "b").reorderShare = reorderShare;
        const sums = Array.from({ length: 20 }, (_, i) => ref.call.add(i === 0 ? 1 : 0).then(() => i));
        const arrived: number[] = [];
        await Promise.all(sums.map(async (sum) => arrived.push(await sum)));
        return arrived;
      }).then(({ result }) => result);
    const inOrder = Array.from({ length: 20 }, (_, i) => i);
    expect(await order(0)).toEqual(inOrder);
    expect(await order(0.5)).not.toEqual(inOrder);
  });
});

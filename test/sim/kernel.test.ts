import { describe, expect, it } from "vitest";
import { child } from "../../src/index.ts";
import { SimulationError, simulateSeed, type World } from "../../src/simulation/index.ts";
import { counter } from "./echo.ts";

async function startCounter(world: World, threads = 0) {
  const node = await world.node("n", { threads });
  const placed = threads === 0 ? {} : { thread: 1 };
  const spec = child("counter", counter, { from: 0 }, { name: "counter", ...placed });
  await node.system.supervise({ children: [spec], intensity: 10 });
  return { node, ref: node.system.ref(counter, "counter") };
}

/** Calls, casts, timers, a crash and a restart, over two threads. */
async function busy(world: World): Promise<number> {
  const { node, ref } = await startCounter(world, 1);
  ref.cast.tick(7);
  for (let i = 0; i < 20; i++) {
    await Promise.all([
      ref.call.add(i),
      ref.call.addLater({ amount: 1, delayMs: 1 + world.chance("pause") * 10 }),
    ]);
  }
  await ref.call.crash().catch(() => undefined);
  await world.eventually("the counter is back", () => node.stateOf("counter") !== undefined, 1_000);
  return ref.call.add(1);
}

describe("the simulation kernel", () => {
  it("runs a gen_server's timers in virtual time, not in real time", async () => {
    const report = await simulateSeed({ seed: 1 }, async (world) => {
      const { ref } = await startCounter(world);
      const value = await ref.call.addLater({ amount: 5, delayMs: 3_600_000 }, { timeoutMs: 4_000_000 });
      return { value, atMs: world.nowMs };
    });
    expect(report.result).toEqual({ value: 5, atMs: 3_600_000 });
  });

  it("goes on with a scenario in the instant in which what it waits for holds", async () => {
    const { result } = await simulateSeed({ seed: 1 }, async (world) => {
      const { ref } = await startCounter(world);
      const added = ref.call.add(1);
      await world.eventually("an event has happened", () => true, 1_000);
      const heldMs = world.nowMs;
      // Nothing but the call's deadline is left to happen.
      await added;
      await world.eventually("another one has", () => true, 1_000);
      return [heldMs, world.nowMs];
    });
    expect(result).toEqual([0, 0]);
  });

  it.each(["fifo", "random", "pct"] as const)(
    "gives equal hashes for equal seeds, %s order",
    async (order) => {
      const [first, second, other] = [
        await simulateSeed({ seed: 7, order }, busy),
        await simulateSeed({ seed: 7, order }, busy),
        await simulateSeed({ seed: 8, order }, busy),
      ];
      expect(second).toEqual(first);
      expect(other.hash).not.toBe(first.hash);
    },
  );

  it("a call times out at its deadline in virtual time", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const { ref } = await startCounter(world);
      await expect(ref.call.never(undefined, { timeoutMs: 2_000 })).rejects.toMatchObject({
        code: "timeout",
      });
      expect(world.nowMs).toBeGreaterThanOrEqual(2_000);
      expect(world.nowMs).toBeLessThan(2_100);
    });
  });

  it("a draw at one site leaves the draws of another site as they were", async () => {
    const draws = async (others: number): Promise<number[]> => {
      const report = await simulateSeed({ seed: 3 }, async (world) => {
        const { ref } = await startCounter(world);
        for (let i = 0; i < others; i++) world.chance("another site");
        return [await ref.call.draw(), await ref.call.draw()];
      });
      return report.result;
    };
    expect(await draws(5)).toEqual(await draws(0));
  });

  it("each node has its own wall clock, which may jump; monotonic time does not", async () => {
    await simulateSeed({ seed: 1, startMs: 1_000_000 }, async (world) => {
      const [one, other] = [await world.node("a"), await world.node("b", { skewMs: -3_600_000 })];
      const start = (node: typeof one) => node.system.spawn(counter, { from: 0 }, { name: "counter" });
      await Promise.all([start(one), start(other)]);
      const timesOf = (node: typeof one) => node.system.ref(counter, "counter").call.times();
      const before = await timesOf(one);
      expect(before.now - (await timesOf(other)).now).toBe(3_600_000);
      one.wallClock.skewMs = 500;
      const after = await timesOf(one);
      expect(after.now - before.now).toBe(500);
      expect(after.monotonicMs).toBe(before.monotonicMs);
    });
  });

  it("a scenario that waits for what can't come fails instead of hanging", async () => {
    await expect(simulateSeed({ seed: 1 }, () => new Promise(() => undefined))).rejects.toThrow(
      SimulationError,
    );
    const starved = simulateSeed({ seed: 1 }, async (world) => {
      await startCounter(world);
      await world.eventually("pigs fly", () => false, 500);
    });
    await expect(starved).rejects.toThrow("after 500 ms still not: pigs fly");
  });

  it("idle comes when nothing is left to happen", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const { ref } = await startCounter(world);
      const answer = ref.call.addLater({ amount: 1, delayMs: 50 });
      await world.idle();
      // The deadline of the call is the last thing that could happen.
      expect(world.nowMs).toBeGreaterThanOrEqual(50);
      expect(await answer).toBe(1);
    });
  });
});

describe("simulated threads", () => {
  it("a thread that dies takes its processes along, and its supervisor starts them on the next life", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const { node, ref } = await startCounter(world, 1);
      await ref.call.add(41);
      const asked = ref.call.never();
      await world.sleep(5);
      node.crashThread(1);
      await expect(asked).rejects.toMatchObject({ code: "crashed" });
      await world.eventually("the counter is back", () => node.stateOf("counter") !== undefined, 1_000);
      expect(await ref.call.add(1)).toBe(1);
      expect(node.process("counter")?.pid.incarnation).toBe(2);
    });
  });

  it("a thread that died just before its node has one life after both restarts", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const node = await world.node("n", { threads: 1, threadRestartMs: 50 });
      node.crashThread(1);
      node.crash();
      await node.restart();
      const spec = child("counter", counter, { from: 0 }, { name: "counter", thread: 1 });
      await node.system.supervise({ children: [spec] });
      await world.sleep(100);
      expect(await node.system.ref(counter, "counter").call.add(1)).toBe(1);
      expect(node.process("counter")?.pid.incarnation).toBe(2);
    });
  });

  it("messages of one thread arrive in their order, whatever each one's delay", async () => {
    await simulateSeed({ seed: 5, order: "random" }, async (world) => {
      const { ref } = await startCounter(world, 1);
      const sums = await Promise.all(Array.from({ length: 200 }, () => ref.call.add(1)));
      expect(sums).toEqual(Array.from({ length: 200 }, (_, i) => i + 1));
    });
  });

  it("a held way keeps its messages until it is released", async () => {
    await simulateSeed({ seed: 5 }, async (world) => {
      const { node, ref } = await startCounter(world, 1);
      node.mesh.hold(0, 1);
      const answer = ref.call.add(1);
      await world.sleep(1_000);
      expect(node.stateOf("counter")).toMatchObject({ value: 0 });
      node.mesh.release(0, 1);
      expect(await answer).toBe(1);
    });
  });

  it("after a node's crash nothing of its old life happens", async () => {
    await simulateSeed({ seed: 5 }, async (world) => {
      const { node, ref } = await startCounter(world, 1);
      ref.cast.tick(10);
      await world.sleep(100);
      node.crash();
      await world.idle();
      const events = world.timeline.events;
      await world.sleep(1_000);
      expect(world.timeline.events).toBe(events + 1);
      await node.restart();
      expect(node.system.whereis("counter")).toBeUndefined();
    });
  });
});

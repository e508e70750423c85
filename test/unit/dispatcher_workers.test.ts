/** A factory's dispatcher by itself, in virtual time: how its workers come, go, end and change. */

import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Factory } from "../../src/core/factory.ts";
import type { State } from "../../src/core/factory_state.ts";
import { coreLimits } from "../../src/core/limits.ts";
import { PostponedLanes } from "../../src/core/postponed_lanes.ts";
import {
  consistentHash,
  type NanoError,
  type Pid,
  queue,
  type System,
  startSystem,
  stickyQueue,
} from "../../src/index.ts";
import { type SimulatedNode, simulateSeed, type World } from "../../src/simulation/index.ts";
import { pool, pool_worker, resetPool } from "../conformance/pool_worker.ts";
import { job, outcome } from "../conformance/pools.ts";
import { forEver, lateAfter, play, request } from "../fixtures/dispatcher_stage.ts";
import { type Gate, gate_keeper } from "../fixtures/gate_keeper.ts";
import { type TallyOptions, tally as tally1 } from "../fixtures/tally_v1.ts";
import { tally as tally2 } from "../fixtures/tally_v2.ts";

beforeEach(resetPool);
afterEach(() => {
  vi.restoreAllMocks();
});

/** Whether each worker answers. */
async function answers(factory: Factory<typeof pool_worker>): Promise<boolean[]> {
  return (await factory.all.call.work(job("all", 1, 0))).map(({ ok }) => ok);
}

async function pidsOf(factory: Factory<typeof pool_worker>): Promise<Pid[]> {
  await factory.all.call.work(job("all", 0, 0));
  return [...new Set(pool.history.map(({ worker }) => worker))];
}

/** Ends the worker of this key. */
async function crash(factory: Factory<typeof tally1>, key: string): Promise<void> {
  await expect(factory.at(key).call.crash()).rejects.toMatchObject({ code: "crashed" });
}

describe("workers that are resized away", () => {
  it("end at once if they have no job, and after their jobs else, which a drain waits for", () =>
    play({ workers: 3 }, async ({ node, world, dispatcher, work, state, pidOf }) => {
      const jobs = [work("a", 0, 1_000), work("b", 1, 1_000)];
      await world.sleep(10);
      const pids = [0, 1, 2].map(pidOf);
      const lives = () => pids.map((pid) => node.processOf(pid) !== undefined);
      expect(lives()).toEqual([true, true, true]);
      await dispatcher.call.resize(1);
      await world.sleep(10);
      expect(lives()).toEqual([true, true, false]);
      expect(await dispatcher.call.statistics()).toMatchObject({ workers: 1, running: 2 });
      let drained = false;
      const draining = dispatcher.call.drain(undefined, { timeoutMs: forEver }).then(() => {
        drained = true;
      });
      await world.sleep(500);
      expect(drained).toBe(false);
      expect(await Promise.all(jobs)).toEqual([0, 1]);
      await draining;
      await world.sleep(10);
      expect(lives()).toEqual([true, false, false]);
      expect(state().leaving).toEqual([]);
    }));

  it("end after their jobs, also when one of them crashes before", () =>
    play({ workers: 3 }, async ({ node, world, dispatcher, work, state, pidOf }) => {
      const jobs = [work("a", 0, 100), work("b", 1, 100), work("c", 2, 200)];
      await world.sleep(10);
      const [second, third] = [pidOf(1), pidOf(2)];
      await dispatcher.call.resize(1);
      node.system.exit(second, "killed");
      expect(await Promise.all(jobs)).toEqual([0, "crashed killed", 2]);
      await world.sleep(20);
      expect([node.processOf(second), node.processOf(third)]).toEqual([undefined, undefined]);
      expect(state().leaving).toEqual([]);
      expect(pool.starts).toBe(3);
    }));
});

describe("a worker that hands its job back", () => {
  it("ends if it was resized away meanwhile, and its job goes to another", () =>
    play({ workers: 2 }, async ({ node, world, dispatcher, work, state, pidOf }) => {
      const second = pidOf(1);
      await node.system.suspend(second);
      const first = work("a", 0, 300);
      const late = await lateAfter(100, dispatcher, "b");
      expect(late).toBe("timeout");
      await dispatcher.call.resize(1);
      await node.system.resume(second);
      await world.sleep(20);
      expect(node.processOf(second)).toBeUndefined();
      expect(state().leaving).toEqual([]);
      expect(await first).toBe(0);
      expect(await dispatcher.call.statistics()).toMatchObject({ running: 0, waiting: 0 });
    }));

  it("is asked again only as long as a job of its group waits", () =>
    simulateSeed({ seed: 1 }, async (world) => {
      const gate: Gate = { open: false, tried: 0 };
      const { system } = await world.node("n", { resources: () => ({ gate }) });
      const options = { args: null, workers: 1, routing: queue() };
      const factory = await system.startFactory("gates", gate_keeper, options);
      const gated = factory.at("k").call.pass("gated", { timeoutMs: 60_000 });
      await world.sleep(100);
      gate.open = true;
      await gated;
      await world.sleep(100);
      const probed = vi.spyOn(PostponedLanes.prototype, "probe");
      await world.sleep(1_000);
      expect(probed).not.toHaveBeenCalled();
    }).then(() => undefined));

  it("is waited for by a drain until its job has expired", () =>
    simulateSeed({ seed: 1 }, async (world) => {
      const { system } = await world.node("n", { resources: () => ({ gate: { open: false, tried: 0 } }) });
      const options = { args: null, workers: 1, routing: queue(), jobs: { ageMaxMs: 200 } };
      const factory = await system.startFactory("gates", gate_keeper, options);
      const gated = outcome(factory.at("k").call.pass("gated", { timeoutMs: forEver }).then(Number));
      await world.sleep(50);
      await factory.drain();
      expect(world.nowMs).toBeGreaterThan(200);
      expect(world.nowMs).toBeLessThan(500);
      expect(await gated).toBe("discarded expired");
    }).then(() => undefined));
});

describe("a worker that is started again", () => {
  it("before the end of its last job was heard of gets the next one after that", async () => {
    let early = 0;
    for (let seed = 1; seed <= 20; seed++) {
      await simulateSeed({ seed, order: "random" }, async (world) => {
        const node = await world.node("n", { threads: 2 });
        await world.sleep(5);
        const options = { args: undefined, workers: 3, routing: stickyQueue(), thread: "any" } as const;
        const factory = await node.system.startFactory("pool", pool_worker, options);
        world.afterEachEvent(() => {
          const { workers } = node.stateOf("pool") as State;
          for (const { pid, lane, used } of workers)
            if (pid !== undefined && lane !== undefined && !used) early++;
        });
        const sent = Array.from({ length: 60 }, async (_, n) => {
          await world.sleep(world.chance("comes") * 100);
          const { call } = factory.at(`key ${n % 5}`);
          const method = n % 2 === 0 ? call.crash : call.work;
          return outcome(method(job(`key ${n % 5}`, n, world.chance("ms") * 20)));
        });
        const ends = await Promise.all(sent);
        expect(ends).toEqual(ends.map((_, n) => (n % 2 === 0 ? "crashed" : n)));
        await world.sleep(10);
        expect(await factory.statistics()).toMatchObject({ done: 30, crashed: 30, orderViolations: 0 });
      });
    }
    expect(early).toBeGreaterThan(0);
  });

  it("while it is resized away ends as soon as it is there", () =>
    play({ workers: 2 }, async ({ node, world, dispatcher, work, state, pidOf }) => {
      await Promise.all([work("a", 0), work("b", 1)]);
      const resizes: Promise<void>[] = [];
      world.afterEachEvent(() => {
        if (resizes.length === 0 && state().starting > 0) resizes.push(dispatcher.call.resize(1));
      });
      node.system.exit(pidOf(1), "killed");
      await world.sleep(100);
      await Promise.all(resizes);
      expect([resizes.length, pool.starts]).toEqual([1, 3]);
      const own = pidOf(0);
      const processes = Array.from({ length: 50 }, (_, id) => node.processOf({ ...own, id }));
      const workers = processes.filter((each) => each?.definition.name === "pool_worker");
      expect(workers.map((each) => each?.pid)).toEqual([own]);
    }));
});

describe("a worker that ends as it starts", () => {
  it("is known to have ended, whichever of many is heard of first", async () => {
    for (let seed = 1; seed <= 20; seed++) {
      await simulateSeed({ seed, order: "random" }, async (world) => {
        resetPool();
        const node = await world.node("n", { threads: 2 });
        await world.sleep(5);
        const options = { args: undefined, workers: 6, routing: consistentHash(), thread: "any" } as const;
        const factory = await node.system.startFactory("pool", pool_worker, options);
        for (const pid of await pidsOf(factory)) node.system.exit(pid, "killed");
        pool.crashingStarts = 4;
        pool.failingStarts = 3;
        await world.sleep(1_000);
        expect(await answers(factory)).not.toContain(false);
        expect((node.stateOf("pool") as State).endedEarly.size).toBe(0);
      });
    }
  });

  // Only the real run queue takes the news of its end before that of its start.
  it("is known to have ended before it is known to have started, beside another one", async () => {
    const system = await startSystem();
    const options = { args: undefined, workers: 2, routing: queue() };
    const factory = await system.startFactory("pool", pool_worker, options);
    await Promise.all([factory.at("a").call.work(job("a", 0)), factory.at("b").call.work(job("b", 1))]);
    pool.crashingStarts = 2;
    for (const { worker, what } of pool.history) if (what === "begins") system.exit(worker, "killed");
    for (let tries = 0; pool.starts < 6 && tries < 200; tries++) await sleep(5);
    expect(pool.starts).toBe(6);
    expect(await answers(factory)).toEqual([true, true]);
    await system.stop();
  });

  it("is started again at once if it had a job before", () =>
    play({}, async ({ world, work, dispatcher }) => {
      const crashing = dispatcher.call.job({ ...request("k", 0, 10), method: "crash" });
      await expect(crashing).rejects.toMatchObject({ code: "crashed" });
      const sinceMs = world.nowMs;
      expect(await work("k", 1, 0)).toBe(1);
      expect(world.nowMs - sinceMs).toBeLessThan(coreLimits.restartRetryMs / 2);
    }));

  it("is not started again if it was resized away meanwhile", () =>
    play({ workers: 2 }, async ({ node, world, dispatcher, pidOf }) => {
      node.system.exit(pidOf(1), "killed");
      await world.sleep(10);
      await dispatcher.call.resize(1);
      await world.sleep(200);
      expect(pool.starts).toBe(2);
    }));
});

describe("a job that takes too long", () => {
  it("has no worker to be killed any more between its worker's end and its own", async () => {
    let between = 0;
    for (let seed = 1; seed <= 20; seed++) {
      await simulateSeed({ seed, order: "random" }, async (world) => {
        const node = await world.node("n", { threads: 1 });
        await world.sleep(5);
        const options = { args: undefined, workers: 1, routing: queue(), thread: 1 } as const;
        const factory = await node.system.startFactory("pool", pool_worker, options);
        let told = false;
        world.afterEachEvent(() => {
          const { self, workers } = node.stateOf("pool") as State;
          const [worker] = workers;
          if (told || worker?.job === undefined || worker.pid !== undefined) return;
          told = true;
          self.castSelf("overrun", { worker, job: worker.job });
        });
        const crashing = factory.at("k").call.crash(job("k", 0));
        await expect(crashing).rejects.toMatchObject({ code: "crashed" });
        expect(await factory.at("k").call.work(job("k", 1))).toBe(1);
        await world.sleep(10);
        expect(await factory.statistics()).toMatchObject({ done: 1, crashed: 1, running: 0 });
        if (told) between++;
      });
    }
    expect(between).toBeGreaterThan(0);
  });
});

describe("an upgrade", () => {
  it("mends a worker that crashes as it waits for its turn, and could not start again as it was", () =>
    play({ args: {} }, async ({ world, dispatcher }) => {
      const crashing = dispatcher.call.job({ ...request("k", 0, 50), method: "crash" });
      const { module, name } = tally2;
      const next = { definition: { module, name }, threads: undefined, watchMs: 0 };
      let isDone = false;
      const upgraded = dispatcher.call.upgrade(next, { timeoutMs: forEver }).then(() => {
        isDone = true;
      });
      pool.failingStarts = forEver;
      await expect(crashing).rejects.toMatchObject({ code: "crashed" });
      await world.sleep(1_000);
      expect(isDone).toBe(true);
      await upgraded;
      const note = { key: "k", kind: "call", method: "note", message: { key: "k", n: 1 } } as const;
      expect(await dispatcher.call.job(note)).toMatchObject({ version: "2" });
    }));
});

describe("a worker that ends during an upgrade", () => {
  /** Of two workers, each with its key, on which an upgrade has begun that watches each for 200 ms. */
  async function onTwo(
    args: TallyOptions,
    scenario: (stage: {
      readonly world: World;
      readonly system: System;
      readonly factory: Factory<typeof tally1>;
      readonly keys: readonly [string, string];
      readonly upgraded: Promise<unknown>;
    }) => Promise<void>,
  ): Promise<void> {
    await simulateSeed({ seed: 1 }, async (world) => {
      const { system } = await world.node("n");
      const options = { args, workers: 2, routing: consistentHash() };
      const factory = await system.startFactory("tally", tally1, options);
      const keys = ["a", "b", "c", "d", "e"];
      const places = await Promise.all(keys.map(async (key) => (await factory.explain(key)).worker));
      const keyOf = (worker: number): string => keys[places.indexOf(worker)] ?? "";
      const upgraded = system
        .upgradeFactory(factory, tally2, { watchMs: 200 })
        .catch(({ code }: NanoError) => code);
      await world.sleep(100);
      await scenario({ world, system, factory, keys: [keyOf(0), keyOf(1)], upgraded });
    });
  }

  it("before its turn begins again as it was, and has its turn", () =>
    onTwo({}, async ({ factory, keys: [first, second], upgraded }) => {
      const versionOf = async (key: string) => (await factory.at(key).call.note({ key, n: 0 })).version;
      expect(await versionOf(first)).toBe("2");
      await crash(factory, second);
      expect(await versionOf(second)).toBe("1");
      await upgraded;
      expect(await versionOf(second)).toBe("2");
    }));

  it("before it goes back begins again as the former version", () =>
    onTwo({ fault: "init" }, async ({ world, system, factory, keys: [first, second], upgraded }) => {
      await world.sleep(200);
      const last = await factory.at(second).call.who();
      const cut = outcome(factory.at(second).call.slow(10_000).then(Number));
      await crash(factory, first);
      await world.sleep(20);
      system.exit(last, "killed");
      expect(await cut).toBe("crashed killed");
      expect(await Promise.race([upgraded, world.sleep(2_000)])).toBe("rolled_back");
      expect(await factory.at(second).call.note({ key: second, n: 0 })).toMatchObject({ version: "1" });
    }));
});

describe("an upgrade that fails while a worker is watched", () => {
  async function causeOf(ends: (factory: Factory<typeof tally1>, node: SimulatedNode) => Promise<unknown>) {
    let cause: unknown;
    await simulateSeed({ seed: 1 }, async (world) => {
      const node = await world.node("n");
      const options = { args: {}, workers: 1, routing: queue() };
      const factory = await node.system.startFactory("tally", tally1, options);
      const upgraded = node.system.upgradeFactory(factory, tally2, { watchMs: 500 });
      const failed = upgraded.catch((error: NanoError) => error.details.cause);
      await world.sleep(100);
      await ends(factory, node);
      cause = await failed;
    });
    return cause;
  }

  it("tells the error by which it crashed", async () => {
    const cause = await causeOf((factory) => crash(factory, "k"));
    expect(cause).toMatchObject({ code: "crashed", message: expect.stringMatching(/^(?!a worker ended)/) });
    expect(cause).toMatchObject({ message: expect.stringContaining("told to crash") });
  });

  it.each(["killed", { shutdown: "for a reason" }] as const)(
    "tells that it was ended: %j",
    async (reason) => {
      const cause = await causeOf(async (factory, { system }) =>
        system.exit(await factory.at("k").call.who(), reason),
      );
      expect(cause).toEqual({ code: "crashed", message: `a worker ended: ${JSON.stringify(reason)}` });
    },
  );
});

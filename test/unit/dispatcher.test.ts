/** A factory's dispatcher by itself, in virtual time: what it admits, keeps and forgets. Beside it: gen_factory.test. */

import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Factory } from "../../src/core/factory.ts";
import type { DispatcherOptions, State } from "../../src/core/factory_state.ts";
import { factory_dispatcher } from "../../src/core/gen_factory.ts";
import { KeyOrder } from "../../src/core/key_order.ts";
import { coreLimits } from "../../src/core/limits.ts";
import { estimateBytes } from "../../src/core/mailbox.ts";
import { PostponedLanes } from "../../src/core/postponed_lanes.ts";
import {
  child,
  consistentHash,
  type NanoError,
  type Pid,
  queue,
  type Ref,
  stickyQueue,
} from "../../src/index.ts";
import { type SimulatedNode, simulateSeed, type World } from "../../src/simulation/index.ts";
import { pool, pool_worker, resetPool } from "../conformance/pool_worker.ts";
import { job, outcome } from "../conformance/pools.ts";
import { type Gate, gate_keeper } from "../fixtures/gate_keeper.ts";
import { tally as tally1 } from "../fixtures/tally_v1.ts";
import { tally as tally2 } from "../fixtures/tally_v2.ts";

beforeEach(resetPool);

interface Stage {
  readonly node: SimulatedNode;
  readonly world: World;
  readonly dispatcher: Ref<typeof factory_dispatcher>;
  /** What became of a job. */
  readonly work: (key: string, n: number, ms?: number) => Promise<number | string>;
  readonly state: () => State;
}

const forEver = Number.POSITIVE_INFINITY;

function request(key: string, n: number, ms: number) {
  return { key, kind: "call", method: "work", message: job(key, n, ms) } as const;
}

function lateAfter(timeoutMs: number, dispatcher: Ref<typeof factory_dispatcher>, key: string) {
  return outcome(dispatcher.call.job(request(key, 0, 10), { timeoutMs }) as Promise<number>);
}

async function pidsOf(factory: Factory<typeof pool_worker>): Promise<Pid[]> {
  await factory.all.call.work(job("all", 0, 0));
  return [...new Set(pool.history.map(({ worker }) => worker))];
}

async function play(
  options: Partial<DispatcherOptions>,
  scenario: (stage: Stage) => Promise<void>,
): Promise<void> {
  await simulateSeed({ seed: 1 }, async (world) => {
    const node = await world.node("n");
    const { system } = node;
    const { module, name } = pool_worker;
    const all = { definition: { module, name }, args: undefined, workers: 1, routing: queue(), ...options };
    await system.supervise({ children: [child("pool", factory_dispatcher, all, { name: "pool" })] });
    const dispatcher = system.ref(factory_dispatcher, "pool");
    const work = (key: string, n: number, ms = 10): Promise<number | string> => {
      return outcome(dispatcher.call.job(request(key, n, ms), { timeoutMs: forEver }) as Promise<number>);
    };
    await scenario({ node, world, dispatcher, work, state: () => node.stateOf("pool") as State });
  });
}

describe("what it admits", () => {
  it("is nothing when it is started while its industry drains, and a drain has nothing to wait for", () =>
    play({ draining: true }, async ({ dispatcher, work }) => {
      expect(await work("k", 0)).toBe("discarded shutdown");
      await dispatcher.call.drain();
      expect(pool.history).toEqual([]);
    }));

  it("may wait for as long as its age says, from when it came and not from the start of the world", () =>
    play({ jobs: { ageMaxMs: 100 } }, async ({ world, work }) => {
      await world.sleep(5_000);
      const outcomes = [work("k", 0, 60), work("k", 1, 60), work("k", 2, 60)];
      expect(await Promise.all(outcomes)).toEqual([0, 1, "discarded expired"]);
    }));

  it("may weigh as much as there is room for, and not a byte more", async () => {
    const two = 2 * estimateBytes(job("k", 1));
    const outcomes = async (bytesMax: number) => {
      let ended: (number | string)[] = [];
      await play({ jobs: { bytesMax } }, async ({ work }) => {
        ended = await Promise.all([work("k", 0), work("k", 1), work("k", 2)]);
      });
      return ended;
    };
    expect(await outcomes(two)).toEqual([0, 1, 2]);
    expect(await outcomes(two - 1)).toEqual([0, 1, "discarded overflow"]);
  });
});

describe("a worker that is resized away", () => {
  it("ends at once if it has no job, and after its job if it has one, which a drain waits for", () =>
    play({ workers: 3 }, async ({ node, world, dispatcher, work, state }) => {
      const jobs = [work("a", 0, 1_000), work("b", 1, 1_000)];
      await world.sleep(10);
      const pids = state().workers.map(({ pid }) => pid);
      const lives = () => pids.map((pid) => pid !== undefined && node.processOf(pid) !== undefined);
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
});

describe("workers that were resized away", () => {
  it("each end after their jobs, also when one of them crashes before", () =>
    play({ workers: 3 }, async ({ node, world, dispatcher, work, state }) => {
      const jobs = [work("a", 0, 100), work("b", 1, 100), work("c", 2, 200)];
      await world.sleep(10);
      const [, second, third] = state().workers.map(({ pid }) => pid);
      if (second === undefined || third === undefined) throw new Error("three are there");
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
    play({ workers: 2 }, async ({ node, world, dispatcher, work, state }) => {
      const [, second] = state().workers.map(({ pid }) => pid);
      if (second === undefined) throw new Error("both are there");
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
      probed.mockRestore();
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

describe("a worker that ends as it starts", () => {
  it("is known to have ended, whichever of many is heard of first", async () => {
    for (let seed = 1; seed <= 20; seed++) {
      await simulateSeed({ seed, order: "random" }, async (world) => {
        resetPool();
        const node = await world.node("n", { threads: 2 });
        await world.sleep(5);
        const options = { args: undefined, workers: 6, routing: consistentHash(), thread: "any" } as const;
        const factory = await node.system.startFactory("pool", pool_worker, options);
        await Promise.all((await pidsOf(factory)).map((pid) => node.system.exit(pid, "killed")));
        pool.crashingStarts = 4;
        pool.failingStarts = 3;
        await world.sleep(1_000);
        expect((await factory.all.call.work(job("all", 1, 0))).map(({ ok }) => ok)).not.toContain(false);
        expect((node.stateOf("pool") as State).endedEarly.size).toBe(0);
      });
    }
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
    play({ workers: 2 }, async ({ node, world, dispatcher, state }) => {
      const pid = state().workers[1]?.pid;
      if (pid === undefined) throw new Error("both are there");
      node.system.exit(pid, "killed");
      await world.sleep(10);
      await dispatcher.call.resize(1);
      await world.sleep(200);
      expect(pool.starts).toBe(2);
    }));
});

describe("a job that is given up", () => {
  it("costs its worker nothing when it ends within the grace, nor the job that comes after it", () =>
    play({ workers: 2 }, async ({ world, dispatcher, work }) => {
      const short = work("a", 0, 20);
      const caller = new AbortController();
      const given = outcome(
        dispatcher.call.job(request("b", 1, 100), {
          signal: caller.signal,
          cancelGraceMs: 200,
        }) as Promise<number>,
      );
      // The first worker has no job any more.
      expect(await short).toBe(0);
      caller.abort();
      expect(await given).toBe("canceled");
      const after = [work("c", 2, 500), work("d", 3, 500)];
      expect(await Promise.all(after)).toEqual([2, 3]);
      await world.sleep(100);
      expect(pool.starts).toBe(2);
      expect(await dispatcher.call.statistics()).toMatchObject({ canceled: 1, done: 3, crashed: 0 });
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
    const cause = await causeOf((factory) =>
      factory
        .at("k")
        .call.crash()
        .catch(() => undefined),
    );
    expect(cause).toMatchObject({ code: "crashed", message: expect.stringMatching(/^(?!a worker ended)/) });
    expect(cause).toMatchObject({ message: expect.stringContaining("told to crash") });
  });

  it("tells the reason for which it was ended", async () => {
    const cause = await causeOf(async (factory, { system }) =>
      system.exit(await factory.at("k").call.who(), "killed"),
    );
    expect(cause).toEqual({ code: "crashed", message: 'a worker ended: "killed"' });
  });
});

describe("what it tells", () => {
  it("jobs that began too early, as its check of the order counted them", () =>
    play({ routing: stickyQueue() }, async ({ dispatcher }) => {
      const counted = vi.spyOn(KeyOrder.prototype, "violations", "get").mockReturnValue(3);
      expect(await dispatcher.call.statistics()).toMatchObject({ orderViolations: 3 });
      counted.mockRestore();
    }));

  it("the threads of the workers that are there, while another is being started", () =>
    play({ workers: 2 }, async ({ node, world, dispatcher, state }) => {
      const pid = state().workers[0]?.pid;
      if (pid === undefined) throw new Error("both are there");
      node.system.exit(pid, "killed");
      await world.sleep(10);
      expect(await dispatcher.call.threads()).toEqual([pid.thread]);
      expect(state().workers.map((worker) => worker.pid === undefined)).toEqual([true, false]);
    }));
});

describe("what it forgets", () => {
  it.each([
    ["nothing is shed", {}, ["canceled", "crashed", "done"]],
    [
      "much is shed",
      { delayTargetMs: 5, delayIntervalMs: 20 },
      ["canceled", "crashed", "discarded shed", "done"],
    ],
  ])("who gave up a job, whatever came of that, while %s", async (_, jobs, expected) => {
    const ends = new Set<unknown>();
    for (let seed = 1; seed <= 20; seed++) {
      await simulateSeed({ seed, order: "random" }, async (world) => {
        const node = await world.node("n", { threads: 1 });
        await world.sleep(5);
        const options = { args: undefined, workers: 2, routing: stickyQueue(), thread: 1, jobs } as const;
        const factory = await node.system.startFactory("pool", pool_worker, options);
        const sent = Array.from({ length: 60 }, async (_, n) => {
          const caller = new AbortController();
          await world.sleep(world.chance("comes") * 300);
          const { call } = factory.at(`key ${n % 5}`);
          const method = n % 7 === 0 ? call.crash : call.work;
          const message = job(`key ${n % 5}`, n, world.chance("ms") * 20);
          const answer = outcome(method(message, { signal: caller.signal, cancelGraceMs: 5 }));
          await world.sleep(world.chance("gives up") * 60);
          caller.abort();
          return answer;
        });
        for (const end of await Promise.all(sent)) ends.add(typeof end === "number" ? "done" : end);
        await world.sleep(500);
        expect((node.stateOf("pool") as State).canceled.size).toBe(0);
        expect(await factory.statistics()).toMatchObject({ waiting: 0, running: 0 });
      });
    }
    expect([...ends].toSorted()).toEqual(expected);
  });
});

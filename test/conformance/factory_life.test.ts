/** Cases of ractor's factory and of worker_pool about its life, by name. */

import { beforeEach, describe, expect, it } from "vitest";
import { consistentHash, queue, type Routing, stickyQueue } from "../../src/index.ts";
import { simulateSeed, type World } from "../../src/simulation/index.ts";
import { pool, pool_worker, resetPool } from "./pool_worker.ts";
import { groupBy, job, outcome, type Pool, play, send, workersOf } from "./pools.ts";

beforeEach(resetPool);

const routings: [string, Routing][] = [
  ["consistent_hash", consistentHash()],
  ["queue", queue()],
  ["sticky_queue", stickyQueue()],
];

/** Keeps sending jobs of 11 keys, 400 in all, while `resizes` happen; returns how they ended. */
async function load(factory: Pool, world: World, resizes: readonly number[]): Promise<(number | string)[]> {
  const sent: Promise<number | string>[] = [];
  const pending = [...resizes];
  for (let n = 0; n < 400; n++) {
    const key = `key ${Math.floor(world.chance("key") * 11)}`;
    sent.push(
      outcome(factory.at(key).call.work(job(key, n, world.chance("ms") * 30), { timeoutMs: 600_000 })),
    );
    if (n % 8 === 0) await world.sleep(world.chance("pause") * 10);
    if (n % 40 === 20) {
      const workers = pending.shift();
      if (workers !== undefined) await factory.resize(workers);
    }
  }
  return Promise.all(sent);
}

function expectOrder(): void {
  for (const [, noted] of groupBy(pool.history, ({ key }) => key)) {
    const order = noted.map(({ n }) => n);
    expect(order).toEqual(order.toSorted((a, b) => a - b));
  }
}

describe.each(routings)("%s", (name, routing) => {
  it("test_worker_pool_adjustment_manual: 4 to 25 to 1 under load, nothing lost or reordered (ractor)", async () => {
    for (let seed = 1; seed <= 5; seed++) {
      resetPool();
      await simulateSeed({ seed, order: "random" }, async (world) => {
        const { system } = await world.node("n");
        const factory = await system.startFactory("pool", pool_worker, {
          args: undefined,
          workers: 4,
          routing,
        });
        const outcomes = await load(factory, world, [25, 2, 7, 1, 3, 1, 9]);
        expect(outcomes).toEqual(Array.from({ length: 400 }, (_, n) => n));
        if (name !== "queue") expectOrder();
        expect(await factory.statistics()).toMatchObject({ workers: 9, waiting: 0, running: 0, done: 400 });
        await system.stop();
      });
    }
  });

  it("a worker that was resized away in mid-job and crashes does not disturb its successor", () =>
    play({ routing, workers: 2 }, async (factory, world) => {
      const { a, b } = await twoKeys(factory);
      const first = outcome(factory.at(a).call.work(job(a, 0, 5)));
      const crashing = outcome(factory.at(b).call.crash(job(b, 1, 100)));
      await first;
      await factory.resize(1);
      await factory.resize(2);
      const successors = [...send(factory, 4, () => a, 200), ...send(factory, 4, () => `${b} other`, 200)];
      await world.sleep(150);
      expect(await crashing).toBe("crashed");
      expect(await Promise.all(successors)).toEqual([0, 1, 2, 3, 0, 1, 2, 3]);
      expect(await factory.statistics()).toMatchObject({ workers: 2, running: 0, waiting: 0, crashed: 1 });
    }));

  it("a resize whose new workers do not start changes nothing and says why", () =>
    play({ routing, workers: 2 }, async (factory) => {
      pool.failingStarts = 1;
      await expect(factory.resize(5)).rejects.toMatchObject({ code: "unavailable" });
      expect(await factory.statistics()).toMatchObject({ workers: 2 });
      expect(await Promise.all(send(factory, 20, (n) => `key ${n}`))).toHaveLength(20);
    }));

  it("pool_restart_crash: a crash is answered once, those behind it run in order (worker_pool)", () =>
    play({ routing, workers: 1 }, async (factory) => {
      const sent = Array.from({ length: 30 }, (_, n) => {
        const { call } = factory.at("key");
        return outcome(n % 3 === 1 ? call.crash(job("key", n, 5)) : call.work(job("key", n, 5)));
      });
      expect(await Promise.all(sent)).toEqual(
        Array.from({ length: 30 }, (_, n) => (n % 3 === 1 ? "crashed" : n)),
      );
      expect(pool.starts).toBe(11);
      expect(await factory.statistics()).toMatchObject({ done: 20, crashed: 10, waiting: 0 });
      expectOrder();
    }));

  it("a worker that crashes right after its restart, or fails to start, is started until it lives", () =>
    play({ routing, workers: 1 }, async (factory) => {
      pool.failingStarts = 2;
      pool.crashingStarts = 2;
      const crashed = outcome(factory.at("key").call.crash(job("key", 0)));
      const behind = outcome(factory.at("key").call.work(job("key", 1)));
      expect(await crashed).toBe("crashed");
      expect(await behind).toBe(1);
      expect(pool.starts).toBe(6);
      expect(await outcome(factory.at("key").call.work(job("key", 2)))).toBe(2);
    }));

  it("a worker that can't live is tried every 50 ms, not at once again and again", () =>
    play({ routing, workers: 1 }, async (factory, world) => {
      pool.crashingStarts = Number.POSITIVE_INFINITY;
      await outcome(factory.at("key").call.crash(job("key", 0)));
      pool.starts = 0;
      await world.sleep(1_000);
      expect(pool.starts).toBeGreaterThan(15);
      expect(pool.starts).toBeLessThanOrEqual(21);
      pool.crashingStarts = 0;
      expect(await outcome(factory.at("key").call.work(job("key", 1)))).toBe(1);
    }));

  it("an operating error is the job's answer and costs no worker", () =>
    play({ routing }, async (factory) => {
      expect(await outcome(factory.at("key").call.refuse(job("key", 0)))).toBe("conflict");
      expect(await factory.statistics()).toMatchObject({ done: 1, crashed: 0 });
      expect(pool.starts).toBe(3);
    }));

  it("test_request_draining: 999 accepted jobs finish, the next is refused and handed back (ractor)", () => {
    const handedBack: unknown[] = [];
    const onDiscard = (each: { readonly message: unknown }): void => void handedBack.push(each.message);
    return play({ routing, jobs: { onDiscard } }, async (factory, world, system) => {
      const accepted = send(factory, 999, (n) => `key ${n % 50}`, 1).map(outcome);
      const drained = factory.drain();
      await world.sleep(1);
      const late = job("key", 1_000);
      expect(await outcome(factory.at("key").call.work(late))).toBe("discarded shutdown");
      expect(handedBack).toEqual([late]);
      await drained;
      expect(await factory.statistics()).toMatchObject({ waiting: 0, running: 0, done: 999 });
      expect(await Promise.all(accepted)).toEqual(Array.from({ length: 999 }, (_, n) => n));
      await system.stopFactory("pool");
      expect(await outcome(factory.at("key").call.work(late))).toBe("noproc");
    });
  });

  it("non_brutal_shutdown: a stop answers every job: with its result, or discarded (worker_pool)", () =>
    play({ routing, workers: 2 }, async (factory, world, system) => {
      const { a, b } = await twoKeys(factory);
      const sent = send(factory, 10, (n) => (n % 2 === 0 ? a : b), 1_000).map(outcome);
      await world.sleep(10);
      await system.stopFactory("pool");
      expect(world.nowMs).toBeLessThan(2_000);
      expect(await Promise.all(sent)).toEqual([
        0,
        1,
        ...Array.from({ length: 8 }, () => "discarded shutdown"),
      ]);
    }));

  it("brutal_worker_shutdown: a job that takes longer than shutdownMs is cut off and answered (worker_pool)", () =>
    play({ routing, workers: 1, shutdownMs: 100 }, async (factory, world, system) => {
      const sent = send(factory, 3, () => "key", 600_000).map(outcome);
      await world.sleep(10);
      await system.stopFactory("pool");
      expect(world.nowMs).toBeLessThan(200);
      expect(await Promise.all(sent)).toEqual(["crashed killed", "discarded shutdown", "discarded shutdown"]);
    }));

  it("stats: every job is counted once, under how it ended (worker_pool)", () =>
    play({ routing, workers: 2, jobs: { max: 3 } }, async (factory) => {
      const { call, cast } = factory.at("key");
      await Promise.all([call.work(job("key", 0)), outcome(call.refuse(job("key", 1)))]);
      await outcome(call.crash(job("key", 2)));
      cast.note(job("key", 3));
      const outcomes = await Promise.all(send(factory, 20, () => "key").map(outcome));
      const overflow = outcomes.filter((each) => each === "discarded overflow").length;
      expect(overflow).toBeGreaterThan(0);
      expect(await factory.statistics()).toEqual({
        workers: 2,
        waiting: 0,
        running: 0,
        done: 3 + 20 - overflow,
        crashed: 1,
        canceled: 0,
        orderViolations: 0,
        discarded: { overflow, expired: 0, shutdown: 0, canceled: 0, shed: 0 },
      });
    }));

  it("workers on threads: a thread that dies under load costs the jobs in hand there, each answered once", async () => {
    for (let seed = 1; seed <= 5; seed++) {
      resetPool();
      await simulateSeed({ seed, order: "random" }, async (world) => {
        const node = await world.node("n", { threads: 2 });
        await world.sleep(5);
        const options = { args: undefined, workers: 6, routing, thread: "any" } as const;
        const factory = await node.system.startFactory("pool", pool_worker, options);
        const loading = load(factory, world, []);
        for (const thread of [1, 2, 1]) {
          await world.sleep(20 + world.chance("crash") * 60);
          node.crashThread(thread);
        }
        const outcomes = await loading;
        expect(new Set(outcomes.map((each, n) => (each === n ? "done" : each)))).toEqual(
          new Set(["done", "crashed"]),
        );
        const crashed = outcomes.filter((each) => each === "crashed").length;
        expect(crashed).toBeLessThanOrEqual(18);
        expect(await factory.statistics()).toMatchObject({
          waiting: 0,
          running: 0,
          crashed,
          done: 400 - crashed,
        });
        if (name !== "queue") expectOrder();
      });
    }
  });
});

it("a resize moves only keys whose worker changes, and none while its job runs", () =>
  play({ routing: consistentHash(), workers: 4 }, async (factory) => {
    const keys = Array.from({ length: 200 }, (_, i) => `key ${i}`);
    const before = await Promise.all(keys.map((key) => factory.explain(key)));
    await factory.resize(5);
    const after = await Promise.all(keys.map((key) => factory.explain(key)));
    const moved = after.filter(({ worker }, i) => worker !== before[i]?.worker);
    expect(moved.length).toBeLessThan(100);
    expect(moved.filter(({ worker }) => worker === 4).length).toBeGreaterThan(moved.length / 3);
    await Promise.all(send(factory, 50, () => "key 0"));
    expect(workersOf("key 0")).toHaveLength(1);
  }));

/** Two keys that may run side by side. */
async function twoKeys(factory: Pool): Promise<{ a: string; b: string }> {
  const keys = Array.from({ length: 20 }, (_, i) => `key ${i}`);
  const [first, ...others] = await Promise.all(
    keys.map(async (key) => ({ key, worker: (await factory.explain(key)).worker })),
  );
  const second = others.find(({ worker }) => worker === undefined || worker !== first?.worker);
  const [a, b] = [first, second].toSorted((x, y) => (x?.worker ?? 0) - (y?.worker ?? 0));
  if (a === undefined || b === undefined) throw new Error("twenty keys have more than one worker");
  return { a: a.key, b: b.key };
}

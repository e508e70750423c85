/** The order of a key's jobs in a factory, whatever happens to the factory meanwhile. */

import { beforeEach, describe, expect, it } from "vitest";
import { KeyOrder, type Ordered } from "../../src/core/key_order.ts";
import { stickyQueue } from "../../src/index.ts";
import { pool, resetPool } from "../conformance/pool_worker.ts";
import { job, outcome, play } from "../conformance/pools.ts";

beforeEach(resetPool);

describe("a job whose caller has given up", () => {
  it("keeps its key and its worker until it ends: the key's next job begins after it, others go elsewhere", () =>
    play({ routing: stickyQueue(), workers: 2 }, async (factory, world) => {
      const send = (key: string, n: number, ms: number, timeoutMs = 10_000) =>
        outcome(factory.at(key).call.work(job(key, n, ms), { timeoutMs }));
      const late = send("k", 0, 1_000, 100);
      const others = [send("x", 1, 200), send("b", 2, 10), send("k", 3, 10)];
      expect(await late).toBe("timeout");
      expect(await others[1]).toBe(2);
      expect(world.nowMs).toBeLessThan(300);
      expect(await Promise.all(others)).toEqual([1, 2, 3]);
      const ofKey = pool.history.filter(({ key }) => key === "k").map(({ n, what }) => `${n} ${what}`);
      expect(ofKey).toEqual(["0 begins", "0 ends", "3 begins", "3 ends"]);
    }));

  it("was not even begun by a worker that stood still: the worker is free when it moves again", () =>
    play({ routing: stickyQueue(), workers: 1 }, async (factory, world, system) => {
      const { call } = factory.at("k");
      await call.work(job("k", 0));
      const worker = pool.history[0]?.worker;
      if (worker === undefined) throw new Error("a job was done");
      await system.suspend(worker);
      expect(await outcome(call.work(job("k", 1), { timeoutMs: 100 }))).toBe("timeout");
      expect(await factory.statistics()).toMatchObject({ running: 1, waiting: 0 });
      await system.resume(worker);
      expect(await outcome(call.work(job("k", 2)))).toBe(2);
      await world.sleep(100);
      expect(pool.history.map(({ n }) => n)).toEqual([0, 0, 2, 2]);
      expect(await factory.statistics()).toMatchObject({ running: 0, waiting: 0, discarded: { expired: 1 } });
    }));
});

describe("key order", () => {
  interface Job extends Ordered<Job> {}
  const job = (key: string): Job => ({
    key,
    sequence: 0,
    before: undefined,
    after: undefined,
    ofKey: undefined,
  });

  it("counts a job that begins while an earlier one of its key waits or runs, and none after those have left", () => {
    const order = new KeyOrder<Job>();
    const [a, b, c, other] = [job("k"), job("k"), job("k"), job("other")];
    for (const each of [a, b, c, other]) order.came(each);
    expect([order.begins(a), order.begins(other), order.begins(c)]).toEqual([undefined, undefined, b]);
    // Discarded from the midst.
    order.left(b);
    expect(order.begins(c)).toBe(a);
    order.left(a);
    order.left(a);
    expect(order.begins(c)).toBeUndefined();
    expect(order.violations).toBe(2);
    expect([order.jobsOf("k"), order.keys()]).toEqual([[c], ["k", "other"]]);
  });

  it("remembers no more idle keys than busy ones, or a thousand, however many come and go", () => {
    const order = new KeyOrder<Job>();
    const busy = Array.from({ length: 3_000 }, (_, i) => job(`busy ${i}`));
    for (let i = 0; i < 20_000; i++) {
      const passing = job(`passing ${i}`);
      order.came(passing);
      order.left(passing);
    }
    expect(order.size).toBeLessThanOrEqual(1_024);
    for (const each of busy) order.came(each);
    for (let i = 0; i < 20_000; i++) {
      const passing = job(`passing ${i}`);
      order.came(passing);
      order.left(passing);
    }
    expect(order.size).toBeLessThanOrEqual(2 * busy.length);
    expect(order.keys()).toHaveLength(busy.length);
  });
});

/** Factories on real clocks and threads: one of these ends in the middle of it all. */

import { expect, it } from "vitest";
import { consistentHash, queue, type Routing, startSystem, stickyQueue } from "../../src/index.ts";
import { pool, pool_worker, resetPool } from "./pool_worker.ts";
import { thread_worker } from "./thread_worker.ts";

const routings: [string, Routing][] = [
  ["consistent_hash", consistentHash()],
  ["queue", queue()],
  ["sticky_queue", stickyQueue()],
];

it("a worker that ends before the news of its restart has come is started again", async () => {
  resetPool();
  const system = await startSystem();
  const options = { args: undefined, workers: 1, routing: stickyQueue() } as const;
  const factory = await system.startFactory("pool", pool_worker, options);
  pool.crashingStarts = 2;
  const { call } = factory.at("key");
  await expect(call.crash({ key: "key", n: 0, ms: 0 })).rejects.toMatchObject({ code: "crashed" });
  expect(await call.work({ key: "key", n: 1, ms: 0 })).toBe(1);
  expect(pool.starts).toBe(4);
  await system.stop();
});

it.each(routings)(
  "%s: a thread killed under load: every caller hears once, a result or a crash, in its key's order",
  async (name, routing) => {
    const system = await startSystem({ threads: 2 });
    const options = { args: undefined, workers: 6, routing, thread: "any" } as const;
    const factory = await system.startFactory("pool", thread_worker, options);
    const deadly = new Set([100, 300]);
    const answers = new Map<number, string>();
    const orderOfKey = new Map<string, number[]>();
    const threads = new Set<number>();
    const jobs = Array.from({ length: 600 }, async (_, n) => {
      const key = `key ${n % 23}`;
      const { call } = factory.at(key);
      const patience = { timeoutMs: 60_000 };
      const hear = (how: string): void => {
        if (answers.has(n)) throw new Error(`job ${n} is answered twice`);
        answers.set(n, how);
        orderOfKey.set(key, [...(orderOfKey.get(key) ?? []), n]);
      };
      await (deadly.has(n) ? call.dieWithThread(n, patience) : call.work(n, patience)).then(
        (result: { n: number; thread: number }) => {
          threads.add(result.thread);
          hear(result.n === n ? "done" : "the answer of another job");
        },
        (error: { code: string }) => hear(error.code),
      );
    });
    await Promise.all(jobs);
    expect(new Set(answers.values())).toEqual(new Set(["done", "crashed"]));
    for (const n of deadly) expect(answers.get(n)).toBe("crashed");
    const crashed = [...answers.values()].filter((how) => how === "crashed").length;
    // At each death at most the jobs in hand are lost: one for each of the six workers.
    expect(crashed).toBeLessThanOrEqual(12);
    expect(threads).toEqual(new Set([1, 2]));
    if (name !== "queue")
      for (const order of orderOfKey.values()) expect(order).toEqual(order.toSorted((a, b) => a - b));
    expect(await factory.statistics()).toMatchObject({
      done: 600 - crashed,
      crashed,
      waiting: 0,
      running: 0,
    });
    await system.stop();
  },
);

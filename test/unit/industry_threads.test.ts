/** An industry on real threads: order, spread, counts, and what the end of a dispatcher or of a thread costs. */

import { expect, it } from "vitest";
import {
  consistentHash,
  type Industry,
  type IndustryOptions,
  type Pid,
  type Routing,
  type System,
  startSystem,
  stickyQueue,
  toErrorData,
} from "../../src/index.ts";
import { industry_sender, industry_worker, type Ran } from "./industry_worker.ts";

type Pool = Industry<typeof industry_worker>;

const routings: [string, Routing][] = [
  ["sticky_queue", stickyQueue()],
  ["consistent_hash", consistentHash()],
];
const patience = { timeoutMs: 60_000 };

async function withPool(
  options: Partial<IndustryOptions<typeof industry_worker>>,
  scenario: (pool: Pool, system: System) => Promise<void>,
  threads = 2,
): Promise<void> {
  const system = await startSystem({ threads, logLevel: "silent" });
  try {
    const all = { args: {}, dispatchers: 4, workers: 8, routing: stickyQueue(), ...options };
    await scenario(await system.startIndustry("pool", industry_worker, all), system);
  } finally {
    await system.stop();
  }
}

/** Jobs that were sent, and how each ended: its result or the code of its error. A second end is an error. */
class Jobs {
  readonly ends = new Map<number, Ran | string>();
  readonly #pool: Pool;
  readonly #orderOfKey = new Map<string, number[]>();
  readonly #under: Promise<void>[] = [];
  #next = 0;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  send(count: number, keyOf: (n: number) => string): void {
    for (let i = 0; i < count; i++) {
      const n = this.#next++;
      const key = keyOf(n);
      const hear = (end: Ran | string): void => {
        if (this.ends.has(n)) throw new Error(`job ${n} ended twice`);
        this.ends.set(n, end);
        const order = this.#orderOfKey.get(key) ?? [];
        this.#orderOfKey.set(key, order);
        order.push(n);
      };
      const sent = this.#pool.at(key).call.work(n, patience);
      this.#under.push(
        sent.then(
          (ran) => hear(ran.n === n ? ran : "the answer of another job"),
          (error) => hear(toErrorData(error).code),
        ),
      );
    }
  }

  async allEnded(): Promise<void> {
    await Promise.all(this.#under);
    expect(this.ends.size).toBe(this.#next);
  }

  /** By code; `done` if it has a result. */
  counts(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const end of this.ends.values()) {
      const how = typeof end === "string" ? end : "done";
      counts[how] = (counts[how] ?? 0) + 1;
    }
    return counts;
  }

  orders(): number[][] {
    return [...this.#orderOfKey.values()];
  }
}

const numeric = (a: number, b: number): number => a - b;

/** Keys of each dispatcher. */
async function keysByDispatcher(pool: Pool, count = 64): Promise<string[][]> {
  const keys: string[][] = [];
  for (let i = 0; i < count; i++) {
    const { dispatcher } = await pool.explain(`key ${i}`);
    const list = keys[dispatcher] ?? [];
    keys[dispatcher] = list;
    list.push(`key ${i}`);
  }
  return keys;
}

function killDispatcher(system: System, dispatcher: number): Pid {
  const pid = system.whereis(`pool/${dispatcher}`);
  if (pid === undefined) throw new Error(`there is no dispatcher ${dispatcher}`);
  system.exit(pid, "killed");
  return pid;
}

async function untilAnswered(pool: Pool, key: string): Promise<Ran> {
  for (;;) {
    try {
      return await pool.at(key).call.work(0, patience);
    } catch (error) {
      if (toErrorData(error).code !== "noproc") throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

it.each(routings)("%s: keys keep their order under load, on all dispatchers", async (_, routing) => {
  await withPool({ routing }, async (pool) => {
    const jobs = new Jobs(pool);
    jobs.send(1_000, (n) => `key ${(n * 7) % 53}`);
    await pool.resize(12);
    jobs.send(1_000, (n) => `key ${(n * 7) % 53}`);
    await jobs.allEnded();
    expect(jobs.counts()).toEqual({ done: 2_000 });
    for (const order of jobs.orders()) expect(order).toEqual(order.toSorted(numeric));
    const { dispatchers, ...sums } = await pool.statistics();
    expect(sums).toMatchObject({ workers: 12, waiting: 0, running: 0, done: 2_000, orderViolations: 0 });
    expect(dispatchers.map((each) => each?.workers)).toEqual([3, 3, 3, 3]);
    expect(dispatchers.reduce((sum, each) => sum + (each?.done ?? 0), 0)).toBe(2_000);
  });
});

it("consistent_hash: each of many keys has one worker, and all workers have as many keys", async () => {
  await withPool({ routing: consistentHash() }, async (pool) => {
    const jobs = new Jobs(pool);
    jobs.send(3_200, (n) => `+5511987${n % 1_600}`);
    await jobs.allEnded();
    const keysOf = new Map<string, Set<number>>();
    for (const [n, ran] of jobs.ends) {
      if (typeof ran === "string") throw new Error(ran);
      const worker = `${ran.thread}.${ran.worker}`;
      keysOf.set(worker, (keysOf.get(worker) ?? new Set()).add(n % 1_600));
    }
    const loads = [...keysOf.values()].map(({ size }) => size);
    expect(loads).toHaveLength(8);
    expect(loads.reduce((sum, each) => sum + each)).toBe(1_600);
    expect(Math.min(...loads)).toBeGreaterThan(150);
    expect(Math.max(...loads)).toBeLessThan(250);
  });
});

it("workers live on their dispatcher's thread, which explain names, with the reason", async () => {
  await withPool({}, async (pool) => {
    const found = new Set<string>();
    for (let i = 0; i < 40; i++) {
      const key = `key ${i}`;
      const { dispatcher, thread, why, dispatcherPartition } = await pool.explain(key);
      expect((await pool.at(key).call.work(0)).thread).toBe(thread);
      const reason = `it has partition ${dispatcherPartition} of 1024`;
      expect(why).toBe(`dispatcher ${dispatcher}: ${reason}; sticky_queue: whoever is free`);
      found.add(`${dispatcher} on ${thread}`);
    }
    expect([...found].sort()).toEqual(["0 on 1", "1 on 2", "2 on 1", "3 on 2"]);
  });
});

it("sent = handled + discarded, and onDiscard hears of each discarded job on this thread", async () => {
  const heard: string[] = [];
  const onDiscard = (job: { readonly message: unknown }, reason: string): void => {
    heard.push(`${String(job.message)} ${reason}`);
  };
  const options = { dispatchers: 2, workers: 2, jobs: { max: 40, onDiscard } };
  await withPool(options, async (pool, system) => {
    const jobs = new Jobs(pool);
    jobs.send(300, (n) => `key ${n}`);
    // Behind the jobs: what a dispatcher has not taken when it stops is `noproc`.
    await pool.statistics();
    const stopped = system.stopIndustry("pool");
    await Promise.all([stopped, jobs.allEnded()]);
    const { done = 0, discarded = 0, ...others } = jobs.counts();
    expect(others).toEqual({});
    expect(done).toBeGreaterThan(0);
    expect(done + discarded).toBe(300);
    const numbers = [...jobs.ends].filter(([, end]) => end === "discarded").map(([n]) => n);
    expect(heard.map((each) => Number.parseInt(each, 10)).sort(numeric)).toEqual(numbers.sort(numeric));
    expect(new Set(heard.map((each) => each.split(" ")[1]))).toEqual(new Set(["overflow", "shutdown"]));
  });
});

it("jobs.max is in total: each dispatcher lets its share wait", async () => {
  await withPool({ dispatchers: 2, workers: 2, jobs: { max: 10 } }, async (pool) => {
    const [first = [], second = []] = await keysByDispatcher(pool);
    const held = [first, second].map(([key = ""]) => pool.at(key).call.pause(300, patience));
    const jobs = new Jobs(pool);
    jobs.send(20, (n) => first[n % first.length] ?? "");
    jobs.send(20, (n) => second[n % second.length] ?? "");
    await Promise.all([...held, jobs.allEnded()]);
    expect(jobs.counts()).toEqual({ done: 10, discarded: 30 });
    const { discarded, dispatchers } = await pool.statistics();
    expect(discarded.overflow).toBe(30);
    expect(dispatchers.map((each) => each?.discarded.overflow)).toEqual([15, 15]);
  });
});

it("a killed dispatcher: its jobs end once, others go on, it is back with as many workers", async () => {
  await withPool({}, async (pool, system) => {
    await pool.resize(16);
    const keys = await keysByDispatcher(pool);
    const jobs = new Jobs(pool);
    jobs.send(400, (n) => keys[n % 4]?.[n % 3] ?? "");
    await pool.at(keys[1]?.[0] ?? "").call.work(0, patience);
    jobs.send(400, (n) => keys[n % 4]?.[n % 3] ?? "");
    const before = killDispatcher(system, 1);
    jobs.send(40, (n) => keys[n % 4]?.[n % 3] ?? "");
    await jobs.allEnded();
    const { done = 0, crashed = 0, noproc = 0, ...others } = jobs.counts();
    expect(others).toEqual({});
    expect(crashed).toBeGreaterThan(0);
    expect(done + crashed + noproc).toBe(840);
    for (const [n, end] of jobs.ends) if (n % 4 !== 1) expect(end).toMatchObject({ n });
    await untilAnswered(pool, keys[1]?.[0] ?? "");
    const { dispatchers, workers } = await pool.statistics();
    expect(workers).toBe(16);
    expect(dispatchers[1]).toMatchObject({ workers: 4, done: 1 });
    expect(system.whereis("pool/1")).not.toEqual(before);
  });
});

it("a killed thread: only its dispatchers' jobs are lost, each ends once, and they are back on it", async () => {
  await withPool({}, async (pool) => {
    const keys = await keysByDispatcher(pool);
    const jobs = new Jobs(pool);
    jobs.send(400, (n) => keys[n % 4]?.[n % 3] ?? "");
    const deadly = pool
      .at(keys[0]?.[5] ?? "")
      .call.dieWithThread(undefined, patience)
      .catch(toErrorData);
    jobs.send(400, (n) => keys[n % 4]?.[n % 3] ?? "");
    await jobs.allEnded();
    expect(await deadly).toMatchObject({ code: "crashed" });
    const { done = 0, crashed = 0, noproc = 0, ...others } = jobs.counts();
    expect(others).toEqual({});
    expect(crashed).toBeGreaterThan(0);
    expect(done + crashed + noproc).toBe(800);
    // Dispatchers 1 and 3 live on thread 2.
    for (const [n, end] of jobs.ends) if (n % 2 === 1) expect(end).toMatchObject({ n, thread: 2 });
    for (const dispatcher of [0, 2])
      expect(await untilAnswered(pool, keys[dispatcher]?.[0] ?? "")).toMatchObject({ thread: 1 });
    expect((await pool.statistics()).workers).toBe(8);
  });
});

it("drain: what was taken is done, what comes later discarded, also by a dispatcher that died", async () => {
  await withPool({}, async (pool, system) => {
    const keys = await keysByDispatcher(pool);
    const jobs = new Jobs(pool);
    jobs.send(400, (n) => `key ${n % 64}`);
    await pool.drain();
    expect(jobs.counts()).toEqual({ done: 400 });
    const late = (dispatcher: number) =>
      pool
        .at(keys[dispatcher]?.[0] ?? "")
        .call.work(0, patience)
        .catch(toErrorData);
    for (const dispatcher of keys.keys())
      expect(await late(dispatcher)).toMatchObject({ code: "discarded", details: { reason: "shutdown" } });
    killDispatcher(system, 2);
    await expect(untilAnswered(pool, keys[2]?.[0] ?? "")).rejects.toMatchObject({ code: "discarded" });
  });
});

it("a resize that the workers of one dispatcher refuse changes nothing, of any", async () => {
  await withPool({ args: { closes: 2 } }, async (pool, system) => {
    const closed = await system.spawn(industry_worker, {}, { name: "closed" });
    await expect(pool.resize(12)).rejects.toMatchObject({ code: "unavailable" });
    const workersOf = async () => (await pool.statistics()).dispatchers.map((each) => each?.workers);
    expect(await workersOf()).toEqual([2, 2, 2, 2]);
    await system.stopProcess(closed);
    await pool.resize(13);
    expect(await workersOf()).toEqual([4, 3, 3, 3]);
    await pool.resize(5);
    expect(await workersOf()).toEqual([2, 1, 1, 1]);
    await expect(pool.resize(3)).rejects.toMatchObject({ details: { field: "workers" } });
  });
});

it("an industry of which one worker does not start leaves nothing behind", async () => {
  await withPool({}, async (_, system) => {
    await system.spawn(industry_worker, {}, { name: "closed" });
    const options = { args: { closes: 2 }, dispatchers: 2, workers: 2, routing: stickyQueue() };
    const started = system.startIndustry("other", industry_worker, options);
    await expect(started).rejects.toMatchObject({ code: "unavailable" });
    expect(["other", "other/0", "other/1"].map((name) => system.whereis(name))).toEqual(
      new Array(3).fill(undefined),
    );
  });
});

it("explainResize: what would move within each dispatcher, and nothing moves", async () => {
  await withPool({ routing: consistentHash() }, async (pool) => {
    const { from, to, dispatchers, keysTotal, finishing } = await pool.explainResize(12);
    expect({ from, to, keysTotal, finishing }).toEqual({ from: 8, to: 12, keysTotal: 0, finishing: 0 });
    for (const each of dispatchers) {
      expect(each).toMatchObject({ from: 2, to: 3 });
      expect(each?.share).toBeGreaterThan(0.3);
      expect(each?.share).toBeLessThan(0.4);
    }
    expect((await pool.statistics()).workers).toBe(8);
    await expect(pool.explainResize(3)).rejects.toMatchObject({ details: { field: "workers" } });
  });
});

it("all workers are asked, and each answer says whose it is", async () => {
  await withPool({}, async (pool, system) => {
    const heard = await pool.all.call.work(3);
    const places = heard.map(({ dispatcher, worker, ok }) => [dispatcher, worker, ok]);
    expect(places).toEqual([0, 1, 2, 3].flatMap((each) => [0, 1].map((worker) => [each, worker, true])));
    killDispatcher(system, 3);
    const without = await pool.all.call.work(3);
    expect(without.filter(({ ok }) => ok)).toHaveLength(6);
    expect(without.slice(6)).toMatchObject([
      { dispatcher: 3, worker: 0, error: { code: "noproc" } },
      { dispatcher: 3, worker: 1, error: { code: "noproc" } },
    ]);
    await expect.poll(async () => (await pool.statistics()).dispatchers[3]).toBeDefined();
    pool.all.cast.note(1);
    expect((await pool.all.call.work(3)).map(({ ok }) => ok)).toEqual(new Array(8).fill(true));
  });
});

it("a process on another thread sends to the key's dispatcher by the industry's address", async () => {
  await withPool({}, async (pool, system) => {
    const sender = await system.spawn(industry_sender, pool.address, { thread: 2 });
    const keys = Array.from({ length: 40 }, (_, i) => `key ${i}`);
    const ran = await system.ref(industry_sender, sender).call.send(keys);
    expect(ran.map(({ n }) => n)).toEqual(keys.map((_, n) => n));
    for (const [n, { thread }] of ran.entries())
      expect((await pool.explain(keys[n] ?? "")).thread).toBe(thread);
    expect((await pool.statistics()).done).toBe(80);
  });
});

it("without worker threads all dispatchers live on the main thread; a stopped industry's name is free", async () => {
  await withPool(
    { dispatchers: 3 },
    async (pool, system) => {
      expect((await pool.at("key").call.work(0)).thread).toBe(0);
      const again = { args: {}, dispatchers: 1, workers: 1, routing: stickyQueue() };
      await expect(system.startIndustry("pool", industry_worker, again)).rejects.toMatchObject({
        code: "already_started",
      });
      await system.stopIndustry("pool");
      await expect(pool.at("key").call.work(0)).rejects.toMatchObject({ code: "noproc" });
      await system.startIndustry("pool", industry_worker, again);
      await expect(system.stopIndustry("nobody")).rejects.toMatchObject({ code: "not_found" });
    },
    0,
  );
});

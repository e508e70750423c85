import { describe, expect, it } from "vitest";
import { consistentHash, genServer, queue, type Routing, startSystem, stickyQueue } from "../../src/index.ts";

interface Seen {
  readonly key: string;
  readonly n: number;
}

/** Notes what it is given into a log that the test shares; `slow` jobs let others come in between. */
const recorder = genServer(import.meta.url, "recorder", {
  init: (options: { log: Seen[]; gate?: Promise<void> }) => ({ ...options, id: options.log.length }),
  call: {
    note: async (state, job: Seen) => {
      await new Promise((resolve) => setImmediate(resolve));
      state.log.push(job);
      return job.n;
    },
    wait: async (state, job: Seen) => {
      await state.gate;
      state.log.push(job);
      return job.n;
    },
    crash: () => {
      throw new Error("boom");
    },
  },
  cast: {
    noted: (state, job: Seen) => {
      state.log.push(job);
    },
  },
});

const routings: Record<string, Routing> = {
  consistent_hash: consistentHash(),
  queue: queue(),
  sticky_queue: stickyQueue(),
};

function ordersPerKey(log: readonly Seen[]): boolean {
  const last = new Map<string, number>();
  return log.every(({ key, n }) => {
    const inOrder = n > (last.get(key) ?? -1);
    last.set(key, n);
    return inOrder;
  });
}

describe.each(Object.entries(routings))("gen_factory with %s", (name, routing) => {
  it("a resize under load loses nothing and keeps the order per key where it is promised", async () => {
    const log: Seen[] = [];
    const system = await startSystem();
    const factory = await system.startFactory("factory", recorder, { args: { log }, workers: 4, routing });
    const jobs: Promise<number>[] = [];
    for (let n = 0; n < 400; n++) {
      const key = `key ${n % 7}`;
      jobs.push(factory.at(key).call.note({ key, n }));
      if (n === 100) await factory.resize(9);
      if (n === 250) await factory.resize(2);
    }
    expect(await Promise.all(jobs)).toEqual(Array.from({ length: 400 }, (_, n) => n));
    expect(log).toHaveLength(400);
    if (name !== "queue") expect(ordersPerKey(log)).toBe(true);
    expect(await factory.statistics()).toMatchObject({ workers: 2, waiting: 0, running: 0, done: 400 });
    await system.stop();
  });

  it("a job whose worker crashes is answered once, and those that wait run on the next worker", async () => {
    const log: Seen[] = [];
    const system = await startSystem();
    const factory = await system.startFactory("factory", recorder, { args: { log }, workers: 1, routing });
    const crashed = factory.at("a").call.crash();
    const waiting = factory.at("a").call.note({ key: "a", n: 1 });
    await expect(crashed).rejects.toMatchObject({ code: "crashed" });
    expect(await waiting).toBe(1);
    await system.stop();
  });

  it("what overflows is discarded to its caller and to onDiscard, and nothing else is", async () => {
    const log: Seen[] = [];
    let open: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const discarded: unknown[] = [];
    const system = await startSystem();
    const onDiscard = (job: { message: unknown }, reason: string) => discarded.push([job.message, reason]);
    const options = { args: { log, gate }, workers: 1, routing, jobs: { max: 4, onDiscard } };
    const factory = await system.startFactory("factory", recorder, options);
    const jobs = Array.from({ length: 20 }, (_, n) => factory.at("a").call.wait({ key: "a", n }));
    const settled = Promise.allSettled(jobs);
    open();
    const refused = (await settled).filter(({ status }) => status === "rejected");
    expect(refused).toHaveLength(15);
    expect(discarded).toHaveLength(15);
    expect(log).toHaveLength(5);
    expect((await factory.statistics()).discarded.overflow).toBe(15);
    await system.stop();
  });

  it("a stop answers every job that waits", async () => {
    const log: Seen[] = [];
    const system = await startSystem();
    const gate = new Promise<void>(() => undefined);
    // The gate never opens: the worker's job in hand would be waited for, for 5 s.
    const options = { args: { log, gate }, workers: 1, routing, shutdownMs: 10 };
    const factory = await system.startFactory("factory", recorder, options);
    const jobs = Promise.allSettled(
      Array.from({ length: 3 }, (_, n) => factory.at("a").call.wait({ key: "a", n })),
    );
    await factory.statistics();
    const stopped = system.stop();
    const codes = (await jobs).map((result) => result.status === "rejected" && result.reason.code);
    expect(codes.filter((code) => code === "discarded")).toHaveLength(2);
    await stopped;
  });

  it("a cast is a job like any other", async () => {
    const log: Seen[] = [];
    const system = await startSystem();
    const factory = await system.startFactory("factory", recorder, { args: { log }, workers: 2, routing });
    factory.at("a").cast.noted({ key: "a", n: 1 });
    await factory.at("a").call.note({ key: "a", n: 2 });
    expect(log.map(({ n }) => n).sort((a, b) => a - b)).toEqual([1, 2]);
    await system.stop();
  });
});

it("a sticky queue lets no worker idle beside a job that may run, and never overtakes within a key", async () => {
  const log: Seen[] = [];
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const system = await startSystem();
  const options = { args: { log, gate }, workers: 2, routing: stickyQueue() };
  const factory = await system.startFactory("factory", recorder, options);
  const first = factory.at("hot").call.wait({ key: "hot", n: 0 });
  const second = factory.at("hot").call.note({ key: "hot", n: 1 });
  await factory.at("cold").call.note({ key: "cold", n: 2 });
  expect(log.map(({ n }) => n)).toEqual([2]);
  open();
  await Promise.all([first, second]);
  expect(log.map(({ n }) => n)).toEqual([2, 0, 1]);
  await system.stop();
});

it("a routing that can't keep what its workers need is refused at the start, with the reason", async () => {
  const system = await startSystem();
  const options = { args: { log: [] }, workers: 1, routing: queue(), affinity: "key" as const };
  await expect(system.startFactory("factory", recorder, options)).rejects.toMatchObject({ code: "unsafe" });
  await system.stop();
});

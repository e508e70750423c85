/**
 * What users of such runtimes asked for, by their projects' issues, in virtual time: order, cancelling, bounds, lives,
 * deadlines, tracing and types. On real threads: issues_threads.test.
 */

import { beforeEach, expect, expectTypeOf, it } from "vitest";
import {
  type CallOptions,
  consistentHash,
  type Factory,
  genServer,
  type Heard,
  type OptionsOf,
  queue,
  type Ref,
  type Routing,
  stickyQueue,
} from "../../src/index.ts";
import { simulateSeed, type World } from "../../src/simulation/index.ts";
import { begun, forgetSteps, moody_worker, type Step, tracer } from "./issue_workers.ts";
import { server } from "./otp_server.ts";
import { pool, pool_worker, resetPool } from "./pool_worker.ts";
import { groupBy, job, outcome, play } from "./pools.ts";

beforeEach(() => {
  resetPool();
  forgetSteps();
});

const ordered: [string, Routing][] = [
  ["consistent_hash", consistentHash()],
  ["sticky_queue", stickyQueue()],
];

const forEver = { timeoutMs: Number.POSITIVE_INFINITY };

/** 300 jobs of 7 keys: some are handed back first, some crash, and the group is resized all the while. */
async function stormOfSteps(world: World, routing: Routing): Promise<void> {
  const { system } = await world.node("n", { threads: 2 });
  await world.sleep(5);
  const options = { args: undefined, workers: 4, routing, affinity: "key", thread: "any" } as const;
  const factory = await system.startFactory("moody", moody_worker, options);
  const sent: Promise<number | string>[] = [];
  for (let n = 0; n < 300; n++) {
    const step: Step = {
      key: `key ${Math.floor(world.chance("key") * 7)}`,
      n,
      postponed: Math.floor(world.chance("postponed") * 1.3),
      crashes: world.chance("crash") < 0.1,
      ms: world.chance("ms") * 20,
    };
    sent.push(outcome(factory.at(step.key).call.step(step, forEver)));
    if (n % 9 === 0) await world.sleep(world.chance("pause") * 30);
    if (n % 25 === 24) await factory.resize(1 + Math.floor(world.chance("resize") * 9));
  }
  const outcomes = await Promise.all(sent);
  expect(begun).toHaveLength(300);
  const crashing = new Set(begun.filter(({ crashes }) => crashes).map(({ n }) => n));
  expect(crashing.size).toBeGreaterThan(10);
  expect(begun.filter(({ postponed }) => postponed > 0).length).toBeGreaterThan(30);
  expect(outcomes).toEqual(Array.from({ length: 300 }, (_, n) => (crashing.has(n) ? "crashed" : n)));
  for (const [, steps] of groupBy(begun, ({ key }) => key)) {
    const order = steps.map(({ n }) => n);
    expect(order).toEqual(order.toSorted((a, b) => a - b));
  }
}

it.each(ordered)(
  "piscina#89, bullmq#1182, bullmq#2774, akka.net#673: a key's order outlives resize, crash and retry; %s (issues)",
  async (_, routing) => {
    for (let seed = 1; seed <= 5; seed++) {
      forgetSteps();
      await simulateSeed({ seed, order: "random" }, (world) => stormOfSteps(world, routing));
    }
  },
);

it.each([0, 1])(
  "piscina#156, poolifier#888, tinypool#52: a job is canceled, and nobody dies of it; on thread %i (issues)",
  (thread) =>
    simulateSeed({ seed: 1 }, async (world) => {
      const { system } = await world.node("n", { threads: 1 });
      await world.sleep(5);
      const options = { args: undefined, workers: 1, routing: stickyQueue(), thread } as const;
      const factory = await system.startFactory("pool", pool_worker, options);
      const { call } = factory.at("key");
      const controllers = [new AbortController(), new AbortController()];
      const [running, waiting] = controllers.map(({ signal }, n) =>
        outcome(call.work(job("key", n, 100), { signal, ...forEver })),
      );
      await world.sleep(20);
      for (const controller of controllers) controller.abort();
      expect(await running).toBe("canceled");
      expect(await waiting).toBe("canceled");
      // Its caller is free at once; the turn in hand ends by itself, and the next job is the same worker's.
      expect(world.nowMs).toBeLessThan(50);
      expect(await call.work(job("key", 2, 0))).toBe(2);
      expect(pool.history.map(({ n }) => n)).toEqual([0, 0, 2, 2]);
      expect(new Set(pool.history.map(({ worker }) => worker.id)).size).toBe(1);
      expect(pool.starts).toBe(1);
    }).then(() => undefined),
);

it.each(ordered)(
  "piscina#126, piscina#868, ractor#84: who waits for answers is never refused, who floods is, at once; %s (issues)",
  (_, routing) =>
    play({ routing, workers: 2, jobs: { max: 8 } }, async (factory, world) => {
      // Eight senders, one job in hand each: no more than may wait, wherever their keys belong.
      let answered = 0;
      const polite = async (sender: number): Promise<void> => {
        for (let n = 0; n < 20; n++) {
          const key = `sender ${sender}`;
          expect(await factory.at(key).call.work(job(key, n, 5), forEver)).toBe(n);
          answered++;
        }
      };
      const senders = Array.from({ length: 8 }, (__, sender) => polite(sender));
      await world.sleep(20);
      await Promise.all(senders);
      expect(answered).toBe(160);
      expect(await factory.statistics()).toMatchObject({ done: 160, discarded: { overflow: 0 } });
      const begunMs = world.nowMs;
      const refusedMs: number[] = [];
      const flood = Array.from({ length: 1_000 }, (__, n) =>
        outcome(factory.at("flood").call.work(job("flood", n, 5), forEver)).then((how) => {
          if (how === "discarded overflow") refusedMs.push(world.nowMs - begunMs);
          return how;
        }),
      );
      const outcomes = await Promise.all(flood);
      const accepted = outcomes.filter((how) => typeof how === "number");
      expect(accepted).toEqual(Array.from({ length: 9 }, (__, n) => n));
      expect(refusedMs).toHaveLength(991);
      expect(Math.max(...refusedMs)).toBeLessThan(5);
      // There is room again at once.
      expect(await factory.at("after").call.work(job("after", 1, 0))).toBe(1);
    }),
);

it.each([...ordered, ["queue", queue()] as [string, Routing]])(
  "worker_pool#37, ractor#118: whatever happens to workers and when, none is missing afterwards; %s (issues)",
  async (_, routing) => {
    for (let seed = 1; seed <= 5; seed++) {
      resetPool();
      await simulateSeed({ seed, order: "random" }, async (world) => {
        const node = await world.node("n", { threads: 2, threadRestartMs: 100 });
        await world.sleep(5);
        const options = { args: undefined, workers: 5, routing, thread: "any" } as const;
        const factory = await node.system.startFactory("pool", pool_worker, options);
        for (let n = 0; n < 120; n++) {
          const key = `key ${n % 9}`;
          factory.at(key).cast.note(job(key, n, world.chance("ms") * 40));
          await world.sleep(world.chance("pause") * 20);
          const dice = world.chance("what");
          const seen = pool.history[Math.floor(world.chance("who") * pool.history.length)];
          if (dice < 0.3 && seen !== undefined) node.system.exit(seen.worker, "killed");
          else if (dice < 0.4) node.crashThread(1 + Math.floor(world.chance("thread") * 2));
          else if (dice < 0.5) pool.failingStarts = 2;
          else if (dice < 0.6) pool.crashingStarts = 2;
          else if (dice < 0.65)
            await factory.resize(1 + Math.floor(world.chance("size") * 9)).catch(() => undefined);
        }
        pool.failingStarts = 0;
        pool.crashingStarts = 0;
        await world.sleep(5_000);
        await factory.resize(6);
        const heard = await factory.all.call.work(job("all", 1, 0));
        expect(heard.map((each) => each.ok && each.value)).toEqual([1, 1, 1, 1, 1, 1]);
        expect(await factory.statistics()).toMatchObject({ workers: 6, waiting: 0, running: 0 });
      });
    }
  },
);

it.each([0, 1])(
  "akka-core#32721, pekko#668: a call's deadline goes with it, a late reply is no dead letter; on thread %i (issues)",
  (thread) =>
    simulateSeed({ seed: 1 }, async (world) => {
      const node = await world.node("n", { threads: 1 });
      await world.sleep(5);
      const { system } = node;
      const pid = await system.spawn(server, {}, { thread });
      const ref = system.ref(server, pid);
      ref.cast.busy(1_000);
      const expired = ref.call.continues(["must not run"], { timeoutMs: 500 });
      await expect(expired).rejects.toMatchObject({ code: "timeout" });
      await world.sleep(1_000);
      expect(await ref.call.heard()).toEqual([]);
      expect(await system.statistics(pid)).toMatchObject({ expired: 1 });
      expect(system.lateReplies()).toBe(0);
      await expect(ref.call.later(1_000, { timeoutMs: 500 })).rejects.toMatchObject({ code: "timeout" });
      await world.sleep(1_000);
      expect(system.lateReplies()).toBe(1);
      expect(system.deadLetters()).toMatchObject({ noproc: 0, refused: 0 });
      await system.stopProcess(pid);
      ref.cast.note("to nobody");
      await world.sleep(10);
      expect(system.lateReplies()).toBe(1);
    }).then(() => undefined),
);

it("opentelemetry-js#3529: a trace goes with a call through a factory and from thread to thread (issues)", () =>
  simulateSeed({ seed: 1 }, async (world) => {
    const { system } = await world.node("n", { threads: 2 });
    await world.sleep(5);
    const onward = await Promise.all([2, 1, 0].map((thread) => system.spawn(tracer, undefined, { thread })));
    const options = { args: undefined, workers: 1, routing: queue(), thread: 1 } as const;
    const factory = await system.startFactory("traced", tracer, options);
    const traces = ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-other"];
    const { call } = factory.at("key");
    const called = await Promise.all([
      ...traces.map((trace) => call.trace(onward, { trace })),
      call.trace(onward),
    ]);
    expect(called).toEqual([...traces, ""].map((trace) => [trace, trace, trace, trace]));
  }).then(() => undefined));

it("piscina#231, piscina#140: what a definition says is what its callers' compiler knows (issues)", () => {
  const account = genServer(import.meta.url, "account", {
    init: (options: { readonly balance: number }) => ({ ...options }),
    call: {
      read: (state) => state.balance,
      add: (state, amount: number) => {
        state.balance += amount;
        return `now ${state.balance}`;
      },
      find: async (_state, name: string): Promise<{ readonly name: string } | undefined> => ({ name }),
    },
    cast: { close: (_state, _why: { readonly text: string }) => undefined },
  });
  type Account = typeof account;
  type Call = Ref<Account>["call"];
  expectTypeOf<OptionsOf<Account>>().toEqualTypeOf<{ readonly balance: number }>();
  expectTypeOf<Call["read"]>().toEqualTypeOf<
    (message?: undefined, options?: CallOptions) => Promise<number>
  >();
  expectTypeOf<Call["add"]>().toEqualTypeOf<(message: number, options?: CallOptions) => Promise<string>>();
  expectTypeOf<ReturnType<Call["find"]>>().resolves.toEqualTypeOf<{ readonly name: string } | undefined>();
  expectTypeOf<Ref<Account>["cast"]["close"]>().parameters.toEqualTypeOf<
    [message: { readonly text: string }]
  >();
  expectTypeOf<keyof Call>().toEqualTypeOf<"read" | "add" | "find">();
  type All = Factory<Account>["all"]["call"];
  expectTypeOf<ReturnType<All["add"]>>().resolves.toEqualTypeOf<Heard<string>[]>();
  const misuse = (ref: Ref<Account>, factory: Factory<Account>): unknown[] => [
    // @ts-expect-error: an amount is a number
    ref.call.add("5"),
    // @ts-expect-error: there must be one
    ref.call.add(),
    // @ts-expect-error: nobody has that handler
    ref.call.remove(5),
    // @ts-expect-error: what is called is not cast
    ref.cast.add(5),
    // @ts-expect-error: the same through a factory
    factory.at("key").call.add("5"),
    // @ts-expect-error: and to all of its workers
    factory.all.call.add("5"),
  ];
  // The compiler has judged it all; what is left to run is the definition.
  expect(misuse).toBeTypeOf("function");
  expect(account.callbacks.init({ balance: 1 }, undefined as never)).toEqual({ balance: 1 });
});

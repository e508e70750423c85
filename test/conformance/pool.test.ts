/** More cases of ractor's factory and of worker_pool: broadcasts, overruns, lives and what is counted. By name. */

import { beforeEach, describe, expect, it } from "vitest";
import {
  consistentHash,
  type DiscardedJob,
  queue,
  type Routing,
  stickyQueue,
  supervisor,
  supervisorSpec,
} from "../../src/index.ts";
import { simulateSeed } from "../../src/simulation/index.ts";
import { resetScript, script } from "./otp_children.ts";
import { spec } from "./otp_tree.ts";
import { type Job, pool, pool_worker, resetPool } from "./pool_worker.ts";
import { groupBy, job, outcome, play, send } from "./pools.ts";

beforeEach(() => {
  resetPool();
  resetScript();
});

const routings: [string, Routing][] = [
  ["consistent_hash", consistentHash()],
  ["queue", queue()],
  ["sticky_queue", stickyQueue()],
];

const ordered = routings.filter(([name]) => name !== "queue");

const forEver = { timeoutMs: Number.POSITIVE_INFINITY };

describe("strategies and queues", () => {
  it("best_worker: three rounds of equal jobs are three for each worker (worker_pool)", () =>
    play({ routing: queue(), workers: 6 }, async (factory, world) => {
      const sent = send(factory, 18, (n) => `key ${n}`, 1_000);
      await world.sleep(500);
      expect(await factory.statistics()).toMatchObject({ running: 6, waiting: 12 });
      await Promise.all(sent);
      const shares = groupBy(
        pool.history.filter(({ what }) => what === "begins"),
        ({ worker }) => worker.id,
      );
      expect([...shares.values()].map((share) => share.length)).toEqual([3, 3, 3, 3, 3, 3]);
    }));

  it.each(routings)(
    "queue_type_fifo: what waits for a worker runs in the order in which it came; %s (worker_pool)",
    (_, routing) =>
      play({ routing, workers: 1 }, async (factory) => {
        await Promise.all(send(factory, 50, (n) => (routing.type === "queue" ? `key ${n}` : "key"), 5));
        expect(pool.history.map(({ n }) => n)).toEqual(
          Array.from({ length: 100 }, (__, i) => Math.floor(i / 2)),
        );
      }),
  );

  it.each(routings)("jobs.max of 0: a job runs at once or is discarded; %s", (_, routing) => {
    const discarded: unknown[] = [];
    const onDiscard = ({ message }: DiscardedJob): void => void discarded.push((message as Job).n);
    return play({ routing, workers: 1, jobs: { max: 0, onDiscard } }, async (factory) => {
      const first = outcome(factory.at("key").call.work(job("key", 0)));
      const second = outcome(factory.at("key").call.work(job("key", 1)));
      expect(await Promise.all([first, second])).toEqual([0, "discarded overflow"]);
      expect(await outcome(factory.at("key").call.work(job("key", 2)))).toBe(2);
      expect(discarded).toEqual([1]);
    });
  });

  it.each(ordered)(
    "jobs.max of 0: a key whose worker is busy has no room, whoever else is idle; %s",
    (_, routing) =>
      play({ routing, workers: 2, jobs: { max: 0 } }, async (factory) => {
        const busy = factory.at("key").call.work(job("key", 0));
        expect(await outcome(factory.at("key").call.work(job("key", 1)))).toBe("discarded overflow");
        const keys = Array.from({ length: 20 }, (__, n) => `key ${n}`);
        const workers = await Promise.all(["key", ...keys].map((key) => factory.explain(key)));
        const isElsewhere = (n: number) =>
          workers[0]?.worker === undefined || workers[n]?.worker !== workers[0]?.worker;
        const other = keys.find((__, i) => isElsewhere(i + 1)) ?? "";
        expect(await outcome(factory.at(other).call.work(job(other, 2)))).toBe(2);
        const same = keys.find((__, i) => !isElsewhere(i + 1));
        const behind = factory.at("key").call.work(job("key", 3));
        if (same !== undefined)
          expect(await outcome(factory.at(same).call.work(job(same, 4)))).toBe("discarded overflow");
        expect(await Promise.all([busy, behind])).toEqual([0, 3]);
      }),
  );
});

describe("broadcast", () => {
  it.each(routings)(
    "broadcast: every worker hears it once, behind the job in hand, before what waits; %s (worker_pool)",
    (_, routing) =>
      play({ routing, workers: 19 }, async (factory, world) => {
        const busy = send(factory, 200, (n) => `key ${n}`, 100);
        await world.sleep(10);
        const { running } = await factory.statistics();
        factory.all.cast.note(job("all", -1, 0));
        await world.sleep(10);
        const heard = () => pool.history.filter(({ key, what }) => key === "all" && what === "begins");
        expect(heard()).toHaveLength(19 - running);
        await world.sleep(100);
        expect(heard()).toHaveLength(19);
        expect(new Set(heard().map(({ worker }) => worker.id)).size).toBe(19);
        await Promise.all(busy);
        expect(await factory.statistics()).toMatchObject({ done: 200, crashed: 0 });
      }),
  );

  it("piscina#90, piscina#104, piscina#615, worker_pool#105: all workers are asked, on all threads (issues)", () =>
    simulateSeed({ seed: 1 }, async (world) => {
      const { system } = await world.node("n", { threads: 3 });
      await world.sleep(5);
      const options = { args: undefined, workers: 7, routing: stickyQueue(), thread: "any" } as const;
      const factory = await system.startFactory("pool", pool_worker, options);
      const heard = await factory.all.call.work(job("all", 5, 1));
      expect(heard).toEqual(Array.from({ length: 7 }, (_, worker) => ({ worker, ok: true, value: 5 })));
      expect(new Set(pool.history.map(({ worker }) => worker.thread))).toEqual(new Set([1, 2, 3]));
    }).then(() => undefined));

  it("broadcall: the answers of all, and the errors of those that fail or take too long (worker_pool)", () =>
    play({ routing: queue(), workers: 3 }, async (factory, world) => {
      expect(await factory.all.call.refuse(job("all", 1))).toMatchObject(
        [0, 1, 2].map((worker) => ({ worker, ok: false, error: { code: "conflict" } })),
      );
      const [slow] = send(factory, 1, () => "key", 1_500);
      const late = await factory.all.call.work(job("all", 2, 0), { timeoutMs: 1_000 });
      const how = late.map((each) => (each.ok ? each.value : each.error.code));
      expect(how.filter((each) => each === 2)).toHaveLength(2);
      expect(how).toContain("timeout");
      expect(world.nowMs).toBeLessThan(1_100);
      await slow;
      const refused = factory.all.call.work(job("all", 3), { timeoutMs: Number.NaN });
      await expect(refused).rejects.toMatchObject({ code: "bad_argument", details: { field: "timeoutMs" } });
    }));

  it("broadcall: one that crashes by it, or is being started, is told, and is there for the next (worker_pool)", () =>
    play({ routing: queue(), workers: 3 }, async (factory, world) => {
      pool.failingStarts = 1;
      const crashed = factory.all.call.crash(job("all", 1, 0), forEver);
      expect((await crashed).map((each) => !each.ok && each.error.code)).toEqual([
        "crashed",
        "crashed",
        "crashed",
      ]);
      await world.sleep(10);
      const during = await factory.all.call.work(job("all", 2, 0));
      const away = { code: "noproc", message: expect.stringContaining("is being started") };
      expect(during).toMatchObject([0, 1, 2].map((worker) => ({ worker, ok: false, error: away })));
      await world.sleep(200);
      const after = await factory.all.call.work(job("all", 3, 0));
      expect(after.map((each) => each.ok && each.value)).toEqual([3, 3, 3]);
    }));
});

describe("overruns", () => {
  it.each(routings)(
    "overrun: it is told which worker and method take too long, once; %s (worker_pool)",
    (_, routing) =>
      play({ routing, workers: 2, jobs: { runMaxMs: 1_000 } }, async (factory, world) => {
        const late = outcome(factory.at("late").call.work(job("late", 0, 1_500), forEver));
        const inTime = outcome(factory.at("in time").call.work(job("in time", 1, 900), forEver));
        expect(await Promise.all([late, inTime])).toEqual(["crashed killed", 1]);
        await world.sleep(5_000);
        const told = world.logged.filter(({ message }) => message.startsWith("a job takes too long"));
        const worker = pool.history.find(({ key }) => key === "late")?.worker;
        expect(told).toMatchObject([{ fields: { worker, method: "work" } }]);
      }),
  );

  it("too_much_overrun: after its worker's end nobody is told, or killed (worker_pool)", () =>
    play({ routing: queue(), workers: 1, jobs: { runMaxMs: 1_000 } }, async (factory, world, system) => {
      const killed = outcome(factory.at("key").call.work(job("key", 0, 60_000), forEver));
      await world.sleep(500);
      const victim = pool.history[0]?.worker;
      if (victim === undefined) throw new Error("it runs");
      system.exit(victim, "killed");
      expect(await killed).toBe("crashed killed");
      expect(await outcome(factory.at("key").call.work(job("key", 1, 900), forEver))).toBe(1);
      expect(world.logged.map(({ message }) => message).join()).not.toContain("too long");
      expect(pool.starts).toBe(2);
    }));
});

describe("what is counted", () => {
  it.each(routings)(
    "test_processing_messages_accounting_through_queue: running is never too many; %s (ractor)",
    (_, routing) =>
      play({ routing, workers: 2 }, async (factory, world) => {
        const sent = send(factory, 10, (n) => `key ${n}`, 200);
        const running = new Set<number>();
        for (let busy = true; busy; ) {
          await world.sleep(20);
          const now = await factory.statistics();
          expect(now.running + now.waiting + now.done).toBe(10);
          running.add(now.running);
          busy = now.running + now.waiting > 0;
        }
        expect(Math.max(...running)).toBe(2);
        await Promise.all(sent);
      }),
  );

  it("worker_killed_stats: a worker that is killed with a job is counted, and is replaced (worker_pool)", () =>
    play({ routing: queue(), workers: 3 }, async (factory, world, system) => {
      const sent = send(factory, 3, (n) => `key ${n}`, 1_000).map(outcome);
      await world.sleep(10);
      const victim = pool.history[1]?.worker;
      if (victim === undefined) throw new Error("three run");
      system.exit(victim, "killed");
      expect(await Promise.all(sent)).toEqual([0, "crashed killed", 2]);
      expect(await factory.statistics()).toMatchObject({ workers: 3, running: 0, done: 2, crashed: 1 });
      expect((await factory.all.call.work(job("all", 9, 0))).every(({ ok }) => ok)).toBe(true);
    }));
});

describe("life", () => {
  it("test_worker_pool_adjustment_automatic: who measures can resize, 4 to 25 and back (ractor)", () =>
    play({ routing: stickyQueue(), workers: 4 }, async (factory, world) => {
      const sizes: number[] = [];
      let isLoaded = true;
      const controller = (async () => {
        while (isLoaded || (sizes.at(-1) ?? 4) > 4) {
          const { waiting, running, workers } = await factory.statistics();
          const wanted = Math.min(25, Math.max(4, waiting + running));
          if (wanted !== workers) await factory.resize(wanted);
          sizes.push(wanted);
          await world.sleep(20);
        }
      })();
      const sent = Array.from({ length: 400 }, (_, n) =>
        factory.at(`key ${n % 40}`).call.work(job(`key ${n % 40}`, n), forEver),
      );
      expect(await Promise.all(sent)).toEqual(Array.from({ length: 400 }, (_, n) => n));
      isLoaded = false;
      await controller;
      expect([Math.max(...sizes), sizes.at(-1)]).toEqual([25, 4]);
      expect(await factory.statistics()).toMatchObject({ workers: 4, done: 400 });
    }));

  it("test_lifecycle_hooks: start, drain and stop resolve when it is done (ractor)", () =>
    simulateSeed({ seed: 1 }, async (world) => {
      const { system } = await world.node("n");
      const happened: string[] = [];
      script.startsAfterMs.set("template", 100);
      script.endsAfterMs.set("leaf", 100);
      const inner = supervisorSpec({ children: [spec("leaf"), spec("template")] });
      const options = { args: inner, workers: 1, routing: queue() };
      const started = system.startFactory("pool", supervisor, options).then((made) => {
        happened.push("started");
        return made;
      });
      await world.sleep(50);
      expect(happened).toEqual([]);
      const factory = await started;
      script.startsAfterMs.set("slow", 100);
      const last = factory
        .at("key")
        .call.startChild(spec("slow"))
        .then(() => happened.push("last job"));
      await world.sleep(1);
      const drained = factory.drain().then(() => happened.push("drained"));
      await Promise.all([last, drained]);
      const begunMs = world.nowMs;
      await system.stopFactory("pool").then(() => happened.push("stopped"));
      expect(happened).toEqual(["started", "last job", "drained", "stopped"]);
      expect(world.nowMs - begunMs).toBeGreaterThanOrEqual(100);
      expect(script.history.slice(-3)).toEqual(["end slow", "end template", "end leaf"]);
    }).then(() => undefined));

  it.each(routings)(
    "test_worker_death_restarts_and_gets_next_message: what waited behind the crash runs by itself; %s (ractor)",
    (_, routing) =>
      play({ routing, workers: 1, jobs: { max: 10 } }, async (factory, world) => {
        const { call } = factory.at("key");
        const busy = outcome(call.work(job("key", 0, 50)));
        const boom = outcome(call.crash(job("key", 1, 0)));
        const behind = [2, 3, 4, 5, 6].map((n) => outcome(call.work(job("key", n, 0))));
        await world.sleep(200);
        expect(pool.history.filter(({ what }) => what === "ends").map(({ n }) => n)).toEqual([
          0, 1, 2, 3, 4, 5, 6,
        ]);
        expect(await Promise.all([busy, boom, ...behind])).toEqual([0, "crashed", 2, 3, 4, 5, 6]);
      }),
  );

  it("stop_pool: nobody is left, a second stop finds nothing, its name is free (worker_pool)", () =>
    play({ routing: queue(), workers: 3 }, async (factory, _, system) => {
      const heard = await Promise.all(send(factory, 3, (n) => `key ${n}`));
      expect(heard).toHaveLength(3);
      const workers = new Set(pool.history.map(({ worker }) => worker));
      await system.stopFactory("pool");
      for (const pid of workers)
        await expect(system.statistics(pid)).rejects.toMatchObject({ code: "noproc" });
      await expect(system.stopFactory("pool")).rejects.toMatchObject({ code: "not_found" });
      expect(await outcome(factory.at("key").call.work(job("key", 1)))).toBe("noproc");
      const options = { args: undefined, workers: 1, routing: queue() };
      await system.startFactory("pool", pool_worker, options);
      expect(await outcome(factory.at("key").call.work(job("key", 2)))).toBe(2);
    }));

  it("pool_of_supervisors: children of its workers end with the pool (worker_pool)", () =>
    simulateSeed({ seed: 1 }, async (world) => {
      const { system } = await world.node("n");
      const options = { args: supervisorSpec({ children: [] }), workers: 3, routing: consistentHash() };
      const factory = await system.startFactory("pool", supervisor, options);
      for (let n = 0; n < 20; n++) await factory.at(`key ${n}`).call.startChild(spec(`child ${n}`));
      const trees = await factory.all.call.whichChildren();
      const counts = trees.map((each) => (each.ok ? each.value.length : 0));
      expect(counts.reduce((sum, count) => sum + count, 0)).toBe(20);
      expect(counts.every((count) => count > 0)).toBe(true);
      await expect(factory.at("key 3").call.startChild(spec("child 3"))).rejects.toMatchObject({
        code: "already_started",
      });
      await system.stopFactory("pool");
      expect(script.history.filter((line) => line.startsWith("end"))).toHaveLength(20);
    }).then(() => undefined));
});

/**
 * Cases of ractor's factory and of worker_pool, by name, in virtual time: routing and limits; life: factory_life.test.
 */

import { beforeEach, describe, expect, it } from "vitest";
import { consistentHash, type DiscardedJob, queue, type Routing, stickyQueue } from "../../src/index.ts";
import { type Job, pool, resetPool } from "./pool_worker.ts";
import { groupBy, job, outcome, play, send, workersOf } from "./pools.ts";

beforeEach(resetPool);

describe("routing", () => {
  it("test_dispatch_key_persistent, hash_worker: 999 jobs of a key run on one worker (ractor, worker_pool)", () =>
    play({ routing: consistentHash() }, async (factory) => {
      await Promise.all(send(factory, 999, () => "key", 0));
      expect(pool.history).toHaveLength(2 * 999);
      expect(workersOf("key")).toHaveLength(1);
    }));

  it("test_dispatch_queuer: equal jobs are shared evenly (ractor)", () =>
    play({ routing: queue() }, async (factory) => {
      await Promise.all(send(factory, 999, () => "key"));
      const shares = groupBy(pool.history, ({ worker }) => worker.id);
      expect([...shares.values()].map((share) => share.length)).toEqual([666, 666, 666]);
    }));

  it("test_dispatch_sticky_queueing: a busy key stays with its worker if nobody waits longer (ractor)", () =>
    play({ routing: stickyQueue() }, async (factory) => {
      await Promise.all(send(factory, 50, () => "key"));
      expect(workersOf("key")).toHaveLength(1);
    }));

  it.each([
    ["queue", queue()],
    ["sticky_queue", stickyQueue()],
  ])(
    "available_worker, next_available_worker: with %s no job waits beside an idle worker (worker_pool)",
    (_, routing) =>
      play({ routing, workers: 4 }, async (factory, world) => {
        const sent = send(factory, 40, (n) => (n % 5 === 0 ? "hot" : `cold ${n}`));
        for (let busy = true; busy; ) {
          await world.sleep(1);
          const { waiting, running } = await factory.statistics();
          busy = waiting + running > 0;
          // The hot key's jobs run one at a time where order is kept; the others have nobody to wait for.
          const hot = pool.history.filter(({ key, what }) => key === "hot" && what === "begins").length;
          const waitsForOrder = routing.type === "sticky_queue" ? 8 - hot : 0;
          if (waiting > waitsForOrder) expect(running).toBe(4);
        }
        expect(await Promise.all(sent)).toHaveLength(40);
      }),
  );

  it.each([
    ["consistent_hash", consistentHash()],
    ["sticky_queue", stickyQueue()],
  ])("%s keeps the order of each key under load, and never two jobs of one at once", (_, routing) =>
    play({ routing, workers: 5 }, async (factory, world) => {
      const sent = Array.from({ length: 500 }, (_unused, n) => {
        const key = `key ${Math.floor(world.chance("key") * 13)}`;
        return factory.at(key).call.work(job(key, n, world.chance("ms") * 20), { timeoutMs: 60_000 });
      });
      await Promise.all(sent);
      for (const [, noted] of groupBy(pool.history, ({ key }) => key)) {
        const order = noted.map(({ n }) => n);
        expect(order).toEqual(order.toSorted((a, b) => a - b));
        expect(noted.map(({ what }) => what)).toEqual(
          noted.map((_unused, i) => (i % 2 === 0 ? "begins" : "ends")),
        );
      }
    }),
  );

  it("queue does not keep the order of a key, which is why it is refused where that is needed", async () => {
    await play({ routing: queue() }, async (factory, world) => {
      const sent = [30, 10].map((ms, n) => factory.at("key").call.work(job("key", n, ms)));
      await world.sleep(50);
      await Promise.all(sent);
      expect(pool.history.filter(({ what }) => what === "ends").map(({ n }) => n)).toEqual([1, 0]);
    });
    const refused = play({ routing: queue(), affinity: "key" }, () => Promise.resolve());
    await expect(refused).rejects.toMatchObject({
      code: "unsafe",
      details: { field: "routing", cure: "sticky_queue or consistent_hash" },
    });
  });
});

describe("limits", () => {
  const routings: [string, Routing][] = [
    ["consistent_hash", consistentHash()],
    ["queue", queue()],
    ["sticky_queue", stickyQueue()],
  ];

  it.each(routings)(
    "test_discarding_new_records_on_queuer: of 108 jobs 3 run, 5 wait, 100 are discarded; %s (ractor)",
    (_, routing) => {
      const discarded: (DiscardedJob & { reason: string })[] = [];
      const onDiscard = (each: DiscardedJob, reason: string) => void discarded.push({ ...each, reason });
      return play({ routing, jobs: { max: 5, onDiscard } }, async (factory, world) => {
        const keys = threeKeysOfThreeWorkers(
          await Promise.all(
            ["a", "b", "c", "d", "e", "f", "g"].map(async (key) => ({
              key,
              worker: (await factory.explain(key)).worker,
            })),
          ),
        );
        const sent = send(factory, 108, (n) => keys[n % 3] ?? "").map(outcome);
        await world.sleep(1);
        expect(await factory.statistics()).toMatchObject({
          running: 3,
          waiting: 5,
          discarded: { overflow: 100 },
        });
        const outcomes = await Promise.all(sent);
        expect(outcomes).toEqual(
          Array.from({ length: 108 }, (_unused, n) => (n < 8 ? n : "discarded overflow")),
        );
        expect(discarded.map(({ message }) => (message as Job).n)).toEqual(
          outcomes.slice(8).map((_unused, i) => i + 8),
        );
        expect(new Set(discarded.map(({ reason }) => reason))).toEqual(new Set(["overflow"]));
      });
    },
  );

  it.each(routings)(
    "a backlog bounded by bytes discards what does not fit, and takes again when it has room; %s",
    (_, routing) =>
      play({ routing, workers: 1, jobs: { bytesMax: 2_000 } }, async (factory) => {
        const big = (n: number) =>
          factory.at("key").call.work({ ...job("key", n), filler: "x".repeat(900) } as Job);
        const outcomes = await Promise.all([0, 1, 2, 3].map((n) => outcome(big(n))));
        expect(outcomes).toEqual([0, 1, "discarded overflow", "discarded overflow"]);
        expect(await Promise.all([4, 5].map((n) => outcome(big(n))))).toEqual([4, 5]);
      }),
  );

  it.each(routings)(
    "a job older than ageMaxMs is discarded although no worker ever gets free; %s",
    (_, routing) => {
      const reasons: string[] = [];
      const jobs = {
        ageMaxMs: 1_000,
        onDiscard: (_job: DiscardedJob, reason: string) => void reasons.push(reason),
      };
      return play({ routing, workers: 1, jobs }, async (factory, world) => {
        factory
          .at("key")
          .call.hang(job("key", 0), { timeoutMs: Number.POSITIVE_INFINITY })
          .catch(() => undefined);
        const waiting = outcome(
          send(factory, 1, () => "key")[0] ?? Promise.reject(new Error("one was sent")),
        );
        await world.sleep(900);
        expect(reasons).toEqual([]);
        expect(await waiting).toBe("discarded expired");
        expect(world.nowMs).toBeLessThan(1_500);
        expect(reasons).toEqual(["expired"]);
        expect(await factory.statistics()).toMatchObject({ waiting: 0, discarded: { expired: 1 } });
      });
    },
  );

  it.each(routings)("a job whose caller gave up never runs, and makes room; %s", (_, routing) => {
    const reasons: string[] = [];
    const jobs = { max: 1, onDiscard: (_job: DiscardedJob, reason: string) => void reasons.push(reason) };
    return play({ routing, workers: 1, jobs }, async (factory, world) => {
      const first = send(factory, 1, () => "key", 3_000);
      const controller = new AbortController();
      const given = factory.at("key").call.work(job("key", 7), { signal: controller.signal });
      const canceled = outcome(given);
      await world.sleep(10);
      controller.abort();
      expect(await canceled).toBe("canceled");
      await world.sleep(1_100);
      expect(reasons).toEqual(["canceled"]);
      expect(await factory.at("key").call.work(job("key", 8))).toBe(8);
      await Promise.all(first);
      expect(pool.history.map(({ n }) => n)).not.toContain(7);
    });
  });

  it.each(routings)(
    "test_stuck_workers, kill_on_overrun: a job over its time costs its worker; %s (ractor, worker_pool)",
    (_, routing) =>
      play({ routing, workers: 2, jobs: { runMaxMs: 100 } }, async (factory, world) => {
        const hung = outcome(factory.at("key").call.hang(job("key", 0), { timeoutMs: 60_000 }));
        const behind = send(factory, 5, () => "key", 90).map(outcome);
        expect(await hung).toBe("crashed killed");
        expect(world.nowMs).toBeLessThan(200);
        expect(await Promise.all(behind)).toEqual([0, 1, 2, 3, 4]);
        expect(pool.starts).toBe(3);
      }),
  );

  it("crashing_callback_does_not_affect_others: an onDiscard that throws is logged (worker_pool)", () => {
    const onDiscard = (): void => {
      throw new Error("from onDiscard");
    };
    return play({ routing: queue(), workers: 1, jobs: { max: 0, onDiscard } }, async (factory, world) => {
      const busy = factory.at("key").call.work(job("key", 9));
      expect(await outcome(factory.at("key").call.work(job("key", 0)))).toBe("discarded overflow");
      expect(await outcome(factory.at("key").call.work(job("key", 1)))).toBe("discarded overflow");
      expect(await busy).toBe(9);
      expect(world.logged.filter(({ message }) => message === "onDiscard threw")).toHaveLength(2);
    });
  });

  it.each([
    ["workers", { workers: 0 }],
    ["jobs.max", { jobs: { max: -1 } }],
    ["jobs.bytesMax", { jobs: { bytesMax: Number.NaN } }],
    ["jobs.ageMaxMs", { jobs: { ageMaxMs: -1 } }],
    ["jobs.runMaxMs", { jobs: { runMaxMs: -1 } }],
  ])("a wrong %s is refused and nothing starts", async (field, wrong) => {
    const refused = play({ routing: queue(), ...wrong }, () => Promise.resolve());
    await expect(refused).rejects.toMatchObject({ code: "bad_argument", details: { field } });
    expect(pool.starts).toBe(0);
  });
});

/** With consistent_hash, keys whose workers differ; else any. */
function threeKeysOfThreeWorkers(known: { key: string; worker: number | undefined }[]): string[] {
  const keys = new Map<number, string>();
  for (const [i, { key, worker }] of known.entries()) keys.set(worker ?? i, key);
  return [...keys.values()].slice(0, 3);
}

/**
 * A factory's dispatcher by itself, in virtual time: what it admits, tells and forgets. Its workers:
 * dispatcher_workers.test.
 */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Backlog } from "../../src/core/backlog.ts";
import type { State } from "../../src/core/factory_state.ts";
import { KeyOrder } from "../../src/core/key_order.ts";
import { coreLimits } from "../../src/core/limits.ts";
import { estimateBytes } from "../../src/core/mailbox.ts";
import { stickyQueue } from "../../src/index.ts";
import { simulateSeed } from "../../src/simulation/index.ts";
import { pool, pool_worker, resetPool } from "../conformance/pool_worker.ts";
import { job, outcome } from "../conformance/pools.ts";
import { lateAfter, play, request } from "../fixtures/dispatcher_stage.ts";

beforeEach(resetPool);
afterEach(() => {
  vi.restoreAllMocks();
});

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

describe("a job whose time is bounded", () => {
  it("has no timer any more when it has ended or was not taken", () =>
    play({ jobs: { runMaxMs: 60_000 } }, async ({ node, world, dispatcher, work, state, pidOf }) => {
      const canceled = vi.spyOn(state().self, "cancelTimer");
      expect(await work("k", 0)).toBe(0);
      expect(canceled).toHaveBeenCalledTimes(1);
      const pid = pidOf(0);
      await node.system.suspend(pid);
      expect(await lateAfter(100, dispatcher, "k")).toBe("timeout");
      await node.system.resume(pid);
      await world.sleep(20);
      expect(canceled).toHaveBeenCalledTimes(2);
    }));
});

describe("a job that its worker has no room for", () => {
  it("is answered so, and the worker takes the next one when it can", () =>
    play({}, async ({ node, world, dispatcher, work, pidOf }) => {
      const pid = pidOf(0);
      await node.system.suspend(pid);
      const ref = node.system.ref(pool_worker, pid);
      for (let n = 0; n < coreLimits.mailboxMax; n++) ref.cast.note(job("note", n, 0));
      expect(await work("k", 1)).toBe("overloaded");
      await node.system.resume(pid);
      await world.sleep(100);
      expect(await work("k", 2, 0)).toBe(2);
      expect(await dispatcher.call.statistics()).toMatchObject({ waiting: 0, running: 0, done: 2 });
    }));
});

describe("a sweep", () => {
  it("comes once a second while jobs wait, however many come, and not when none does", () =>
    play({}, async ({ world, work }) => {
      const swept = vi.spyOn(Backlog.prototype, "sweep");
      const jobs = [work("k", 0, 5_000)];
      for (let n = 1; n <= 40; n++) {
        jobs.push(work("k", n, 0));
        await world.sleep(100);
      }
      await Promise.all(jobs);
      expect(swept).toHaveBeenCalledTimes(5);
      await world.sleep(10_000);
      // The last one found nothing.
      expect(swept).toHaveBeenCalledTimes(6);
    }));
});

describe("what it tells", () => {
  it("jobs that began too early, as its check of the order counted them", () =>
    play({ routing: stickyQueue() }, async ({ dispatcher }) => {
      vi.spyOn(KeyOrder.prototype, "violations", "get").mockReturnValue(3);
      expect(await dispatcher.call.statistics()).toMatchObject({ orderViolations: 3 });
    }));

  it("a job that began too early, without its key", () =>
    play({ routing: stickyQueue() }, async ({ world, work }) => {
      vi.spyOn(KeyOrder.prototype, "begins").mockImplementation((begun) => begun);
      await work("secret", 0);
      const told = world.logged.filter(({ message }) => message.startsWith("a job began before"));
      expect(told).toMatchObject([{ fields: { sequence: 1, earlier: 1 } }]);
      expect(JSON.stringify(told)).not.toContain("secret");
    }));

  it("when to come back, to who came when there was too much to do, and to nobody else", () =>
    play({ jobs: { max: 0 } }, async ({ dispatcher }) => {
      const detailsOf = (n: number) =>
        dispatcher.call.job(request("k", n, 10)).catch(({ details }) => details);
      const [, refused] = await Promise.all([detailsOf(0), detailsOf(1)]);
      expect(refused).toEqual({ reason: "overflow", retryAfterMs: expect.any(Number) });
      await dispatcher.call.drain();
      expect(await detailsOf(2)).toEqual({ reason: "shutdown" });
    }));

  it("the threads of the workers that are there, while another is being started", () =>
    play({ workers: 2 }, async ({ node, world, dispatcher, state, pidOf }) => {
      const pid = pidOf(0);
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
    expect(ends).toEqual(new Set(expected));
  });
});

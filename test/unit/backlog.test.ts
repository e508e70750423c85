/** A factory's backlog by itself: which job is whose next, at each end of its lanes. */

import { describe, expect, it } from "vitest";
import { Backlog, type Waiting } from "../../src/core/backlog.ts";
import { partitionOf } from "../../src/core/routing_table.ts";
import { consistentHash, queue, stickyQueue } from "../../src/index.ts";

interface Job extends Waiting {
  readonly n: number;
}

let count = 0;

function jobOf(key: string, bytes = 1): Job {
  return { key, n: count++, bytes, atMs: 0 };
}

/** Pushes a job for each key, and returns them with their lanes. */
function push(backlog: Backlog<Job>, ...keys: readonly string[]): { job: Job; lane: string }[] {
  return keys.map((key) => {
    const job = jobOf(key);
    return { job, lane: backlog.push(job) };
  });
}

function numbers(jobs: readonly { readonly n: number }[]): number[] {
  return jobs.map(({ n }) => n);
}

/** Takes and ends all that this worker may run, one after the other. */
function drained(backlog: Backlog<Job>, worker = 0): number[] {
  const taken: number[] = [];
  for (let next = backlog.take(worker); next !== undefined; next = backlog.take(worker)) {
    taken.push(next.job.n);
    backlog.finished(next.lane);
  }
  return taken;
}

/** A key for each of so many workers. */
function keysOf(backlog: Backlog<Job>, workers: number): string[] {
  const keys = new Map<number | undefined, string>();
  for (let i = 0; keys.size < workers; i++) keys.set(backlog.workerOf(`key ${i}`), `key ${i}`);
  return Array.from({ length: workers }, (_, worker) => keys.get(worker) ?? "");
}

const one = new Set([0]);
const both = new Set([0, 1]);
const none = new Set<number>();

describe("what waits", () => {
  it("is counted, in jobs and bytes, until it is taken, and again when it comes back", () => {
    const backlog = new Backlog<Job>(stickyQueue(), 1);
    const counted = () => [backlog.length, backlog.bytes];
    const [a, b, c] = [jobOf("a", 10), jobOf("b", 20), jobOf("b", 40)];
    for (const job of [a, b, c]) backlog.push(job);
    expect(counted()).toEqual([3, 70]);
    const taken = backlog.take(0);
    expect([taken?.job, counted()]).toEqual([a, [2, 60]]);
    backlog.putBack("a", a);
    expect(counted()).toEqual([3, 70]);
    backlog.withdraw("b", c);
    expect(counted()).toEqual([2, 30]);
    expect(backlog.sweep((job) => (job === b ? "old" : undefined))).toEqual([{ job: b, reason: "old" }]);
    expect(counted()).toEqual([1, 10]);
    expect([backlog.clear(), counted()]).toEqual([[a], [0, 0]]);
  });

  it("is counted by its lane, without the job that was taken", () => {
    const backlog = new Backlog<Job>(stickyQueue(), 1);
    push(backlog, "a", "a", "a", "b");
    backlog.take(0);
    expect(["a", "b", "c"].map((lane) => backlog.waitingIn(lane))).toEqual([2, 1, 0]);
  });

  it("can be withdrawn from anywhere in its lane; what does not wait can't", () => {
    const backlog = new Backlog<Job>(stickyQueue(), 1);
    const jobs = push(backlog, "a", "a", "a", "a").map(({ job }) => job);
    const [first, second, third, fourth] = jobs;
    if (first === undefined || second === undefined || third === undefined) throw new Error("four were made");
    backlog.withdraw("a", first);
    backlog.withdraw("a", third);
    expect(() => backlog.withdraw("a", third)).toThrow("waits");
    expect(() => backlog.withdraw("b", second)).toThrow("waits");
    expect(drained(backlog)).toEqual([second.n, fourth?.n]);
  });
});

describe("which worker is wanted", () => {
  it.each([queue(), stickyQueue()])("$type: any that is idle, while a lane is ready", (routing) => {
    const backlog = new Backlog<Job>(routing, 2);
    expect(backlog.wanted(both)).toBeUndefined();
    push(backlog, "a");
    expect([backlog.wanted(none), backlog.wanted(new Set([1])), backlog.workerOf("a")]).toEqual([
      undefined,
      1,
      undefined,
    ]);
    backlog.take(1);
    expect(backlog.wanted(both)).toBeUndefined();
  });

  it("consistent_hash: the one that a ready lane is bound to, and no other", () => {
    const backlog = new Backlog<Job>(consistentHash(), 2);
    const [, ofSecond = ""] = keysOf(backlog, 2);
    push(backlog, ofSecond, ofSecond);
    expect([backlog.wanted(one), backlog.wanted(both), backlog.wanted(none)]).toEqual([
      undefined,
      1,
      undefined,
    ]);
    expect(backlog.take(0)).toBeUndefined();
    expect(backlog.take(1)).toMatchObject({ behind: 1 });
    expect(backlog.wanted(both)).toBeUndefined();
    expect(backlog.take(1)).toBeUndefined();
  });

  it("consistent_hash: as long as it has another lane that is ready", () => {
    const backlog = new Backlog<Job>(consistentHash(), 1);
    push(backlog, "a", "b");
    backlog.take(0);
    expect(backlog.wanted(one)).toBe(0);
    backlog.take(0);
    expect(backlog.wanted(one)).toBeUndefined();
  });
});

describe("whether a job that comes would run at once", () => {
  it("queue: if a worker is idle", () => {
    const backlog = new Backlog<Job>(queue(), 1);
    expect([backlog.runsAtOnce("a", none), backlog.runsAtOnce("a", one)]).toEqual([false, true]);
  });

  it("sticky_queue: if none of its key is there, waiting or running", () => {
    const backlog = new Backlog<Job>(stickyQueue(), 2);
    push(backlog, "a");
    expect([backlog.runsAtOnce("a", one), backlog.runsAtOnce("b", one)]).toEqual([false, true]);
    const taken = backlog.take(0);
    expect(backlog.runsAtOnce("a", one)).toBe(false);
    backlog.finished(taken?.lane ?? "");
    expect(backlog.runsAtOnce("a", one)).toBe(true);
  });

  it("consistent_hash: if the worker of its key is idle", () => {
    const backlog = new Backlog<Job>(consistentHash(), 2);
    const [ofFirst = "", ofSecond = ""] = keysOf(backlog, 2);
    expect([backlog.runsAtOnce(ofFirst, one), backlog.runsAtOnce(ofSecond, one)]).toEqual([true, false]);
  });
});

describe("the order", () => {
  it("queue: as they came, all at once if there are workers", () => {
    const backlog = new Backlog<Job>(queue(), 2);
    const jobs = push(backlog, "a", "a", "a").map(({ job }) => job);
    const taken = [backlog.take(0), backlog.take(1), backlog.take(0), backlog.take(1)];
    expect(taken.map((each) => each?.job.n)).toEqual([...numbers(jobs), undefined]);
    for (const each of taken) if (each !== undefined) backlog.finished(each.lane);
    expect(backlog.take(0)).toBeUndefined();
  });

  it.each([stickyQueue(), consistentHash()])("$type: one job of a key at a time", (routing) => {
    const backlog = new Backlog<Job>(routing, 1);
    const [first, second] = push(backlog, "a", "a");
    expect(backlog.take(0)?.job).toBe(first?.job);
    const [third] = push(backlog, "a");
    expect(backlog.take(0)).toBeUndefined();
    backlog.finished(first?.lane ?? "");
    expect(drained(backlog)).toEqual([second?.job.n, third?.job.n]);
  });

  it("lanes are served in turn, as they became ready", () => {
    const backlog = new Backlog<Job>(stickyQueue(), 1);
    const [a1, a2, b1, b2] = push(backlog, "a", "a", "b", "b").map(({ job }) => job.n);
    expect(drained(backlog)).toEqual([a1, b1, a2, b2]);
  });

  it("a lane that has become ready is ready once, and says since when", () => {
    const backlog = new Backlog<Job>(stickyQueue(), 2);
    push(backlog, "a", "a");
    const taken = backlog.take(0);
    expect(taken?.queue.readyMs).toBe(0);
    backlog.finished("a", 70);
    push(backlog, "a");
    expect([backlog.take(0)?.queue.readyMs, backlog.take(1)]).toEqual([70, undefined]);
    backlog.finished("a");
    expect(backlog.take(0)?.queue.readyMs).toBe(70);
  });

  it("who ends a lane that is there no more ends nothing", () => {
    const backlog = new Backlog<Job>(stickyQueue(), 1);
    backlog.finished("a");
    backlog.goOn("a");
    expect(backlog.take(0)).toBeUndefined();
  });
});

describe("a job that comes back", () => {
  it("is the next of its lane, behind the lanes that were ready before", () => {
    const backlog = new Backlog<Job>(stickyQueue(), 1);
    const [a1, a2, b1] = push(backlog, "a", "a", "b").map(({ job }) => job);
    const taken = backlog.take(0);
    if (taken === undefined) throw new Error("three wait");
    backlog.putBack("a", taken.job);
    expect(drained(backlog)).toEqual(numbers([b1, a1, a2].filter((job) => job !== undefined)));
  });

  it("waits with its lane until it may go on, if it comes back for later", () => {
    const backlog = new Backlog<Job>(stickyQueue(), 1);
    const [a1, a2, b1] = push(backlog, "a", "a", "b").map(({ job }) => job);
    const taken = backlog.take(0);
    if (taken === undefined) throw new Error("three wait");
    backlog.putBack("a", taken.job, "later");
    const [a3] = push(backlog, "a").map(({ job }) => job);
    expect(drained(backlog)).toEqual([b1?.n]);
    backlog.goOn("a");
    expect(drained(backlog)).toEqual(numbers([a1, a2, a3].filter((job) => job !== undefined)));
  });

  it("had been taken, or somebody is wrong", () => {
    const backlog = new Backlog<Job>(stickyQueue(), 1);
    const [waiting] = push(backlog, "a");
    if (waiting === undefined) throw new Error("one was made");
    expect(() => backlog.putBack("a", waiting.job)).toThrow("had been taken");
    expect(() => backlog.putBack("b", waiting.job)).toThrow("had been taken");
  });

  it("can be swept and cleared like any other", () => {
    for (const gone of ["swept", "cleared"]) {
      const backlog = new Backlog<Job>(stickyQueue(), 1);
      const [a1, a2] = push(backlog, "a", "a").map(({ job }) => job);
      if (a1 === undefined || a2 === undefined) throw new Error("two were made");
      backlog.take(0);
      backlog.putBack("a", a1);
      if (gone === "cleared") expect(backlog.clear()).toEqual([a1, a2]);
      else {
        expect(backlog.sweep((job) => (job === a1 ? gone : undefined))).toEqual([{ job: a1, reason: gone }]);
        expect(backlog.take(0)?.job).toBe(a2);
        backlog.finished("a");
      }
      expect(backlog.take(0)).toBeUndefined();
      // The lane is gone with its jobs.
      expect(backlog.runsAtOnce("a", one)).toBe(true);
    }
  });
});

describe("a sweep", () => {
  it("takes out what there is a reason against and leaves the others in order; an empty lane is passed over", () => {
    const backlog = new Backlog<Job>(stickyQueue(), 1);
    const [a1, a2, a3, b1, c1] = push(backlog, "a", "a", "a", "b", "c").map(({ job }) => job);
    const against = new Map([
      [a2, "late"],
      [b1, "given up"],
    ]);
    const dead = backlog.sweep((job) => against.get(job));
    expect(dead).toEqual([
      { job: a2, reason: "late" },
      { job: b1, reason: "given up" },
    ]);
    expect(backlog.length).toBe(3);
    expect(drained(backlog)).toEqual([a1?.n, c1?.n, a3?.n]);
  });
});

describe("a resize", () => {
  it("lanes that wait go with their keys to the workers of the new table, in their order", () => {
    const backlog = new Backlog<Job>(consistentHash(), 3);
    const keys = keysOf(backlog, 3);
    push(backlog, ...keys, ...keys);
    backlog.resize(1);
    expect(keys.map((key) => backlog.workerOf(key))).toEqual([0, 0, 0]);
    expect(backlog.wanted(new Set([1, 2]))).toBeUndefined();
    expect(backlog.wanted(one)).toBe(0);
    expect(drained(backlog)).toHaveLength(6);
    push(backlog, ...keys);
    backlog.resize(3);
    expect([0, 1, 2].map((worker) => drained(backlog, worker).length)).toEqual([1, 1, 1]);
  });

  it("the lane of a job that runs goes after it has ended", () => {
    const backlog = new Backlog<Job>(consistentHash(), 2);
    const [, key = ""] = keysOf(backlog, 2);
    push(backlog, key, key);
    const taken = backlog.take(1);
    backlog.resize(1);
    expect(backlog.take(0)).toBeUndefined();
    backlog.finished(taken?.lane ?? "");
    expect(backlog.take(0)).toMatchObject({ behind: 0 });
  });

  it.each([queue(), stickyQueue()])("$type: what waits stays where it is", (routing) => {
    const backlog = new Backlog<Job>(routing, 3);
    const jobs = push(backlog, "a", "b", "c").map(({ job }) => job);
    backlog.resize(1);
    expect(drained(backlog)).toEqual(numbers(jobs));
  });

  it.each([queue(), stickyQueue()])("$type: a lane that was taken is anybody's again after it", (routing) => {
    const backlog = new Backlog<Job>(routing, 3);
    const [pushed] = push(backlog, "5");
    if (pushed === undefined) throw new Error("one was made");
    backlog.take(0);
    backlog.resize(2);
    backlog.putBack(pushed.lane, pushed.job);
    expect([backlog.wanted(one), backlog.wanted(new Set([1]))]).toEqual([0, 1]);
  });
});

/** How many jobs begin before one of this key that comes now, as one worker takes them. */
function servedBefore(backlog: Backlog<Job>, key: string, worker = 0): number {
  const [pushed] = push(backlog, key);
  return drained(backlog, worker).indexOf(pushed?.job.n ?? Number.NaN);
}

describe("what stands before a job", () => {
  const keys = ["a", "a", "b", "c", "c", "c"];

  it.each([
    ["a", { ahead: 5, own: 2, others: 2, waiting: 2, place: 1 }],
    ["b", { ahead: 4, own: 1, others: 2, waiting: 1, place: 2 }],
    ["c", { ahead: 6, own: 3, others: 2, waiting: 3, place: 3 }],
    ["d", { ahead: 3, own: 0, others: 3, waiting: 0, place: undefined }],
  ])("sticky_queue, key %s: one of each lane in turn", (key, expected) => {
    const backlog = new Backlog<Job>(stickyQueue(), 1);
    push(backlog, ...keys);
    expect(backlog.ahead(key)).toEqual({ ...expected, postponed: false });
    expect(servedBefore(backlog, key)).toBe(expected.ahead);
  });

  it("sticky_queue: a lane whose job runs comes back behind all others", () => {
    const backlog = new Backlog<Job>(stickyQueue(), 1);
    push(backlog, ...keys);
    backlog.take(0);
    expect(backlog.ahead("b")).toMatchObject({ ahead: 3, own: 1, others: 1, place: 1 });
    expect(backlog.ahead("a")).toMatchObject({ ahead: 4, own: 1, others: 2, place: 3 });
    backlog.finished("a");
    expect(servedBefore(backlog, "a")).toBe(4);
  });

  it("sticky_queue: a lane that is held back stands before nobody, and says so of itself", () => {
    const backlog = new Backlog<Job>(stickyQueue(), 1);
    push(backlog, "a", "a", "b", "b");
    const taken = backlog.take(0);
    if (taken === undefined) throw new Error("four wait");
    backlog.putBack("a", taken.job, "later");
    expect(backlog.ahead("b")).toMatchObject({ ahead: 2, own: 2, others: 0, place: 1, postponed: false });
    expect(backlog.ahead("a")).toMatchObject({ own: 2, others: 1, waiting: 2, postponed: true });
    backlog.goOn("a");
    expect(backlog.ahead("a")).toMatchObject({ ahead: 4, own: 2, place: 2, postponed: false });
    expect(servedBefore(backlog, "a")).toBe(4);
  });

  it("consistent_hash: lanes of the same worker only, whether they are ready or run", () => {
    const backlog = new Backlog<Job>(consistentHash(), 2);
    const [key = "", ofOther = ""] = keysOf(backlog, 2);
    const beside = Array.from({ length: 1_000 }, (_, i) => `beside ${i}`).find(
      (each) => backlog.workerOf(each) === 0 && partitionOf(each) !== partitionOf(key),
    );
    if (beside === undefined) throw new Error("one in two keys is of the first worker");
    push(backlog, ofOther, ofOther, ofOther, beside, beside, key);
    expect(backlog.ahead(key)).toMatchObject({ ahead: 3, own: 1, others: 1, waiting: 1, place: 2 });
    backlog.take(0);
    backlog.take(1);
    expect(backlog.ahead(key)).toMatchObject({ ahead: 2, own: 1, others: 0, place: 1 });
  });

  it("queue: every job that is ready; of a key the oldest has its place", () => {
    const backlog = new Backlog<Job>(queue(), 1);
    push(backlog, "x", "a", "b", "a");
    expect(backlog.ahead("a")).toEqual({
      ahead: 4,
      own: 0,
      others: 4,
      waiting: 2,
      place: 2,
      postponed: false,
    });
    expect(backlog.ahead("d")).toMatchObject({ ahead: 4, waiting: 0, place: undefined });
    expect(servedBefore(backlog, "d")).toBe(4);
  });

  it.each([queue(), stickyQueue()])("$type: nothing of a lane that was swept empty", (routing) => {
    const backlog = new Backlog<Job>(routing, 1);
    push(backlog, "a", "b", "c");
    backlog.sweep((job) => (job.key === "a" ? "late" : undefined));
    expect(backlog.ahead("c")).toMatchObject({ ahead: 2, waiting: 1, place: 2 });
    expect(backlog.ahead("d")).toMatchObject({ ahead: 2, others: 2, waiting: 0, place: undefined });
  });

  it("a job that came back stands before those of other keys in its lane", () => {
    const backlog = new Backlog<Job>(consistentHash(), 1);
    const other = Array.from({ length: 10_000 }, (_, i) => `other ${i}`).find(
      (each) => partitionOf(each) === partitionOf("key"),
    );
    if (other === undefined) throw new Error("one in 1,024 is of the same partition");
    push(backlog, other, "key");
    const taken = backlog.take(0);
    if (taken === undefined) throw new Error("two wait");
    backlog.putBack(taken.lane, taken.job);
    expect([backlog.ahead(other).place, backlog.ahead("key").place]).toEqual([1, 2]);
  });

  it("a job that came back has its place before the others of its key", () => {
    const backlog = new Backlog<Job>(stickyQueue(), 1);
    push(backlog, "a", "a");
    const taken = backlog.take(0);
    if (taken === undefined) throw new Error("two wait");
    backlog.putBack("a", taken.job);
    expect(backlog.ahead("a")).toMatchObject({ ahead: 2, own: 2, waiting: 2, place: 1 });
  });
});

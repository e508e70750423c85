/** Jobs that wait too long are shed: how many, whose, and what their callers hear; in virtual time. */

import { beforeEach, describe, expect, it } from "vitest";
import { consistentHash, type DiscardedJob, NanoError, queue, stickyQueue } from "../../src/index.ts";
import { simulateSeed, type World } from "../../src/simulation/index.ts";
import { pool, resetPool } from "../conformance/pool_worker.ts";
import { groupBy, job, outcome, type Pool, play } from "../conformance/pools.ts";
import { ordered_worker, orderNotes } from "../fixtures/ordered_worker.ts";

beforeEach(() => {
  resetPool();
  sent = 0;
});

const serviceMs = 10;
const jobs = { delayTargetMs: 20, delayIntervalMs: 100 };
/** On the ways between the caller, the dispatcher and the worker. */
const slackMs = 5;
/** Of one who sends little: a seventh of what a worker can do, and out of step with it. */
const seldomMs = 7.3 * serviceMs;

interface Sent {
  readonly key: string;
  readonly n: number;
  readonly atMs: number;
  readonly answer: Promise<unknown>;
}

let sent = 0;

function send(factory: Pool, world: World, key: string): Sent {
  const n = sent++;
  const answer = factory
    .at(key)
    .call.work(job(key, n, serviceMs), { timeoutMs: 600_000 })
    .catch((error: unknown) => error);
  return { key, n, atMs: world.nowMs, answer };
}

/** One job every so many ms, whatever comes of the others. */
async function openLoop(
  { factory, world }: { readonly factory: Pool; readonly world: World },
  { everyMs, forMs, keyOf }: { everyMs: number; forMs: number; keyOf: (i: number) => string },
): Promise<Sent[]> {
  const all: Sent[] = [];
  for (let i = 0; i * everyMs < forMs; i++) {
    all.push(send(factory, world, keyOf(i)));
    await world.sleep(everyMs);
  }
  return all;
}

async function split(all: readonly Sent[]): Promise<{ ran: Sent[]; shed: Sent[] }> {
  const answers = await Promise.all(all.map(({ answer }) => answer));
  const isShed = answers.map((answer) => answer instanceof NanoError && answer.details.reason === "shed");
  return { ran: all.filter((_, i) => isShed[i] === false), shed: all.filter((_, i) => isShed[i] === true) };
}

async function refusalOf({ answer }: Sent): Promise<NanoError> {
  const error = await answer;
  if (error instanceof NanoError) return error;
  throw new Error("it was refused");
}

/** When each job begins from now on, on the clock of the world. */
function watchBeginnings(world: World): Map<number, number> {
  const begun = new Map<number, number>();
  let seen = pool.history.length;
  world.afterEachEvent(() => {
    for (; seen < pool.history.length; seen++) {
      const noted = pool.history[seen];
      if (noted?.what === "begins") begun.set(noted.n, world.nowMs);
    }
  });
  return begun;
}

function longestWait(ran: readonly Sent[], begun: ReadonlyMap<number, number>): number {
  return Math.max(...ran.map(({ n, atMs }) => (begun.get(n) ?? Number.NaN) - atMs));
}

describe.each([
  ["queue", queue()],
  ["sticky_queue", stickyQueue()],
  ["consistent_hash", consistentHash()],
])("%s", (_, routing) => {
  it("a burst that is worked off within the interval costs nothing", () =>
    play({ routing, workers: 1, jobs }, async (factory, world) => {
      for (let burst = 0; burst < 3; burst++) {
        const all = Array.from({ length: 9 }, (_unused, i) => send(factory, world, `k${i}`));
        expect((await split(all)).shed).toEqual([]);
        await world.sleep(200);
      }
      expect((await factory.statistics()).discarded.shed).toBe(0);
    }));

  it("under three times the load no job begins later than target and interval, and no worker idles", () =>
    play({ routing, workers: 1, jobs }, async (factory, world) => {
      const begun = watchBeginnings(world);
      const all = await openLoop(
        { factory, world },
        { everyMs: serviceMs / 3, forMs: 6_000, keyOf: (i) => `k${i}` },
      );
      const { ran, shed } = await split(all);
      const bound = jobs.delayTargetMs + jobs.delayIntervalMs + slackMs;
      expect(longestWait(ran, begun)).toBeLessThanOrEqual(bound);
      // What is missing to 1 is the way from one job to the next.
      expect(ran.length * serviceMs).toBeGreaterThan(6_000 * 0.9);
      const { discarded, done, orderViolations } = await factory.statistics();
      expect({ shed: discarded.shed, done, orderViolations }).toEqual({
        shed: shed.length,
        done: ran.length,
        orderViolations: 0,
      });
    }));

  it("what overflows hears how long the workers need for what is there", () =>
    play({ workers: 2, routing: queue(), jobs: { max: 8 } }, async (factory, world) => {
      await send(factory, world, "a").answer;
      const taken = Array.from({ length: 10 }, () => send(factory, world, "a"));
      const refused = await refusalOf(send(factory, world, "a"));
      expect(refused).toMatchObject({ code: "discarded", details: { reason: "overflow" } });
      // Eight wait for two workers, and each has half of a job before it.
      const { retryAfterMs } = refused.details;
      expect(Math.abs(Number(retryAfterMs) - 4.5 * serviceMs)).toBeLessThanOrEqual(slackMs);
      await world.sleep(Number(retryAfterMs) + slackMs);
      expect(await factory.statistics()).toMatchObject({ waiting: 0 });
      await split(taken);
    }));

  it("retryAfterMs is what one waits beyond the target: who obeys it waits for the target only", async () => {
    const waited = { atOnce: Number.NaN, obeying: Number.NaN };
    let retryAfterMs = Number.NaN;
    for (const who of ["atOnce", "obeying"] as const) {
      resetPool();
      await play({ routing, workers: 1, jobs }, async (factory, world) => {
        const load = { everyMs: serviceMs / 1.3, keyOf: (i: number) => `k${i}` };
        const { shed } = await loadUntilShed(factory, world, load);
        retryAfterMs = Number((await refusalOf(shed)).details.retryAfterMs);
        if (who === "obeying") await world.sleep(retryAfterMs);
        const begun = watchBeginnings(world);
        const again = send(factory, world, "again");
        expect(await again.answer).toBe(again.n);
        waited[who] = (begun.get(again.n) ?? Number.NaN) - again.atMs;
      });
    }
    expect(retryAfterMs).toBeGreaterThan(2 * serviceMs);
    expect(waited.obeying).toBeLessThanOrEqual(jobs.delayTargetMs + serviceMs);
    expect(Math.abs(waited.atOnce - jobs.delayTargetMs - retryAfterMs)).toBeLessThanOrEqual(serviceMs);
  });

  /** Loads until the first job is shed. */
  async function loadUntilShed(
    factory: Pool,
    world: World,
    { everyMs, keyOf }: { readonly everyMs: number; readonly keyOf: (i: number) => string },
  ): Promise<{ readonly shed: Sent }> {
    let first: Sent | undefined;
    for (let i = 0; first === undefined; i++) {
      const each = send(factory, world, keyOf(i));
      void each.answer.then((answer) => {
        if (answer instanceof NanoError) first ??= each;
      });
      await world.sleep(everyMs);
    }
    return { shed: first };
  }

  it("the tenant with most jobs loses all that is lost; who sends little loses nothing and is served in time", () => {
    const lost: string[] = [];
    const onDiscard = ({ key }: DiscardedJob, reason: string) => lost.push(`${key.slice(0, 5)} ${reason}`);
    const tenantOf = ({ key }: DiscardedJob): string => key.slice(0, 5);
    return play({ routing, workers: 1, jobs: { ...jobs, onDiscard, tenantOf } }, async (factory, world) => {
      const begun = watchBeginnings(world);
      const [heavy, light] = await Promise.all([
        openLoop({ factory, world }, { everyMs: serviceMs / 5, forMs: 4_000, keyOf: (i) => `heavy ${i}` }),
        openLoop({ factory, world }, { everyMs: seldomMs, forMs: 4_000, keyOf: (i) => `light ${i}` }),
      ]);
      const [ofHeavy, ofLight] = [await split(heavy), await split(light)];
      expect(ofLight.shed).toEqual([]);
      expect(new Set(lost)).toEqual(new Set(["heavy shed"]));
      expect(lost).toHaveLength(ofHeavy.shed.length);
      // Behind others of its partition it stands in the line more than once.
      if (routing.type === "consistent_hash") return;
      const bound = jobs.delayTargetMs + jobs.delayIntervalMs + serviceMs + slackMs;
      expect(longestWait(ofLight.ran, begun)).toBeLessThanOrEqual(bound);
    });
  });

  it("without tenants the one who sends little loses as others do", () =>
    play({ routing, workers: 1, jobs }, async (factory, world) => {
      const [, light] = await Promise.all([
        openLoop({ factory, world }, { everyMs: serviceMs / 5, forMs: 4_000, keyOf: (i) => `heavy ${i}` }),
        openLoop({ factory, world }, { everyMs: seldomMs, forMs: 4_000, keyOf: (i) => `light ${i}` }),
      ]);
      expect((await split(light)).shed.length).toBeGreaterThan(light.length / 4);
    }));
});

it("sticky_queue: a key with more than one worker can do sheds its own jobs in its order, and no other's", () =>
  play({ routing: stickyQueue(), workers: 4, jobs }, async (factory, world) => {
    const begun = watchBeginnings(world);
    const [hot, cold] = await Promise.all([
      openLoop({ factory, world }, { everyMs: serviceMs / 3, forMs: 3_000, keyOf: () => "hot" }),
      openLoop({ factory, world }, { everyMs: serviceMs, forMs: 3_000, keyOf: (i) => `cold ${i}` }),
    ]);
    const [ofHot, ofCold] = [await split(hot), await split(cold)];
    expect(ofCold.shed).toEqual([]);
    expect(ofHot.shed.length).toBeGreaterThan(hot.length / 2);
    const bound = jobs.delayTargetMs + jobs.delayIntervalMs + slackMs;
    expect(longestWait(ofHot.ran, begun)).toBeLessThanOrEqual(bound);
    const order = pool.history
      .filter(({ key, what }) => key === "hot" && what === "begins")
      .map(({ n }) => n);
    expect(order).toEqual(ofHot.ran.map(({ n }) => n));
    expect((await factory.statistics()).orderViolations).toBe(0);
  }));

it("consistent_hash: a worker that has too much sheds, another that has little does not, also after a resize", () =>
  play({ routing: consistentHash(), workers: 2, jobs }, async (factory, world) => {
    const keys = Array.from({ length: 200 }, (_, i) => `k${i}`);
    for (const workers of [2, 3]) {
      await factory.resize(workers);
      const known = await Promise.all(keys.map(async (key) => ({ key, ...(await factory.explain(key)) })));
      const of = groupBy(known, ({ worker }) => worker);
      const keyOn = (worker: number) => (i: number) => of.get(worker)?.[i % 20]?.key ?? "";
      const [busy, quiet] = await Promise.all([
        openLoop({ factory, world }, { everyMs: serviceMs / 3, forMs: 2_000, keyOf: keyOn(workers - 1) }),
        openLoop({ factory, world }, { everyMs: serviceMs * 2, forMs: 2_000, keyOf: keyOn(0) }),
      ]);
      const shed = (await split(busy)).shed.length;
      expect(shed).toBeGreaterThan(busy.length / 2);
      expect((await split(quiet)).shed).toEqual([]);
    }
  }));

it("a job that its worker handed back is not shed, and what it waited for its gate sheds no other", async () => {
  await simulateSeed({ seed: 1 }, async (world) => {
    const { system } = await world.node("n", { resources: () => ({ ordered: orderNotes() }) });
    const options = { args: null, workers: 1, routing: stickyQueue(), jobs };
    const factory = await system.startFactory("ordered", ordered_worker, options);
    const work = (key: string, postponed: number) =>
      factory.at(key).call.work({ key, n: 0, ms: serviceMs, dies: false, postponed });
    // Each is handed back for 50 times 7 ms; then all of them are ready at once.
    const gated = Array.from({ length: 30 }, (_, i) => work(`gated ${i}`, 50));
    await world.sleep(400);
    const others = Array.from({ length: 5 }, (_, i) => work(`other ${i}`, 0));
    expect(await Promise.all([...gated, ...others])).toHaveLength(35);
    expect((await factory.statistics()).discarded.shed).toBe(0);
  });
});

it("a tenantOf that throws is logged, and the job runs as nobody's", () => {
  const tenantOf = (): string => {
    throw new Error("from tenantOf");
  };
  return play({ routing: queue(), jobs: { ...jobs, tenantOf } }, async (factory, world) => {
    expect(await outcome(factory.at("k").call.work(job("k", 1)))).toBe(1);
    expect(world.logged.filter(({ message }) => message === "tenantOf threw")).toHaveLength(1);
  });
});

it.each([
  ["jobs.delayTargetMs", { delayTargetMs: -1 }],
  ["jobs.delayIntervalMs", { delayTargetMs: 5, delayIntervalMs: 0 }],
  ["jobs.tenantOf", { tenantOf: () => "" }],
])("a wrong %s is refused, with the field", async (field, wrong) => {
  const refused = play({ routing: queue(), jobs: wrong }, () => Promise.resolve());
  await expect(refused).rejects.toMatchObject({ code: "bad_argument", details: { field } });
});

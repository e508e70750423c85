/** An industry in simulations: the order of each key's jobs while threads and dispatchers die, and its stop. */

import { expect, it } from "vitest";
import { consistentHash, type Industry, stickyQueue, toErrorData } from "../../src/index.ts";
import { simulateSeed, type World } from "../../src/simulation/index.ts";
import { disorder, type OrderNotes, ordered_worker, orderNotes } from "../fixtures/ordered_worker.ts";

const crash = { code: "crashed", message: "told to crash" };
const keys = 12;
const seeds = 24;

async function play(world: World, notes: OrderNotes): Promise<string[]> {
  const resources = () => ({ ordered: notes });
  const node = await world.node("n", { threads: 3, resources, development: true });
  await world.sleep(5);
  const heard: string[] = [];
  const industry: Industry<typeof ordered_worker> = await node.system.startIndustry("pool", ordered_worker, {
    args: null,
    dispatchers: 4,
    workers: 8,
    routing: world.chance("routing") < 0.5 ? consistentHash() : stickyQueue(),
    jobs: { max: 40, onDiscard: ({ message }, reason) => heard.push(`${String(message)} ${reason}`) },
  });
  let size = 8;
  const next = new Array<number>(keys).fill(0);
  const ends: Promise<string>[] = [];
  for (let i = 0; i < 240; i++) {
    const of = Math.floor(world.chance("key") * keys);
    const n = next[of] ?? 0;
    next[of] = n + 1;
    const ms = Math.floor(world.chance("ms") * 9);
    const job = { key: `key ${of}`, n, ms, dies: world.chance("dies") < 0.02, postponed: 0 };
    ends.push(
      industry
        .at(job.key)
        .call.work(job, { timeoutMs: 600_000 })
        .then(
          (done) => (done === n ? "done" : "the answer of another job"),
          (error) => toErrorData(error).code,
        ),
    );
    const chance = world.chance("event");
    if (chance < 0.01) node.crashThread(1 + (i % 3));
    else if (chance < 0.015) node.process(`pool/${i % 4}`)?.requestExit({ crash });
    else if (chance < 0.035) {
      size = 4 + (i % 9);
      await industry.resize(size);
    } else if (chance < 0.3) await world.sleep(1 + (i % 7));
  }
  const all = await Promise.all(ends);
  const discarded = all.filter((end) => end === "discarded").length;
  // What a thread that died had discarded and not yet told is not heard of.
  expect(heard.length).toBeLessThanOrEqual(discarded);
  await industry.drain();
  // Longer than a thread is away.
  await world.sleep(1_000);
  const { waiting, running, workers, orderViolations } = await industry.statistics();
  expect({ waiting, running, orderViolations }).toEqual({ waiting: 0, running: 0, orderViolations: 0 });
  expect(workers).toBe(size);
  return all;
}

it("no job of a key begins before an earlier one of it ended, and each job ends once, whatever dies", async () => {
  const ends = new Set<string>();
  for (let seed = 1; seed <= seeds; seed++) {
    const notes = orderNotes();
    await simulateSeed({ seed, order: "random" }, async (world) => {
      for (const end of await play(world, notes)) ends.add(end);
    });
    expect(disorder(notes), `seed ${seed}`).toEqual([]);
  }
  expect(ends).toEqual(new Set(["done", "crashed", "noproc", "discarded"]));
}, 120_000);

it("an industry that is stopped ends when its handler has heard of every job that was discarded", async () => {
  for (let seed = 1; seed <= seeds; seed++) {
    await simulateSeed({ seed, order: "random" }, async (world) => {
      const resources = () => ({ ordered: orderNotes() });
      const { system } = await world.node("n", { threads: 2, resources });
      await world.sleep(5);
      let heard = 0;
      const industry = await system.startIndustry("pool", ordered_worker, {
        args: null,
        dispatchers: 2,
        workers: 2,
        routing: stickyQueue(),
        jobs: { onDiscard: () => heard++ },
      });
      const ends = Array.from({ length: 1_000 }, (_, n) => {
        const job = { key: `key ${n}`, n, ms: 1, dies: false, postponed: 0 };
        return industry
          .at(job.key)
          .call.work(job)
          .then(
            () => "done",
            (error) => toErrorData(error).code,
          );
      });
      await industry.statistics();
      await system.stopIndustry("pool");
      const heardAtEnd = heard;
      const discarded = (await Promise.all(ends)).filter((end) => end === "discarded").length;
      expect(discarded).toBeGreaterThan(900);
      expect(heardAtEnd).toBe(discarded);
    });
  }
}, 60_000);

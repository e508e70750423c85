/**
 * The order of each key's jobs under whatever may happen to a factory, drawn by fast-check and played in simulations.
 */

import fc from "fast-check";
import { expect, it } from "vitest";
import {
  consistentHash,
  type DiscardedJob,
  type Factory,
  type Routing,
  stickyQueue,
} from "../../src/index.ts";
import { type SimulatedNode, simulateSeed, type World } from "../../src/simulation/index.ts";
import { disorder, ordered_worker, orderNotes } from "../fixtures/ordered_worker.ts";

type Step =
  | { readonly type: "job"; readonly key: number; readonly ms: number; readonly fate: Fate }
  | { readonly type: "resize"; readonly workers: number }
  | { readonly type: "pause"; readonly ms: number }
  | { readonly type: "thread dies"; readonly thread: number };

/** What comes of a job: its caller may give up, too. */
type Fate = "ends" | "dies" | "is handed back" | "is late" | "hangs";

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      type: fc.constant("job" as const),
      key: fc.integer({ min: 0, max: 4 }),
      ms: fc.integer({ min: 0, max: 40 }),
      fate: fc.oneof(
        { weight: 6, arbitrary: fc.constant<Fate>("ends") },
        { weight: 4, arbitrary: fc.constantFrom<Fate>("dies", "is handed back", "is late", "hangs") },
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant("pause" as const), ms: fc.integer({ min: 1, max: 60 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant("resize" as const), workers: fc.integer({ min: 1, max: 9 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant("thread dies" as const),
      thread: fc.integer({ min: 1, max: 2 }),
    }),
  },
);

const plan = fc.record({
  routing: fc.constantFrom<Routing>(consistentHash(), stickyQueue()),
  sheds: fc.boolean(),
  steps: fc.array(step, { minLength: 20, maxLength: 80 }),
  seed: fc.integer({ min: 1, max: 1_000 }),
});

type Ordered = Factory<typeof ordered_worker>;

/** What each fate means for the caller's patience and the worker, ms. */
const patience = { "is late": 15, other: 600_000 };
const runMaxMs = 200;
/** So little that many jobs of a long plan are shed. */
const shedding = {
  delayTargetMs: 5,
  delayIntervalMs: 20,
  tenantOf: ({ key }: DiscardedJob) => key.slice(0, 5),
};

function send(
  factory: Ordered,
  { key, ms, fate }: Extract<Step, { type: "job" }>,
  n: number,
): Promise<unknown> {
  const job = {
    key: `key ${key}`,
    n,
    ms: fate === "hangs" ? 2 * runMaxMs : ms,
    dies: fate === "dies",
    postponed: fate === "is handed back" ? 1 + (n % 2) : 0,
  };
  const timeoutMs = fate === "is late" ? patience["is late"] : patience.other;
  return factory
    .at(job.key)
    .call.work(job, { timeoutMs })
    .catch((error: unknown) => error);
}

async function play(
  world: World,
  node: SimulatedNode,
  factory: Ordered,
  steps: readonly Step[],
): Promise<number> {
  const sent: Promise<unknown>[] = [];
  const next = new Map<number, number>();
  for (const each of steps) {
    switch (each.type) {
      case "job": {
        const n = next.get(each.key) ?? 0;
        next.set(each.key, n + 1);
        sent.push(send(factory, each, n));
        break;
      }
      case "resize":
        await factory.resize(each.workers).catch(() => undefined);
        break;
      case "pause":
        await world.sleep(each.ms);
        break;
      case "thread dies":
        node.crashThread(each.thread);
        break;
    }
  }
  await Promise.all(sent);
  // One whose caller gave up may still run.
  await world.sleep(2 * runMaxMs);
  const { running, waiting, done, crashed, discarded, orderViolations } = await factory.statistics();
  expect({ running, waiting }).toEqual({ running: 0, waiting: 0 });
  // Each is counted once: a dispatcher that had died would count from 0 again.
  const counted = Object.values(discarded).reduce((sum, count) => sum + count, done + crashed);
  expect(counted).toBe(sent.length);
  return orderViolations;
}

it("whatever happens to a factory, no job of a key begins before an earlier one of it ended", async () => {
  await fc.assert(
    fc.asyncProperty(plan, async ({ routing, sheds, steps, seed }) => {
      const notes = orderNotes();
      await simulateSeed({ seed, order: "random" }, async (world) => {
        const node = await world.node("n", { threads: 2, resources: () => ({ ordered: notes }) });
        await world.sleep(5);
        const jobs = sheds ? { runMaxMs, ...shedding } : { runMaxMs };
        const options = { args: null, workers: 3, routing, thread: "any", jobs } as const;
        const factory = await node.system.startFactory("ordered", ordered_worker, options);
        expect(await play(world, node, factory, steps)).toBe(0);
      });
      expect(disorder(notes)).toEqual([]);
    }),
    { numRuns: 60, seed: 20_261_126 },
  );
}, 120_000);

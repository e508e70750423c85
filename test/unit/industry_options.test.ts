/** What an industry refuses, what it gives each dispatcher, and how its keys spread. */

import { expect, it } from "vitest";
import { type IndustryPlan, industrySpec, planIndustry, shareOf } from "../../src/core/industry_options.ts";
import { dispatcherOf } from "../../src/core/industry_route.ts";
import { partitionOf, routingTable } from "../../src/core/routing_table.ts";
import { type IndustryOptions, type Pid, queue, stickyQueue, toErrorData } from "../../src/index.ts";
import { industry_worker } from "./industry_worker.ts";

type Options = IndustryOptions<typeof industry_worker>;

const good: Options = { args: {}, dispatchers: 3, workers: 7, routing: stickyQueue() };

function plan(options: object, threads: readonly number[] = [0, 1, 2]): IndustryPlan {
  const peers = { awayFor: () => undefined, threads: () => [...threads] };
  return planIndustry("pool", industry_worker, { ...good, ...options }, peers);
}

function refusal(options: object) {
  try {
    plan(options);
  } catch (error) {
    return toErrorData(error);
  }
  throw new Error("it was not refused");
}

const counting = (): number => 1;

it.each([
  ["dispatchers", { dispatchers: 0 }, "1 to 1024"],
  ["dispatchers", { dispatchers: 1_025, workers: 2_000 }, "1 to 1024"],
  ["dispatchers", { dispatchers: 1.5 }, "1 to 1024"],
  ["workers", { workers: 0 }, "1 or more"],
  ["workers", { workers: 2 }, "at least 3, or start the industry with fewer dispatchers"],
  ["jobs.tenantOf", { jobs: { delayTargetMs: 1, tenantOf: counting } }, "leave it out, or use startFactory"],
  ["jobs.max", { jobs: { max: 2 } }, "at least 3, or 0"],
  ["jobs.bytesMax", { jobs: { bytesMax: -1 } }, "0 or more"],
  ["args", { args: counting }, "give plain data"],
  ["args.clock.now", { args: { clock: { now: counting } } }, "give plain data"],
  ["args.at", { args: { at: new URL("file:///x") } }, "give plain data"],
])("%s is refused by name, with the cure: %j", (field, options, cure) => {
  const { code, message, details } = refusal(options);
  expect({ code, field: details?.field }).toEqual({ code: "bad_argument", field });
  expect(message).toContain(field);
  expect(message).toContain(cure);
});

it("a routing that can't give what the workers need is refused before anything starts", () => {
  expect(refusal({ routing: queue(), affinity: "key" })).toMatchObject({ code: "unsafe" });
});

it("while no worker thread is up, nothing is put on the main thread instead", () => {
  const peers = { awayFor: () => "every worker thread", threads: () => [0] };
  expect(() => planIndustry("pool", industry_worker, good, peers)).toThrow("no worker thread is up");
});

it("what can cross is let through: fields that are undefined, pids, no bounds at all", () => {
  const withPid: Pid = { node: "n", thread: 1, incarnation: 1, id: 5 };
  const jobs = { max: Number.POSITIVE_INFINITY, ageMaxMs: Number.POSITIVE_INFINITY };
  const { options } = plan({ args: { closes: undefined }, thread: { with: withPid }, jobs });
  expect(options.jobs).toEqual(jobs);
});

it("dispatchers are spread over the worker threads; without any they live on the main thread", () => {
  expect(plan({ dispatchers: 5 }).threads).toEqual([1, 2, 1, 2, 1]);
  expect(plan({ dispatchers: 5 }, [0]).threads).toEqual([0, 0, 0, 0, 0]);
});

it("workers, jobs.max and jobs.bytesMax are totals: the dispatchers' shares add up to them", () => {
  const jobs = { max: 100, bytesMax: 1_000, ageMaxMs: 5, onDiscard: () => undefined };
  const { children } = industrySpec(plan({ jobs }), { workers: 8, draining: true });
  const observer = { id: "discards", name: "pool/discards", options: jobs.onDiscard };
  const dispatcher = (number: number, thread: number, workers: number, max: number, bytesMax: number) => ({
    id: `pool/${number}`,
    name: `pool/${number}`,
    thread,
    options: {
      definition: { module: industry_worker.module, name: "industry_worker" },
      workers,
      draining: true,
      discardsTo: "pool/discards",
      jobs: { max, bytesMax, ageMaxMs: 5 },
    },
  });
  expect(children).toMatchObject([
    observer,
    dispatcher(0, 1, 3, 34, 334),
    dispatcher(1, 2, 3, 33, 333),
    dispatcher(2, 1, 2, 33, 333),
  ]);
  expect([0, 1, 2].map((each) => shareOf(Number.POSITIVE_INFINITY, 3, each))).toEqual(
    new Array(3).fill(Number.POSITIVE_INFINITY),
  );
});

/** The most and the least keys of a worker, as parts of the mean. */
function spread(dispatchers: number, workers: number, dispatcher: (key: string) => number) {
  const keys = 200_000;
  const table = routingTable(workers);
  const load = new Float64Array(dispatchers * workers);
  for (let i = 0; i < keys; i++) {
    const key = `+55119${10_000_000 + i}`;
    const worker = dispatcher(key) * workers + (table[partitionOf(key)] ?? 0);
    load[worker] = (load[worker] ?? 0) + 1;
  }
  const mean = keys / load.length;
  return { most: Math.max(...load) / mean, least: Math.min(...load) / mean };
}

it.each([
  [2, 2],
  [2, 8],
  [3, 5],
  [4, 4],
  [4, 16],
  [8, 8],
])("keys spread evenly over all workers: %i dispatchers of %i workers", (dispatchers, workers) => {
  const { most, least } = spread(dispatchers, workers, (key) => dispatcherOf(key, dispatchers));
  expect(most).toBeLessThan(1.1);
  expect(least).toBeGreaterThan(0.9);
});

it("by the same bits of the hash at both levels, workers would be without keys", () => {
  const table = routingTable(4);
  const { most, least } = spread(4, 4, (key) => table[partitionOf(key)] ?? 0);
  expect({ most: Math.round(most), least }).toEqual({ most: 4, least: 0 });
});

/**
 * What do more dispatchers bring where one is the bottleneck? Jobs that cost nothing, from the main thread, 1,000 in
 * flight, over keys of a thousand users: one factory, whose dispatcher lives on the sender's thread and whose workers
 * on the four worker threads, and industries of one, two and four dispatchers. All have the same number of workers.
 *
 * Five threads work at once: with fewer cores the figures say what dispatchers cost, not what they bring.
 */

import { type Industry, type System, startSystem, stickyQueue } from "../src/index.ts";
import { interleaved, type Measure, rowOf } from "./interleaved.ts";
import { type PutMessage, put_server } from "./put_server.ts";
import { type Bench, type BenchOptions, type BenchResult, ratioOf } from "./result.ts";
import { closedCallsPerSecond } from "./thread_contender.ts";

export const bench: Bench = {
  name: "industry",
  question: "What do more dispatchers bring where one is the bottleneck?",
  notQuick: "no target",
  run,
};

type Pool = Industry<typeof put_server>;

const threads = 4;
const workers = 8;
const options = { args: undefined, workers, routing: stickyQueue() };
const dispatcherCounts = [1, 2, 4] as const;
const inFlight = 1_000;
const users = 1_000;
const factoryName = "factory";

const keys = Array.from({ length: users }, (_, user) => `+55119${10_000_000 + user}`);

async function run({ quick }: BenchOptions): Promise<BenchResult> {
  const question = { name: "jobs", unit: "jobs/s", repeats: quick ? 3 : 7 };
  const ms = quick ? 100 : 500;
  const system = await startSystem({ threads, logLevel: "silent" });
  try {
    const factory = await system.startFactory(factoryName, put_server, { ...options, thread: "any" });
    const industries = await startIndustries(system);
    const measures: Record<string, Measure> = { [factoryName]: jobsPerSecond(factory, ms) };
    for (const each of industries) measures[each.address.name] = jobsPerSecond(each, ms);
    const rows = await interleaved(question, measures);
    const toFactory = ({ address: { name } }: Pool) =>
      ratioOf(`${name} / ${factoryName}`, rowOf(rows, name), rowOf(rows, factoryName));
    return {
      rows: Object.values(rows),
      ratios: industries.map(toFactory),
      facts: { workers, "worker threads": threads },
      failures: await idleDispatchers(industries),
    };
  } finally {
    await system.stop();
  }
}

function startIndustries(system: System): Promise<Pool[]> {
  return Promise.all(
    dispatcherCounts.map((dispatchers) =>
      system.startIndustry(`industry of ${dispatchers}`, put_server, { ...options, dispatchers }),
    ),
  );
}

function jobsPerSecond(pool: Pick<Pool, "call">, ms: number): Measure {
  let next = 0;
  const put = (message: PutMessage) => pool.call(keys[next++ % users] ?? "", "put", message);
  return () => closedCallsPerSecond({ put }, { inFlight, ms });
}

/** Then it was not measured what it says. */
async function idleDispatchers(industries: readonly Pool[]): Promise<string[]> {
  const failures: string[] = [];
  for (const industry of industries) {
    const { dispatchers } = await industry.statistics();
    const idle = dispatchers.filter((each) => (each?.done ?? 0) === 0).length;
    if (idle > 0) failures.push(`${industry.address.name}: ${idle} dispatchers had no job`);
  }
  return failures;
}

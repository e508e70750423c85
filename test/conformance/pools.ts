/** Factories of the noting worker in a simulated node, and what became of their jobs. */

import type { Factory, FactoryOptions, Routing, System } from "../../src/index.ts";
import { simulateSeed, type World } from "../../src/simulation/index.ts";
import { type Job, pool, pool_worker } from "./pool_worker.ts";

export type Pool = Factory<typeof pool_worker>;

export async function play(
  options: Partial<FactoryOptions<typeof pool_worker>> & { readonly routing: Routing },
  scenario: (factory: Pool, world: World, system: System) => Promise<void>,
): Promise<void> {
  await simulateSeed({ seed: 1 }, async (world) => {
    const { system } = await world.node("n");
    const factory = await system.startFactory("pool", pool_worker, {
      args: undefined,
      workers: 3,
      ...options,
    });
    await scenario(factory, world, system);
  });
}

export function job(key: string, n: number, ms = 10): Job {
  return { key, n, ms };
}

/** Sends jobs 0 to `count` - 1, all at once. */
export function send(factory: Pool, count: number, keyOf: (n: number) => string, ms = 10): Promise<number>[] {
  return Array.from({ length: count }, (_, n) =>
    factory.at(keyOf(n)).call.work(job(keyOf(n), n, ms), { timeoutMs: Number.POSITIVE_INFINITY }),
  );
}

export function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}

export function workersOf(key: string): number[] {
  return [...new Set(pool.history.filter((each) => each.key === key).map(({ worker }) => worker.id))];
}

/** How a job ended: its number, or the error's code and reason. */
export async function outcome(sent: Promise<number>): Promise<number | string> {
  return sent.catch(({ code, details }) =>
    typeof details.reason === "string" ? `${code} ${details.reason}` : code,
  );
}

/**
 * profiler: a CPU profile of the thread it runs on, from `start` to `stop`. State: an inspector session.
 * Messages: start, stop (writes `<folder>/<name>.cpuprofile`, answers the functions with the largest self times).
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { Session } from "node:inspector/promises";
import { join } from "node:path";
import { genServer, type System } from "../src/index.ts";
import { type CpuProfile, namesOf } from "./cpu_profiles.ts";

export interface SelfTime {
  readonly name: string;
  readonly place: string;
  readonly share: number;
}

const samplingIntervalUs = 500;
const shown = 25;

export const profiler = genServer(import.meta.url, "profiler", {
  init: () => ({ session: new Session() }),
  call: {
    start: async ({ session }): Promise<void> => {
      session.connect();
      await session.post("Profiler.enable");
      await session.post("Profiler.setSamplingInterval", { interval: samplingIntervalUs });
      await session.post("Profiler.start");
    },
    stop: async ({ session }, { folder, name }: { folder: string; name: string }): Promise<SelfTime[]> => {
      const { profile } = await session.post("Profiler.stop");
      session.disconnect();
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, `${name}.cpuprofile`), JSON.stringify(profile));
      return selfTimes(profile);
    },
  },
});

export interface ProfiledOptions<T> {
  readonly folder: string;
  readonly title: string;
  /** What the times are divided by, e.g. acknowledged writes. */
  readonly unitsOf: (result: T) => number;
}

/** Runs `work` with a profile of each thread and says where their time goes. */
export async function profiled<T>(
  system: System,
  { folder, title, unitsOf }: ProfiledOptions<T>,
  work: () => Promise<T>,
): Promise<T> {
  const profilers = await Promise.all(
    system.threads().map(async (thread) => ({
      thread,
      call: system.ref(profiler, await system.spawn(profiler, undefined, { thread })).call,
    })),
  );
  const startedAt = performance.now();
  await Promise.all(profilers.map(({ call }) => call.start()));
  const result = await work();
  const us = ((performance.now() - startedAt) * 1_000) / unitsOf(result);
  for (const { thread, call } of profilers) {
    const name = `${title}-thread-${thread}`;
    const functions = await call.stop({ folder, name }, { timeoutMs: 60_000 });
    process.stderr.write(`\n${title}, thread ${thread}: us of wall time per write, share\n`);
    for (const { name: called, place, share } of functions) {
      const cost = (share * us).toFixed(2).padStart(7);
      process.stderr.write(`  ${cost} ${(share * 100).toFixed(1).padStart(5)} %  ${called}  ${place}\n`);
    }
  }
  return result;
}

/** Shares of the wall time: `(idle)` is a row like any other. */
export function selfTimes({ nodes, samples = [], timeDeltas = [] }: CpuProfile): SelfTime[] {
  const places = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const times = new Map<string, { name: string; place: string; us: number }>();
  let total = 0;
  samples.forEach((id, i) => {
    const frame = places.get(id);
    if (frame === undefined) return;
    const us = timeDeltas[i] ?? 0;
    total += us;
    const { name, place } = namesOf(frame);
    const entry = times.get(`${name} ${place}`);
    if (entry === undefined) times.set(`${name} ${place}`, { name, place, us });
    else entry.us += us;
  });
  return [...times.values()]
    .sort((a, b) => b.us - a.us)
    .slice(0, shown)
    .map(({ name, place, us }) => ({ name, place, share: us / total }));
}

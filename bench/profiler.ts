/**
 * profiler: a CPU profile of the thread it runs on, from `start` to `stop`. State: an inspector session.
 * Messages: start, stop (writes `<folder>/<name>.cpuprofile`, answers the functions with the largest self times).
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { Session } from "node:inspector/promises";
import { join } from "node:path";
import { genServer } from "../src/index.ts";

export interface SelfTime {
  readonly name: string;
  readonly place: string;
  readonly share: number;
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: {
    readonly functionName: string;
    readonly url: string;
    readonly lineNumber: number;
  };
}

interface Profile {
  readonly nodes: readonly ProfileNode[];
  readonly samples?: readonly number[] | undefined;
  readonly timeDeltas?: readonly number[] | undefined;
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

/** Shares of the wall time: `(idle)` is a row like any other. */
export function selfTimes({ nodes, samples = [], timeDeltas = [] }: Profile): SelfTime[] {
  const places = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const times = new Map<string, { name: string; place: string; us: number }>();
  let total = 0;
  samples.forEach((id, i) => {
    const frame = places.get(id);
    if (frame === undefined) return;
    const us = timeDeltas[i] ?? 0;
    total += us;
    const name = frame.functionName === "" ? "(anonymous)" : frame.functionName;
    const place =
      frame.url === "" ? "" : `${frame.url.split("/").slice(-2).join("/")}:${frame.lineNumber + 1}`;
    const entry = times.get(`${name} ${place}`);
    if (entry === undefined) times.set(`${name} ${place}`, { name, place, us });
    else entry.us += us;
  });
  return [...times.values()]
    .sort((a, b) => b.us - a.us)
    .slice(0, shown)
    .map(({ name, place, us }) => ({ name, place, share: us / total }));
}

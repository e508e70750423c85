/**
 * What does a call to another thread cost, from the main thread to one worker? A gen_server under a supervisor, found
 * by its name, with deadlines and bounds as they are by default, against the bare postMessage of Node, one message each
 * or in batches, and pools. Each contender's worker waits all the time, and one of them is measured at once. A quick
 * run has only the contenders that the targets name.
 *
 * One way is counted when all was handled. In the open loop calls are due at a rate whatever the answers do. The idle
 * system, with two workers, is measured first, while nothing else is in the process.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { child, startSystem } from "../src/index.ts";
import { interleaved, type Measure, type Rows, rowOf } from "./interleaved.ts";
import { startComlink, startPiscina, startTinypool, startWorkerpool } from "./peers/pools.ts";
import { startBatches, startPostMessage } from "./peers/post_message.ts";
import { nextMessage, put_server } from "./put_server.ts";
import {
  type Bench,
  type BenchOptions,
  type BenchRatio,
  type BenchResult,
  type BenchRow,
  partsOf,
  ratioOf,
} from "./result.ts";
import {
  closedCallsPerSecond,
  medianCallUs,
  oneWayPerSecond,
  openLoopP99Us,
  type ThreadContender,
} from "./thread_contender.ts";

export const bench: Bench = {
  name: "thread_calls",
  question: "What does a call to another thread cost?",
  run,
};

/** Those that the targets name. */
const mainNames = ["nanoactor", "postMessage", "batches", "piscina"] as const;
type MainName = (typeof mainNames)[number];
const otherNames = ["tinypool", "workerpool", "comlink"] as const;
type Name = MainName | (typeof otherNames)[number];

/** Those that can carry the open loop's rate. */
const carryRate: readonly Name[] = ["nanoactor", "postMessage", "batches"];

const openLoopPerSecond = 50_000;
const idleMs = 2_000;

async function run({ quick }: BenchOptions): Promise<BenchResult> {
  const repeats = quick ? 3 : 5;
  const ms = quick ? 100 : 400;
  const openLoopMs = quick ? 300 : 1_500;
  const idle = await idleShare(quick ? 1 : 3);
  const lost: string[] = [];
  const contenders = new Map<Name, ThreadContender>();
  try {
    const names: readonly Name[] = quick ? mainNames : [...mainNames, ...otherNames];
    for (const name of names) contenders.set(name, await starts[name](lost));
    const compare = (
      name: string,
      unit: string,
      some: readonly Name[],
      measure: (contender: ThreadContender) => Promise<number>,
    ): Promise<Rows> => interleaved({ name, unit, repeats }, measuresOf(contenders, some, measure));
    const thousand = await compare("1,000 in flight", "calls/s", names, (each) =>
      closedCallsPerSecond(each, { inFlight: 1_000, ms }),
    );
    const hundred = await compare("100 in flight", "calls/s", names, (each) =>
      closedCallsPerSecond(each, { inFlight: 100, ms }),
    );
    const oneWay = await compare("one way", "messages/s", names, (each) => oneWayPerSecond(each, ms));
    const p50 = await compare("p50, 1 in flight", "us", names, (each) => medianCallUs(each, ms));
    const openLoopNames: readonly Name[] = quick ? ["nanoactor", "postMessage"] : carryRate;
    const p99 = await compare(`p99 at ${openLoopPerSecond}/s`, "us", openLoopNames, (each) =>
      openLoopP99Us(each, { perSecond: openLoopPerSecond, ms: openLoopMs }),
    );
    const ratios = [
      ...partsOf("P3", [
        against("1,000 in flight", thousand, "postMessage", { atLeast: 5 }),
        against("1,000 in flight", thousand, "piscina", { atLeast: 18 }),
        against("1,000 in flight", thousand, "batches", { atLeast: 1.3 }),
      ]),
      ...partsOf("P4", [
        against("100 in flight", hundred, "postMessage", { atLeast: 3.5 }),
        against("100 in flight", hundred, "piscina", { atLeast: 10 }),
      ]),
      ...partsOf("P5", [
        against("one way", oneWay, "postMessage", { atLeast: 6 }),
        against("one way", oneWay, "piscina", { atLeast: 30 }),
      ]),
      ...partsOf("P6", [
        against("p50 with 1 in flight", p50, "postMessage", { atMost: 0.1 }),
        against(`p99 at ${openLoopPerSecond}/s`, p99, "postMessage", { atMost: 1.2 }),
        {
          name: "idle system with 2 workers, share of a core",
          values: idle.values,
          target: { atMost: 0.01 },
        },
      ]),
    ];
    const rows = [thousand, hundred, oneWay, p50, p99].flatMap((each) => Object.values(each));
    return { rows, ratios, facts: {}, failures: lost };
  } finally {
    for (const contender of contenders.values()) await contender.stop();
  }
}

function measuresOf(
  contenders: ReadonlyMap<Name, ThreadContender>,
  names: readonly Name[],
  measure: (contender: ThreadContender) => Promise<number>,
): Record<string, Measure> {
  const started = [...contenders].filter(([name]) => names.includes(name));
  return Object.fromEntries(started.map(([name, contender]) => [name, () => measure(contender)]));
}

function against(what: string, rows: Rows, peer: MainName, target: BenchRatio["target"]): BenchRatio {
  return ratioOf(`${what} / ${peer}`, rowOf(rows, "nanoactor"), rowOf(rows, peer), target);
}

const starts: Readonly<Record<Name, (lost: string[]) => Promise<ThreadContender>>> = {
  nanoactor: startOurs,
  postMessage: startPostMessage,
  batches: startBatches,
  piscina: startPiscina,
  tinypool: startTinypool,
  workerpool: startWorkerpool,
  comlink: startComlink,
};

/** `lost` hears at the end what was sent and not handled, or not answered in time. */
async function startOurs(lost: string[]): Promise<ThreadContender> {
  const system = await startSystem({ threads: 1, logLevel: "silent" });
  const options = { name: "put_server", thread: 1 };
  await system.supervise({ children: [child("put_server", put_server, undefined, options)] });
  const server = system.ref(put_server, "put_server");
  let sent = 0;
  return {
    put: (each) => {
      sent++;
      return server.call.put(each);
    },
    burst: async (count) => {
      sent += count;
      for (let i = 1; i < count; i++) server.cast.put(nextMessage());
      await server.call.put(nextMessage());
    },
    stop: async () => {
      const handled = await server.call.handled();
      if (handled !== sent) lost.push(`${sent} messages were sent, ${handled} were handled`);
      await system.stop();
    },
  };
}

/** CPU time of a system that has nothing to do, as a share of one core. */
async function idleShare(repeats: number): Promise<BenchRow> {
  const system = await startSystem({ threads: 2, logLevel: "silent" });
  const servers = [1, 2].map((thread) => child(`idle-${thread}`, put_server, undefined, { thread }));
  await system.supervise({ children: servers });
  // What the start left to be compiled and collected.
  await sleep(500);
  const values: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat++) {
    const before = process.cpuUsage();
    await sleep(idleMs);
    const { user, system: kernel } = process.cpuUsage(before);
    values.push((user + kernel) / (idleMs * 1_000));
  }
  await system.stop();
  return { name: "idle system with 2 workers", unit: "share of a core", values };
}

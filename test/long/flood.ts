/**
 * `node dist/test/long/flood.js [--seconds N] [--deaths N]`: two worker threads flood each other as fast as the ways
 * between them take it, with the ring as it is by default and with one of 4 KiB, half of the time each. Every message
 * must arrive once and in its order. Then one thread dies again and again under such a flood, and the writer's median
 * time from its end to the news of it must be less than 100 ms. Exit codes: 0 all of it held, 1 it did not.
 */

import { Command, InvalidArgumentError } from "commander";
import { startThreads, type Threads, type ThreadsOptions } from "../../src/platform/threads.ts";
import { MeshClient } from "../fixtures/mesh_host.ts";

interface Flags {
  readonly seconds: number;
  readonly deaths: number;
}

interface Flood {
  readonly sent: number;
  readonly pressureMax: number;
}

const entry = { module: new URL("../fixtures/mesh_host.js", import.meta.url).href, export: "start" };
const smallRing = { ringBytes: 4_096, queueMessagesMax: 2_000 };
const toldWithinMs = 100;
/** Deaths of one thread that count as no loop of failures. */
const limits = { replacementsMax: 1_000, replaceDelayMs: 1, replaceDelayMaxMs: 1 };

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("give a whole number");
  return Number(text);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function withMesh(
  options: Partial<ThreadsOptions>,
  work: (mesh: MeshClient, threads: Threads) => Promise<string[]>,
): Promise<string[]> {
  const threads = startThreads({ count: 2, entry, limits, logLevel: "silent", ...options });
  const mesh = new MeshClient(threads.transport);
  await threads.ready;
  try {
    return await work(mesh, threads);
  } finally {
    await threads.stop();
  }
}

/** What went wrong in a flood of both ways. */
async function flood(mesh: MeshClient, ms: number): Promise<string[]> {
  const pairs = [
    [1, 2],
    [2, 1],
  ] as const;
  const floods = await Promise.all(
    pairs.map(([from, to]) => mesh.call(from, "floodFor", { thread: to, ms }) as Promise<Flood>),
  );
  const faults: string[] = [];
  for (const [index, [from, to]] of pairs.entries()) {
    const { sent = 0, pressureMax = 0 } = floods[index] ?? {};
    // Asked along the same way, the answer comes after all that was sent.
    await mesh.call(from, "ask", { thread: to, message: 0 });
    const { tallied, outOfOrder } = (await mesh.call(to, "tallied")) as {
      tallied: number;
      outOfOrder: number;
    };
    say(`${from} to ${to}: ${sent} sent, ${tallied} arrived, ${outOfOrder} out of order`);
    if (tallied !== sent || outOfOrder > 0)
      faults.push(`${from} to ${to}: messages were lost or out of order`);
    if (pressureMax < 1) faults.push(`${from} to ${to}: the way was never full, so nothing was tried`);
  }
  return faults;
}

/** How long after the pool saw the thread's end its writer still did not know of it, in ms. */
async function deaths(mesh: MeshClient, count: number): Promise<string[]> {
  const late: number[] = [];
  for (let life = 1; life <= count; life++) {
    const flooding = mesh.call(1, "floodFor", { thread: 2, ms: 50 });
    mesh.cast(2, "exit", 1);
    await mesh.whenHeard(2, life, false);
    const endedAt = performance.now();
    while (!(await heardOf(mesh, life)));
    late.push(performance.now() - endedAt);
    await flooding;
    await mesh.whenHeard(2, life + 1, true);
    await mesh.call(2, "echo");
  }
  const median = late.toSorted((a, b) => a - b)[late.length >> 1] ?? Number.NaN;
  say(
    `${count} deaths: told after ${median.toFixed(1)} ms (median), ${Math.max(...late).toFixed(1)} ms at most`,
  );
  return median < toldWithinMs ? [] : [`a dead thread's writer hears of it after ${median.toFixed(1)} ms`];
}

async function heardOf(mesh: MeshClient, life: number): Promise<boolean> {
  const news = (await mesh.call(1, "heard")) as [number, number, boolean][];
  return news.some(([thread, incarnation, up]) => thread === 2 && incarnation === life && !up);
}

async function main({ seconds, deaths: count }: Flags): Promise<void> {
  const faults = [
    ...(await withMesh({}, (mesh) => flood(mesh, seconds * 500))),
    ...(await withMesh({ channelLimits: smallRing }, (mesh) => flood(mesh, seconds * 500))),
    ...(await withMesh({ channelLimits: smallRing }, (mesh) => deaths(mesh, count))),
  ];
  for (const fault of faults) say(`fault: ${fault}`);
  process.exitCode = faults.length === 0 ? 0 : 1;
}

await new Command("flood")
  .option("--seconds <n>", "how long to flood", wholeNumber, 60)
  .option("--deaths <n>", "how often a thread dies", wholeNumber, 40)
  .action(main)
  .parseAsync();

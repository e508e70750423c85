/**
 * What does routing cost? Finding a key's worker among 64 against `hashring.get`, over more keys than its cache holds
 * (on few keys it answers from there). How evenly a million keys spread. And a call through a factory of workers on
 * the same thread against a direct call to a server there, with 100 callers and keys of a thousand users.
 *
 * The table is not public, so it is read from its module; `explain` of a factory must name the same workers.
 */

import HashRing from "hashring";
import { partitionOf, routingTable } from "../src/core/routing_table.ts";
import {
  child,
  consistentHash,
  queue,
  type Routing,
  type System,
  startSystem,
  stickyQueue,
} from "../src/index.ts";
import {
  type Caller,
  callsPerSecond,
  interleaved,
  type Measure,
  type Question,
  type Rows,
  rowOf,
} from "./interleaved.ts";
import { put_server, putMessage } from "./put_server.ts";
import { type Bench, type BenchOptions, type BenchResult, partsOf, ratioOf } from "./result.ts";

export const bench: Bench = { name: "routing", question: "What does routing cost, and how even is it?", run };

const workers = 64;

/** Ten times what the ring's cache holds. */
const lookedUp = Array.from({ length: 50_000 }, (_, i) => keyOf(i));

const spreadKeys = 1_000_000;

/** Of those the ones that the factory is asked about. */
const explainedKeys = 10_000;

const callers = 100;
const users = 1_000;
const factoryWorkers = 8;

const names = {
  direct: "direct",
  sticky: "sticky factory",
  stickyData: "sticky factory, method as data",
  hashed: "consistent_hash factory",
  queued: "queue factory",
} as const;

interface Pressing {
  readonly quick: boolean;
  /** Of each measurement. */
  readonly ms: number;
}

async function run({ quick }: BenchOptions): Promise<BenchResult> {
  const repeats = quick ? 3 : 7;
  const ms = quick ? 80 : 500;
  const system = await startSystem({ logLevel: "silent" });
  try {
    const lookups = await measureLookups({ name: "key to worker", unit: "lookups/s", repeats });
    const spread = imbalance();
    const failures = await unexplained(system);
    const calls = await measureFactories(system, { name: "call", unit: "calls/s", repeats }, { quick, ms });
    const rows = [...Object.values(lookups), ...Object.values(calls)];
    const direct = rowOf(calls, names.direct);
    const toDirect = (name: string) => ratioOf(`${name} / direct call`, rowOf(calls, name), direct);
    const others = Object.keys(calls).filter((name) => name !== names.direct && name !== names.sticky);
    const ratios = [
      ...partsOf("P7", [
        ratioOf("lookup / hashring.get, uncached", lookups.table, lookups.hashring, { atLeast: 40 }),
        { name: `fullest of ${workers} workers / mean`, values: [spread], target: { atMost: 1.03 } },
        { ...toDirect(names.sticky), target: { atLeast: 0.3 } },
      ]),
      ...others.map(toDirect),
    ];
    return { rows, ratios, facts: { keys: spreadKeys, "workers of a factory": factoryWorkers }, failures };
  } finally {
    await system.stop();
  }
}

function keyOf(user: number): string {
  return `+55119${10_000_000 + user}`;
}

async function measureLookups(question: Question) {
  const table = routingTable(workers);
  const ring = new HashRing(Array.from({ length: workers }, (_, worker) => String(worker)));
  return interleaved(question, {
    table: perLookup(20, () => {
      let sum = 0;
      for (const key of lookedUp) sum += table[partitionOf(key)] ?? 0;
      return sum;
    }),
    hashring: perLookup(1, () => {
      let sum = 0;
      for (const key of lookedUp) sum += Number(ring.get(key));
      return sum;
    }),
  });
}

/** `lookUpAll` answers the sum of the workers: what nobody uses, the compiler would leave out. */
function perLookup(rounds: number, lookUpAll: () => number): Measure {
  return async () => {
    const startedAt = performance.now();
    let sum = 0;
    for (let round = 0; round < rounds; round++) sum += lookUpAll();
    if (sum === 0) throw new Error("every key belongs to worker 0");
    return (rounds * lookedUp.length * 1_000) / (performance.now() - startedAt);
  };
}

/** Keys of the fullest worker, as a multiple of the mean. */
function imbalance(): number {
  const table = routingTable(workers);
  const load = new Float64Array(workers);
  for (let i = 0; i < spreadKeys; i++) {
    const worker = table[partitionOf(keyOf(i))] ?? 0;
    load[worker] = (load[worker] ?? 0) + 1;
  }
  return Math.max(...load) / (spreadKeys / workers);
}

async function unexplained(system: System): Promise<string[]> {
  const table = routingTable(workers);
  const options = { args: undefined, workers, routing: consistentHash() };
  const factory = await system.startFactory("spread", put_server, options);
  let wrong = 0;
  for (let i = 0; i < explainedKeys; i++) {
    const key = keyOf(i * (spreadKeys / explainedKeys));
    const { worker } = await factory.explain(key);
    if (worker !== table[partitionOf(key)]) wrong++;
  }
  await system.stopFactory("spread");
  return wrong === 0 ? [] : [`${wrong} of ${explainedKeys} keys have another worker in a factory`];
}

async function measureFactories(system: System, question: Question, { quick, ms }: Pressing): Promise<Rows> {
  const placement = { name: "put_server" };
  await system.supervise({ children: [child("put_server", put_server, undefined, placement)] });
  const server = system.ref(put_server, "put_server");
  const start = (name: string, routing: Routing) =>
    system.startFactory(name, put_server, { args: undefined, workers: factoryWorkers, routing });
  const sticky = await start("sticky", stickyQueue());
  const hashed = await start("hashed", consistentHash());
  const queued = await start("queued", queue());
  const message = putMessage();
  const keys = lookedUp.slice(0, users);
  let next = 0;
  const nextKey = (): string => keys[next++ % users] ?? "";
  const measure =
    (caller: Caller): Measure =>
    () =>
      callsPerSecond(caller, { callers, ms });
  const targeted: Record<string, Measure> = {
    [names.direct]: measure(async (count) => {
      for (let i = 0; i < count; i++) await server.call.put(message);
    }),
    [names.sticky]: measure(async (count) => {
      for (let i = 0; i < count; i++) await sticky.at(nextKey()).call.put(message);
    }),
  };
  const others: Record<string, Measure> = {
    [names.stickyData]: measure(async (count) => {
      for (let i = 0; i < count; i++) await sticky.call(nextKey(), "put", message);
    }),
    [names.hashed]: measure(async (count) => {
      for (let i = 0; i < count; i++) await hashed.at(nextKey()).call.put(message);
    }),
    [names.queued]: measure(async (count) => {
      for (let i = 0; i < count; i++) await queued.at(nextKey()).call.put(message);
    }),
  };
  return interleaved(question, quick ? targeted : { ...targeted, ...others });
}

/**
 * What does a call on the same thread cost? A gen_server under a supervisor, found by its name, with deadlines and
 * mailbox bounds as they are by default, against awaiting a plain async function, other actor libraries of one thread,
 * and Erlang's gen_server where `erl` is on the machine. Casts count when they were handled. Servers are started one
 * after the other; a server's bytes are what the heap grew by, after a garbage collection on either side. A quick run
 * has only the contenders that the targets name.
 */

import { child, type Pid, type System, startSystem } from "../src/index.ts";
import {
  type Caller,
  callsPerSecond,
  collectGarbage,
  interleaved,
  type Measure,
  type Rows,
  rowOf,
} from "./interleaved.ts";
import { type LocalPeer, startNact, startXstate } from "./peers/actor_libraries.ts";
import { Erlang } from "./peers/erlang.ts";
import { put_server, putMessage } from "./put_server.ts";
import {
  type Bench,
  type BenchOptions,
  type BenchRatio,
  type BenchResult,
  partsOf,
  ratioOf,
} from "./result.ts";

export const bench: Bench = {
  name: "local_calls",
  question: "What does a call on the same thread cost?",
  run,
};

const manyCallers = 100;

const names = {
  plain: "async function",
  ours: "nanoactor",
  erlang: "Erlang gen_server",
  nact: "nact",
  xstate: "xstate",
} as const;

interface Sizes {
  readonly repeats: number;
  /** Of each measurement. */
  readonly ms: number;
  /** Servers that are started for their pace and their bytes. */
  readonly servers: number;
}

async function run({ quick }: BenchOptions): Promise<BenchResult> {
  const sizes: Sizes = quick
    ? { repeats: 3, ms: 80, servers: 5_000 }
    : { repeats: 5, ms: 250, servers: 20_000 };
  const system = await startSystem({ logLevel: "silent" });
  const peers: [name: string, LocalPeer][] = quick
    ? []
    : [
        [names.nact, startNact()],
        [names.xstate, startXstate()],
      ];
  const erlang = Erlang.start();
  try {
    await system.supervise({
      children: [child("put_server", put_server, undefined, { name: "put_server" })],
    });
    const callers = Object.fromEntries(peers.map(([name, { call }]) => [name, call]));
    const sequential = await calls(system, callers, erlang, { ...sizes, callers: 1 });
    const beside = await calls(system, callers, erlang, { ...sizes, callers: manyCallers });
    const casters = Object.fromEntries(peers.map(([name, { cast }]) => [name, cast]));
    const cast = await casts(system, casters, erlang, sizes);
    const spawned = await spawns(system, erlang, sizes);
    const held = await bytes(system, erlang, sizes);
    const ratios = [
      ...partsOf("P1", [
        costOf("sequential call / awaiting an async function", sequential, { atMost: 4 }),
        costOf(`call of ${manyCallers} callers / awaiting an async function`, beside, { atMost: 2.5 }),
      ]),
      ...partsOf("P2", [
        ...toErlang("sequential call", sequential, { atLeast: 5 }),
        ...toErlang(`call of ${manyCallers} callers`, beside, { atLeast: 8 }),
        ...toErlang("cast", cast, { atLeast: 7 }),
        ...toErlang("spawn", spawned, { atLeast: 3 }),
        ...toErlang("bytes of a server", held, { atMost: 0.25 }),
      ]),
    ];
    const rows = [sequential, beside, cast, spawned, held].flatMap((each) => Object.values(each));
    const facts = { Erlang: erlang === undefined ? "skipped: there is no `erl`" : `OTP ${erlang.release}` };
    return { rows, ratios, facts, failures: failuresOf(system) };
  } finally {
    erlang?.stop();
    for (const [, peer] of peers) peer.stop();
    await system.stop();
  }
}

/** Of a call: how many of them the time of one lasts. */
function costOf(name: string, rows: Rows, target: BenchRatio["target"]): BenchRatio {
  return ratioOf(name, rowOf(rows, names.plain), rowOf(rows, names.ours), target);
}

function toErlang(name: string, rows: Rows, target: BenchRatio["target"]): BenchRatio[] {
  if (rows[names.erlang] === undefined) return [];
  return [ratioOf(`${name} / Erlang's`, rowOf(rows, names.ours), rowOf(rows, names.erlang), target)];
}

function calls(
  system: System,
  peers: Readonly<Record<string, Caller>>,
  erlang: Erlang | undefined,
  { repeats, ms, callers }: Sizes & { readonly callers: number },
): Promise<Rows> {
  const name = callers === 1 ? "call, sequential" : `call, ${callers} callers`;
  const server = system.ref(put_server, "put_server");
  const message = putMessage();
  let version = 0;
  const plain = async (put: typeof message): Promise<number> => {
    version = put.version;
    return version;
  };
  const own: Record<string, Caller> = {
    [names.plain]: async (count) => {
      for (let i = 0; i < count; i++) await plain(message);
    },
    [names.ours]: async (count) => {
      for (let i = 0; i < count; i++) await server.call.put(message);
    },
  };
  const measures = measuresOf({ ...own, ...peers }, (caller) => callsPerSecond(caller, { callers, ms }));
  if (erlang !== undefined) measures[names.erlang] = () => erlang.ask("call", ms, callers);
  return interleaved({ name, unit: "calls/s", repeats }, measures);
}

function casts(
  system: System,
  peers: Readonly<Record<string, Caller>>,
  erlang: Erlang | undefined,
  { repeats, ms }: Sizes,
): Promise<Rows> {
  const server = system.ref(put_server, "put_server");
  const message = putMessage();
  const ours: Caller = async (count) => {
    for (let i = 0; i < count; i++) server.cast.put(message);
    await server.call.put(message);
  };
  const casters = { [names.ours]: ours, ...peers };
  const measures = measuresOf(casters, (caster) => callsPerSecond(caster, { callers: 1, ms }));
  if (erlang !== undefined) measures[names.erlang] = () => erlang.ask("cast", ms);
  return interleaved({ name: "cast", unit: "casts/s", repeats }, measures);
}

function measuresOf(
  callers: Readonly<Record<string, Caller>>,
  measure: (caller: Caller) => Promise<number>,
): Record<string, Measure> {
  return Object.fromEntries(Object.entries(callers).map(([name, caller]) => [name, () => measure(caller)]));
}

function spawns(system: System, erlang: Erlang | undefined, { repeats, servers }: Sizes): Promise<Rows> {
  const measures: Record<string, Measure> = {
    [names.ours]: async () => {
      const startedAt = performance.now();
      const pids = await start(system, servers);
      const tookMs = performance.now() - startedAt;
      await stop(system, pids);
      return (servers * 1_000) / tookMs;
    },
  };
  if (erlang !== undefined) measures[names.erlang] = () => erlang.ask("spawn", servers);
  return interleaved({ name: "spawn", unit: "servers/s", repeats }, measures);
}

function bytes(system: System, erlang: Erlang | undefined, { repeats, servers }: Sizes): Promise<Rows> {
  const measures: Record<string, Measure> = {
    [names.ours]: async () => {
      collectGarbage();
      const before = heapBytes();
      const pids = await start(system, servers);
      collectGarbage();
      // Their pids are the caller's: objects that the servers hold as well, in an array of pointers.
      const grown = heapBytes() - before;
      await stop(system, pids);
      return grown / servers;
    },
  };
  if (erlang !== undefined) measures[names.erlang] = () => erlang.ask("bytes", servers);
  return interleaved({ name: "memory of a server", unit: "bytes", repeats }, measures);
}

function heapBytes(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function start(system: System, count: number): Promise<Pid[]> {
  const pids: Pid[] = [];
  for (let i = 0; i < count; i++) pids.push(await system.spawn(put_server, undefined));
  return pids;
}

async function stop(system: System, pids: readonly Pid[]): Promise<void> {
  for (const pid of pids) await system.stopProcess(pid);
}

/** A message that reached nobody, or a late answer, was counted as work that was done. */
function failuresOf(system: System): string[] {
  const lost = Object.entries(system.deadLetters()).filter(([, count]) => count > 0);
  return lost.map(([reason, count]) => `${count} messages were lost: ${reason}`);
}

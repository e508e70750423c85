/**
 * How many acknowledged replicated writes per second, against what the same rows cost without us: bare batched LMDB
 * puts into two environments, one after the other, with the same durability and as many rows outstanding.
 *
 * Bare LMDB writes what the adapter writes for the same rows: half of them are relations, which have an entry in the
 * reverse index too. The replicated rate counts the time until both sides agree: what waits in the queue when the loop
 * ends is not done. Segments alternate, so that other work on the machine strikes both.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { open, type RootDatabase } from "lmdb";
import { dataLimits } from "../actors/limits.ts";
import { encodeRow } from "../actors/stores/row_codec.ts";
import { profiled } from "./profiler.ts";
import { type Bench, type BenchOptions, type BenchResult, partsOf, ratioOf } from "./result.ts";
import { startTwoSites } from "./two_sites.ts";
import { closedLoop, perform, writeAt } from "./workload.ts";

const outstanding = 512;

export const bench: Bench = {
  name: "data_path",
  question:
    "How many acknowledged replicated writes per second, against bare batched LMDB puts into two environments?",
  run,
};

async function run({ quick, profile }: BenchOptions): Promise<BenchResult> {
  const ms = quick ? 1_000 : 5_000;
  const repeats = quick ? 1 : 5;
  const acknowledged: number[] = [];
  const replicated: number[] = [];
  const bare: number[] = [];
  const cpu: number[] = [];
  const bareCpu: number[] = [];
  let first = 0;
  const pair = new BarePair();
  const two = await startTwoSites();
  try {
    await two.goLive();
    const write = (n: number): Promise<unknown> => perform(two, writeAt(n));
    // Compiled code, grown files and filled maps before anything counts.
    first += (await closedLoop(write, { outstanding, ms, first })).done + outstanding;
    await two.settled();
    await pair.run(ms / 2, 0);
    for (let repeat = 0; repeat < repeats; repeat++) {
      const bareRun = await cpuTimed(() => pair.run(ms, first));
      bare.push(bareRun.done / bareRun.seconds);
      bareCpu.push(bareRun.cpuUs / bareRun.done);
      const startedAt = performance.now();
      const cpuBefore = process.cpuUsage();
      const { done, seconds } = await closedLoop(write, { outstanding, ms, first });
      acknowledged.push(done / seconds);
      await two.settled();
      replicated.push((done * 1_000) / (performance.now() - startedAt));
      cpu.push(cpuUs(cpuBefore) / done);
      first += done + outstanding;
    }
    if (profile !== undefined) {
      const load = () => closedLoop(write, { outstanding, ms, first });
      await profiled(two.system, { folder: profile, title: "data_path", unitsOf: ({ done }) => done }, load);
    }
  } finally {
    await two.remove();
    await pair.remove();
  }
  const rows = {
    replicated: { name: "acknowledged and replicated", unit: "writes/s", values: replicated },
    acknowledged: { name: "acknowledged", unit: "writes/s", values: acknowledged },
    bare: { name: "bare LMDB, both environments", unit: "rows/s", values: bare },
    cpu: { name: "CPU of all threads", unit: "us/write", values: cpu },
    bareCpu: { name: "CPU of bare LMDB", unit: "us/row", values: bareCpu },
  };
  return {
    rows: Object.values(rows),
    ratios: partsOf("P9", [ratioOf("replicated / bare", rows.replicated, rows.bare, { atLeast: 0.5 })]),
    facts: { outstanding, "bare batch": dataLimits.admitBatchMax },
    failures: [],
  };
}

/** Time on a core, of this process: what other work on the machine hardly moves. */
function cpuUs(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

async function cpuTimed<T>(work: () => Promise<T>): Promise<T & { readonly cpuUs: number }> {
  const before = process.cpuUsage();
  const result = await work();
  return { ...result, cpuUs: cpuUs(before) };
}

/** Two environments with the rows of the workload, and nothing of ours around them. */
class BarePair {
  readonly #folder = mkdtempSync(join(tmpdir(), "nanoactor-bare-"));
  readonly #environments: readonly RootDatabase<Buffer, string>[];

  constructor() {
    this.#environments = ["A", "B"].map((name) =>
      open<Buffer, string>({
        path: join(this.#folder, name),
        mapSize: 16 * 1024 ** 3,
        encoding: "binary",
        cache: false,
        overlappingSync: true,
      }),
    );
  }

  /** Rows per second that are synced in both, with `outstanding` rows in batches. */
  async run(ms: number, first: number): Promise<{ readonly done: number; readonly seconds: number }> {
    const startedAt = performance.now();
    const until = startedAt + ms;
    let n = first;
    let done = 0;
    const lane = async (): Promise<void> => {
      while (performance.now() < until) {
        const rows = Array.from({ length: dataLimits.admitBatchMax }, () => rowAt(n++));
        for (const environment of this.#environments) {
          let last: Promise<unknown> = Promise.resolve();
          for (const { key, bytes, indexKey } of rows) {
            last = environment.put(key, bytes);
            if (indexKey !== "") last = environment.put(indexKey, emptyValue);
          }
          await last;
          await environment.flushed;
        }
        done += rows.length;
      }
    };
    await Promise.all(Array.from({ length: outstanding / dataLimits.admitBatchMax }, lane));
    return { done, seconds: (performance.now() - startedAt) / 1_000 };
  }

  async remove(): Promise<void> {
    for (const environment of this.#environments) await environment.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

const emptyValue = Buffer.alloc(0);

function rowAt(n: number): { readonly key: string; readonly bytes: Buffer; readonly indexKey: string } {
  const { backend, message } = writeAt(n);
  const { key, member, value } = message;
  const encoded = encodeRow({ version: [1, 1, n], value, expiresAtMs: 0 });
  return {
    key: `${backend}\u0000${key}\u0000${member ?? ""}`,
    bytes: Buffer.from(encoded.buffer),
    indexKey: member === undefined ? "" : `index\u0000${backend}\u0000${member}\u0000${key}`,
  };
}

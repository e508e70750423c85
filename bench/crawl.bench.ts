/**
 * How fast is a copy against a bare scan of one environment and batched puts into the other, and what do clients notice
 * of it? The copy alone runs without its rate; beside clients it runs as shipped. Both ways read and write batches of
 * the same size, two shards side by side, and what was written is synced batch by batch.
 *
 * A copy counts from the beginning of the migration until no shard has a range any more. Clients write at a fixed rate,
 * during the copy and after it.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaultTuning, type Tuning } from "../actors/shard_options.ts";
import { type BareRows, loadStores, openBareRows } from "./loaded_stores.ts";
import { type Bench, type BenchOptions, type BenchResult, partsOf, ratioOf } from "./result.ts";
import { shards, startTwoSites, type TwoSites } from "./two_sites.ts";
import { openLoop, perform, writeAt } from "./workload.ts";

export const bench: Bench = {
  name: "crawl",
  question: "How fast is a copy against a bare scan and puts, and what do clients notice of it?",
  notQuick: "a quarter of a minute",
  run,
};

const { crawlBatchMax } = defaultTuning;
/** No copy is slowed by its own rate then. */
const unlimited = { crawlRowsPerSecond: 10_000_000 };
const writesPerSecond = 300;

async function run({ quick }: BenchOptions): Promise<BenchResult> {
  const keys = quick ? 30_000 : 400_000;
  const repeats = quick ? 1 : 3;
  const bare: number[] = [];
  const copied: number[] = [];
  const during: number[] = [];
  const after: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat++) {
    bare.push(await bareCopy(keys));
    copied.push(await copyAlone(keys));
    const beside = await copyBesideClients(keys);
    during.push(beside.duringMs);
    after.push(beside.afterMs);
  }
  const rows = {
    bare: { name: "bare scan and puts", unit: "rows/s", values: bare },
    copied: { name: "copy", unit: "rows/s", values: copied },
    during: { name: "p99 of writes during a copy", unit: "ms", values: during },
    after: { name: "p99 of writes after it", unit: "ms", values: after },
  };
  return {
    rows: Object.values(rows),
    ratios: partsOf("P11", [
      ratioOf("copy / bare", rows.copied, rows.bare, { atLeast: 0.5 }),
      ratioOf("p99 during / after", rows.during, rows.after, { atMost: 1.5 }),
    ]),
    facts: {
      rows: keys,
      "rows of a batch": crawlBatchMax,
      "writes/s of the clients": writesPerSecond,
      "the copy's rate beside them, rows/s": defaultTuning.crawlRowsPerSecond * shards,
    },
    failures: [],
  };
}

async function withRows<T>(
  keys: number,
  tuning: Partial<Tuning>,
  work: (two: TwoSites) => Promise<T>,
): Promise<T> {
  const prepare = (directory: string) => loadStores(directory, { sites: ["A"], shards, keys });
  const two = await startTwoSites(tuning, { prepare });
  try {
    return await work(two);
  } finally {
    await two.remove();
  }
}

function copyAlone(keys: number): Promise<number> {
  return withRows(keys, unlimited, async (two) => (keys * 1_000) / (await copyMs(two)));
}

/** Starts the migration; how long until everything was copied. */
async function copyMs(two: TwoSites): Promise<number> {
  const startedAt = performance.now();
  await two.copied();
  return performance.now() - startedAt;
}

function copyBesideClients(keys: number) {
  return withRows(keys, {}, async (two) => {
    const write = (n: number): Promise<unknown> => perform(two, writeAt(n));
    // Compiled code and open files, before anything counts.
    await openLoop(write, { perSecond: writesPerSecond, ms: 500, first: 0 });
    // It takes at least this long: that is its rate.
    const ms = (keys * 1_000) / (defaultTuning.crawlRowsPerSecond * shards);
    const copying = copyMs(two);
    const during = await openLoop(write, { perSecond: writesPerSecond, ms, first: 10_000 });
    await copying;
    await two.goLive();
    await two.settled();
    const after = await openLoop(write, { perSecond: writesPerSecond, ms, first: 1_000_000 });
    const p99 = ({ latency }: typeof during): number => latency.getValueAtPercentile(99) / 1_000;
    return { duringMs: p99(during), afterMs: p99(after) };
  });
}

/** Rows per second. */
async function bareCopy(keys: number): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), "nanoactor-bare-"));
  try {
    await loadStores(directory, { sites: ["A"], shards, keys });
    await loadStores(directory, { sites: ["B"], shards, keys: 0 });
    const pairs = Array.from({ length: shards }, (_, shard) => ({
      from: openBareRows(directory, "A", { shard }),
      to: openBareRows(directory, "B", { shard }),
    }));
    const startedAt = performance.now();
    const copied = await Promise.all(pairs.map(copyShard));
    const seconds = (performance.now() - startedAt) / 1_000;
    for (const { from, to } of pairs) {
      await from.root.close();
      await to.root.close();
    }
    const rows = copied.reduce((sum, each) => sum + each, 0);
    if (rows !== keys) throw new Error(`${rows} of ${keys} rows were copied`);
    return rows / seconds;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function copyShard({ from, to }: Readonly<Record<"from" | "to", BareRows>>): Promise<number> {
  let copied = 0;
  for (let start = "\u0000"; ; ) {
    const batch = [...from.rows.getRange({ start, limit: crawlBatchMax })];
    const last = batch.at(-1);
    if (last === undefined) return copied;
    let written: Promise<unknown> = Promise.resolve();
    for (const { key, value } of batch) written = to.rows.put(key, value);
    await written;
    await to.root.flushed;
    copied += batch.length;
    start = `${last.key}\u0000`;
  }
}

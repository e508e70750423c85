/**
 * A full comparison of two sites against a bare scan of the same two environments, and whether its memory grows with
 * the number of rows. Two sizes, the larger twice the smaller; each is loaded, scanned and compared in processes of
 * their own. In turns: a scan of both environments one after the other, a comparison, and again.
 *
 * Anonymous memory is the comparing process's RssAnon, sampled every 20 ms after a first comparison has warmed it up:
 * mapped pages of the stores are not in it. The comparison takes all of the time (`compareShare: 1`), as nothing else
 * runs; by default it takes half. CPU time, of all threads, says more than the clock where others use the cores.
 */

import { type ChildProcess, fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Answer, Request } from "./compare_child.ts";
import {
  type Bench,
  type BenchOptions,
  type BenchResult,
  type BenchRow,
  median,
  partsOf,
  ratioOf,
} from "./result.ts";

export const bench: Bench = {
  name: "compare",
  question:
    "What does a full comparison cost against a bare scan of both sides, and does its memory grow with rows?",
  notQuick: "loads stores of its own, a quarter of a minute",
  run,
};

const repeats = 3;

async function run({ quick }: BenchOptions): Promise<BenchResult> {
  const sizes = quick ? [50_000, 100_000] : [5_000_000, 10_000_000];
  const measured: Size[] = [];
  for (const rows of sizes) measured.push(await measure(rows));
  const rows = measured.flatMap((size) => [
    ...[size.scanned, size.compared],
    ...[size.scannedByCpu, size.comparedByCpu, size.rssAnon],
  ]);
  const target = { atLeast: 0.8 };
  const ratios = measured.flatMap((size) => [
    ratioOf(`${name(size.rows)}: comparison / bare scan`, size.compared, size.scanned, target),
    ratioOf(`${name(size.rows)}: the same by CPU time`, size.comparedByCpu, size.scannedByCpu, target),
  ]);
  const [small, large] = measured;
  if (small !== undefined && large !== undefined) {
    const title = `peak anonymous memory, ${name(large.rows)} / ${name(small.rows)} rows`;
    const peaks = [large, small].map(({ rssAnon }) => Math.max(...rssAnon.values));
    ratios.push({ name: title, values: [(peaks[0] ?? 0) / (peaks[1] ?? 1)], target: { atMost: 1.1 } });
  }
  const facts = Object.fromEntries(measured.map(({ rows: count, facts: each }) => [name(count), each]));
  return {
    rows,
    ratios: partsOf("P12", ratios),
    facts,
    failures: measured.flatMap(({ failures }) => failures),
  };
}

interface Size {
  readonly rows: number;
  readonly scanned: BenchRow;
  readonly compared: BenchRow;
  readonly scannedByCpu: BenchRow;
  readonly comparedByCpu: BenchRow;
  readonly rssAnon: BenchRow;
  readonly facts: string;
  readonly failures: readonly string[];
}

async function measure(rows: number): Promise<Size> {
  const directory = mkdtempSync(join(tmpdir(), "nanoactor-bench-"));
  const children: Child[] = [];
  const child = (): Child => {
    const made = new Child();
    children.push(made);
    return made;
  };
  try {
    const loader = child();
    await loader.ask({ type: "load", directory, rows });
    loader.end();
    const [scanner, comparer] = [child(), child()];
    const scanned: number[] = [];
    const compared: number[] = [];
    const byCpu: [scan: number[], comparison: number[]] = [[], []];
    const rssAnon: number[] = [];
    const failures: string[] = [];
    await scanner.ask({ type: "scan", directory });
    const warm = await comparer.ask({ type: "compare", directory });
    for (let repeat = 0; repeat < repeats; repeat++) {
      const scan = await scanner.ask({ type: "scan", directory });
      const comparison = await comparer.ask({ type: "compare", directory });
      scanned.push(rows / scan.seconds);
      compared.push(rows / comparison.seconds);
      byCpu[0].push(rows / scan.cpuSeconds);
      byCpu[1].push(rows / comparison.cpuSeconds);
      rssAnon.push(comparison.rssAnonBytesMax / 1024 ** 2);
      if (scan.rows !== rows * 2) failures.push(`the scan read ${scan.rows} of ${rows * 2} rows`);
      if (comparison.rows !== rows || comparison.mismatches > 0) {
        failures.push(`compared ${comparison.rows} of ${rows} rows, ${comparison.mismatches} mismatches`);
      }
    }
    const gigabytes = (warm.storeBytes / 1024 ** 3).toFixed(2);
    return {
      rows,
      scanned: { name: `${name(rows)}: bare scan of both`, unit: "rows/s", values: scanned },
      compared: { name: `${name(rows)}: full comparison`, unit: "rows/s", values: compared },
      scannedByCpu: { name: `${name(rows)}: bare scan`, unit: "rows/CPU s", values: byCpu[0] },
      comparedByCpu: { name: `${name(rows)}: comparison`, unit: "rows/CPU s", values: byCpu[1] },
      rssAnon: { name: `${name(rows)}: peak anonymous memory`, unit: "MiB", values: rssAnon },
      facts: `${rows} rows a side, ${gigabytes} GiB in both stores, median ${median(rssAnon).toFixed(1)} MiB`,
      failures,
    };
  } finally {
    for (const each of children) each.end();
    rmSync(directory, { recursive: true, force: true });
  }
}

function name(rows: number): string {
  return rows >= 1_000_000 ? `${rows / 1_000_000} M` : `${rows / 1_000} k`;
}

/** One process, asked one thing at a time. */
class Child {
  readonly #process: ChildProcess;

  constructor() {
    this.#process = fork(fileURLToPath(new URL("compare_child.js", import.meta.url)));
  }

  ask(request: Request): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const child = this.#process;
      const failed = (code: number | null) =>
        reject(new Error(`${request.type}: the process ended with ${code}`));
      child.once("exit", failed);
      child.once("message", (answer: Answer | { readonly error: string }) => {
        child.off("exit", failed);
        if ("error" in answer) reject(new Error(answer.error));
        else resolve(answer);
      });
      child.send(request);
    });
  }

  end(): void {
    if (this.#process.connected) this.#process.disconnect();
  }
}

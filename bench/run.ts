/**
 * `npm run bench -- [NAME...] [--quick] [--json] [--profile DIR]`: lists the benches, or runs those named (`all` for
 * every one), each in a process of its own. Prints medians with their spread over the repeats and writes
 * bench/results/<date>-<name>.json.
 *
 * Exit codes: 0, whatever the figures; 1 if a bench failed or its scenario did not happen; 2 for a wrong name.
 * Only ratios of one run travel: other work on the machine moves all absolute figures.
 */

import { fork } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { type Bench, type BenchOptions, type BenchRatio, type BenchResult, median, meets } from "./result.ts";

interface Flags {
  readonly quick?: boolean;
  readonly json?: boolean;
  readonly profile?: string;
}

const here = new URL(".", import.meta.url);
const suffix = ".bench.js";

async function main(names: readonly string[], flags: Flags): Promise<void> {
  const benches = await findBenches();
  if (names.length === 0) {
    for (const { name, question } of benches.values()) process.stdout.write(`${name}: ${question}\n`);
    return;
  }
  const chosen = names.includes("all") ? [...benches.keys()] : names;
  const unknown = chosen.filter((name) => !benches.has(name));
  if (unknown.length > 0) {
    process.stderr.write(`no bench ${unknown.join(", ")}; there are ${[...benches.keys()].join(", ")}\n`);
    process.exitCode = 2;
    return;
  }
  const profile = flags.profile === undefined ? undefined : resolve(flags.profile);
  const options: BenchOptions = { quick: flags.quick === true, profile };
  for (const name of chosen) {
    const bench = benches.get(name);
    if (bench === undefined) continue;
    try {
      const load = loadavg()[0] ?? Number.NaN;
      report(bench, await runInChild(name, options), {
        quick: options.quick,
        json: flags.json === true,
        load,
      });
    } catch (error) {
      process.stderr.write(`${name}: ${error instanceof Error ? error.message : String(error)}\n`);
      process.exitCode = 1;
    }
  }
}

export async function findBenches(): Promise<Map<string, Bench>> {
  const benches = new Map<string, Bench>();
  for (const file of readdirSync(here).filter((each) => each.endsWith(suffix))) {
    const { bench } = (await import(new URL(file, here).href)) as { readonly bench: Bench };
    benches.set(bench.name, bench);
  }
  return benches;
}

/** A process of its own: no heap, compiled code or thread of another bench. */
function runInChild(name: string, options: BenchOptions): Promise<BenchResult> {
  return new Promise((done, failed) => {
    // Some libraries check more when they are not told that they are in production.
    const env = { ...process.env, NODE_ENV: "production" };
    const child = fork(fileURLToPath(new URL("child.js", here)), [name, JSON.stringify(options)], { env });
    let result: BenchResult | undefined;
    child.on("message", (message: BenchResult) => {
      result = message;
    });
    child.on("error", failed);
    child.on("exit", (code, signal) => {
      if (result !== undefined && code === 0) done(result);
      else failed(new Error(`the bench ended with ${signal ?? code}`));
    });
  });
}

interface Reporting {
  readonly quick: boolean;
  readonly json: boolean;
  /** Runnable threads of the machine before the bench began. */
  readonly load: number;
}

function report(bench: Bench, result: BenchResult, { quick, json, load }: Reporting): void {
  const date = new Date().toISOString().slice(0, 10);
  const machine = {
    cpu: cpus()[0]?.model ?? "",
    cores: availableParallelism(),
    node: process.versions.node,
    loadBefore: load,
  };
  const { plots = {}, ...figures } = result;
  const record = { name: bench.name, question: bench.question, date, machine, quick, ...figures };
  const text = `${JSON.stringify(record, undefined, 2)}\n`;
  const folder = fileURLToPath(new URL("../../bench/results/", here));
  mkdirSync(folder, { recursive: true });
  // A quick run shows that a bench works: it is no result to keep.
  if (!quick) writeFileSync(join(folder, `${date}-${bench.name}.json`), text);
  if (!quick)
    for (const [file, svg] of Object.entries(plots)) writeFileSync(join(folder, `${date}-${file}`), svg);
  process.stdout.write(
    json
      ? text
      : `${table(bench, result)}  load of the machine before: ${load.toFixed(1)} on ${machine.cores} cores\n`,
  );
  if (result.failures.length === 0) return;
  for (const failure of result.failures) process.stderr.write(`${bench.name}: ${failure}\n`);
  process.exitCode = 1;
}

function table(bench: Bench, { rows, ratios, facts }: BenchResult): string {
  const lines = [`\n${bench.name}: ${bench.question}`];
  const width = Math.max(...[...rows, ...ratios].map(({ name }) => name.length));
  for (const { name, unit, values } of rows) {
    lines.push(`  ${name.padEnd(width)}  ${spread(values)} ${unit}`);
  }
  for (const ratio of ratios) {
    const { name, values, target } = ratio;
    const met = meets(ratio);
    const verdict = met ? "met" : "MISSED";
    const goal = target === undefined ? "" : `  target ${boundOf(target)}: ${verdict}`;
    lines.push(`  ${name.padEnd(width)}  ${spread(values)} x${goal}`);
  }
  for (const [name, value] of Object.entries(facts)) lines.push(`  ${name}: ${value}`);
  return `${lines.join("\n")}\n`;
}

function boundOf(target: NonNullable<BenchRatio["target"]>): string {
  return "atMost" in target ? `at most ${target.atMost}` : `at least ${target.atLeast}`;
}

/** The median, and between which values it lies. */
function spread(values: readonly number[]): string {
  const shown = [median(values), Math.min(...values), Math.max(...values)].map(short);
  return `${shown[0]?.padStart(9)} (${shown[1]} to ${shown[2]})`;
}

function short(value: number): string {
  return value >= 1_000 ? Math.round(value).toLocaleString("en-US") : value.toPrecision(3);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await new Command("bench")
    .argument("[names...]", "which benches; none lists them, `all` runs every one")
    .option("--quick", "fewer and shorter segments; nothing is recorded")
    .option("--json", "the record instead of the table")
    .option("--profile <folder>", "CPU profiles of each thread, and their 25 largest self times")
    .action(main)
    .parseAsync();
}

/**
 * `npm run bench -- [NAME...] [--list] [--quick] [--json] [--profile DIR]`: runs the benches named, or all of them,
 * each in a process of its own, and prints medians with their spread over the repeats.
 *
 * What is recorded: bench/results/<date>-<name>.json for each bench that was named, bench/results/<date>.json for all
 * together; docs/reference/performance.md shows the newest of each. A quick run is no result to keep, and without names
 * leaves out those that say why in `notQuick`.
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
import { writeFigures } from "./figures.ts";
import type { BenchRecord } from "./record.ts";
import {
  type Bench,
  type BenchOptions,
  type BenchRatio,
  type BenchResult,
  median,
  meets,
  type TargetFigure,
  targetFigures,
} from "./result.ts";

interface Flags {
  readonly list?: boolean;
  readonly quick?: boolean;
  readonly json?: boolean;
  readonly document?: boolean;
  readonly profile?: string;
}

const here = new URL(".", import.meta.url);
const suffix = ".bench.js";
const resultsFolder = fileURLToPath(new URL("../../bench/results/", here));
const page = fileURLToPath(new URL("../../docs/reference/performance.md", here));

async function main(names: readonly string[], flags: Flags): Promise<void> {
  const benches = await findBenches();
  if (flags.list === true) {
    for (const { name, question } of benches.values()) process.stdout.write(`${name}: ${question}\n`);
    return;
  }
  if (flags.document === true) {
    writeFigures(page, resultsFolder);
    return;
  }
  const unknown = names.filter((name) => name !== "all" && !benches.has(name));
  if (unknown.length > 0) {
    process.stderr.write(`no bench ${unknown.join(", ")}; there are ${[...benches.keys()].join(", ")}\n`);
    process.exitCode = 2;
    return;
  }
  const quick = flags.quick === true;
  const profile = flags.profile === undefined ? undefined : resolve(flags.profile);
  const records: BenchRecord[] = [];
  const targets: TargetFigure[] = [];
  for (const bench of chosen(benches, names, quick)) {
    try {
      const load = loadavg()[0] ?? Number.NaN;
      const result = await runInChild(bench.name, { quick, profile });
      const record = recordOf(bench, result, { quick, load });
      records.push(record);
      targets.push(...targetFigures(bench.name, result.ratios));
      if (flags.json !== true) process.stdout.write(table(bench, record));
      if (!quick) keep(records, result.plots ?? {}, names.length > 0 ? bench.name : undefined);
      for (const failure of result.failures) complain(bench, failure);
    } catch (error) {
      complain(bench, error instanceof Error ? error.message : String(error));
    }
  }
  if (!quick) writeFigures(page, resultsFolder);
  if (flags.json === true) process.stdout.write(`${JSON.stringify({ targets }, undefined, 2)}\n`);
}

function chosen(benches: ReadonlyMap<string, Bench>, names: readonly string[], quick: boolean): Bench[] {
  const all = [...benches.values()];
  if (names.length > 0) return all.filter(({ name }) => names.includes(name) || names.includes("all"));
  if (!quick) return all;
  for (const { name, notQuick } of all) {
    if (notQuick !== undefined) process.stderr.write(`${name} is left out (${notQuick}): name it\n`);
  }
  return all.filter(({ notQuick }) => notQuick === undefined);
}

function complain({ name }: Bench, text: string): void {
  process.stderr.write(`${name}: ${text}\n`);
  process.exitCode = 1;
}

async function findBenches(): Promise<Map<string, Bench>> {
  const benches = new Map<string, Bench>();
  for (const file of readdirSync(here).filter((each) => each.endsWith(suffix))) {
    const name = file.slice(0, -suffix.length);
    benches.set(name, await importBench(name));
  }
  return benches;
}

/** A bench is named as its file. */
export async function importBench(name: string): Promise<Bench> {
  const { bench } = (await import(new URL(`${name}${suffix}`, here).href)) as { readonly bench: Bench };
  return bench;
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

function recordOf(
  { name, question }: Bench,
  result: BenchResult,
  { quick, load }: { readonly quick: boolean; readonly load: number },
): BenchRecord {
  const { plots: _, ...figures } = result;
  const date = new Date().toISOString().slice(0, 10);
  const machine = {
    cpu: cpus()[0]?.model ?? "",
    cores: availableParallelism(),
    node: process.versions.node,
    loadBefore: load,
  };
  return { name, question, date, machine, quick, ...figures };
}

/** After each bench: one that fails later takes nothing along. `name`: of the newest, if it has a file of its own. */
function keep(
  records: readonly BenchRecord[],
  plots: Readonly<Record<string, string>>,
  name: string | undefined,
): void {
  const newest = records.at(-1);
  if (newest === undefined) return;
  mkdirSync(resultsFolder, { recursive: true });
  const [file, content] =
    name === undefined
      ? [`${records[0]?.date}.json`, { benches: records }]
      : [`${newest.date}-${name}.json`, newest];
  writeFileSync(join(resultsFolder, file), `${JSON.stringify(content, undefined, 2)}\n`);
  for (const [plot, svg] of Object.entries(plots))
    writeFileSync(join(resultsFolder, `${newest.date}-${plot}`), svg);
}

function table(bench: Bench, { rows, ratios, facts, machine }: BenchRecord): string {
  const lines = [`\n${bench.name}: ${bench.question}`];
  const width = Math.max(...[...rows, ...ratios].map(({ name }) => name.length));
  for (const { name, unit, values } of rows) {
    lines.push(`  ${name.padEnd(width)}  ${spread(values)} ${unit}`);
  }
  for (const ratio of ratios) {
    const { id, name, values, target } = ratio;
    const verdict = meets(ratio) ? "met" : "MISSED";
    const whose = id === undefined ? "target" : `target ${id}:`;
    const goal = target === undefined ? "" : `  ${whose} ${boundOf(target)}: ${verdict}`;
    lines.push(`  ${name.padEnd(width)}  ${spread(values)} x${goal}`);
  }
  for (const [name, value] of Object.entries(facts)) lines.push(`  ${name}: ${value}`);
  lines.push(`  load of the machine before: ${machine.loadBefore.toFixed(1)} on ${machine.cores} cores`);
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
    .argument("[names...]", "which benches; default: all, or with --quick those that take seconds")
    .option("--list", "the benches and their questions, and nothing else")
    .option("--quick", "fewer and shorter segments; nothing is recorded")
    .option("--json", "the targets, what was measured and whether it is met, instead of the tables")
    .option(
      "--document",
      "write the figures of bench/results into docs/reference/performance.md, and measure nothing",
    )
    .option("--profile <folder>", "CPU profiles of each thread, and their 25 largest self times")
    .action(main)
    .parseAsync();
}

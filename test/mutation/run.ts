/**
 * `npm run long -- mutation`: each mutation (mutations.ts) of the write's way, db_replay and db_failover against the
 * tests of its area (areas.ts) and the swarm, from the cheapest on until one fails. Results are kept in results.json
 * for as long as the file and the mutation are the same, so a run may be ended and goes on later. Exit codes: 0 every
 * survivor has its reason in harmless.json, 1 one has none, 2 wrong usage.
 */

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { areas } from "./areas.ts";
import { compiled, type Mutation, mutationsOf } from "./mutations.ts";
import { type Reasons, Results, readReasons } from "./results.ts";
import { Tree } from "./tree.ts";

interface Flags {
  readonly only: readonly string[];
  readonly sample?: string;
  readonly seeds: string;
  readonly minutes?: string;
  readonly list?: boolean;
}

const project = fileURLToPath(new URL("../../../", import.meta.url));
const folder = join(project, "test/mutation");

/** What takes longer hangs: many times what a stage takes on a machine at rest. */
const stageMsMax = { seeds: 120_000, tests: 240_000 };

/** These few come before the tests: they take less time, and catch more. */
const firstSeeds = 2;

await new Command("mutation")
  .option("--only <file>", "this file; may be repeated", (file, files: string[]) => [...files, file], [])
  .option("--sample <n>", "so many of all mutations, spread evenly")
  .option("--seeds <n>", "of the swarm, for what the tests do not catch", "20")
  .option("--minutes <m>", "begin nothing more after so many; the next run goes on")
  .option("--list", "say how many mutations each file has, and run nothing")
  .action(main)
  .parseAsync();

async function main({ only, sample, seeds, minutes = "Infinity", list }: Flags): Promise<void> {
  const files = only.length === 0 ? Object.keys(areas) : only;
  const unknown = files.filter((file) => areas[file] === undefined);
  if (unknown.length > 0) {
    process.stderr.write(
      `mutation: ${unknown.join(", ")} is not mutated; ${Object.keys(areas).join(", ")} are\n`,
    );
    process.exitCode = 2;
    return;
  }
  const texts = new Map(files.map((file) => [file, readFileSync(join(project, file), "utf8")]));
  const all = [...texts].flatMap(([file, text]) => mutationsOf(file, text));
  if (list === true) {
    for (const file of files) {
      const count = all.filter((mutation) => mutation.file === file).length;
      process.stdout.write(`${file}: ${count} mutations\n`);
    }
    return;
  }
  const chosen = sample === undefined ? all : spread(all, Number(sample));
  const results = new Results(join(folder, "results.json"));
  if (only.length === 0) results.keepOnly(new Set(all.map(({ id }) => id)));
  await runAll(chosen, texts, results, { seeds: Number(seeds), minutesMax: Number(minutes) });
  report(chosen, results, readReasons(join(folder, "harmless.json")));
}

function spread(all: readonly Mutation[], count: number): Mutation[] {
  const step = all.length / Math.min(count, all.length);
  return Array.from({ length: Math.min(count, all.length) }, (_, i) => all[Math.floor(i * step)]).filter(
    (each) => each !== undefined,
  );
}

async function runAll(
  chosen: readonly Mutation[],
  texts: ReadonlyMap<string, string>,
  results: Results,
  { seeds, minutesMax }: { readonly seeds: number; readonly minutesMax: number },
): Promise<void> {
  const left = chosen.filter(({ id }) => results.get(id) === undefined);
  const startMs = performance.now();
  const minutesPassed = (): number => (performance.now() - startMs) / 60_000;
  let done = 0;
  const whole = new Set<string>();
  const worker = async (place: number): Promise<void> => {
    const tree = new Tree(project, join(project, ".mutation", String(place)));
    while (minutesPassed() < minutesMax) {
      const mutation = left.shift();
      if (mutation === undefined) break;
      if (!whole.has(mutation.file)) await pass(tree, mutation, seeds);
      whole.add(mutation.file);
      const code = compiled(mutation, texts.get(mutation.file) ?? "");
      const killer = await tree.with(mutation.file, code, () => killedBy(tree, mutation, seeds));
      results.set(mutation, killer === undefined ? "survived" : "killed", killer ?? "");
      const { file, line, from, to } = mutation;
      const change = `${from} => ${to}`.replaceAll(/\s+/g, " ");
      const rate = `${++done} in ${minutesPassed().toFixed(1)} min`;
      process.stdout.write(`${file}:${line} ${change}: ${killer ?? "SURVIVED"} (${rate})\n`);
    }
    tree.remove();
  };
  await Promise.all(Array.from({ length: availableParallelism() }, (_, place) => worker(place)));
}

/** Errors: what fails without any mutation would kill them all. */
async function pass(tree: Tree, mutation: Mutation, seeds: number): Promise<void> {
  const killer = await killedBy(tree, mutation, seeds);
  if (killer !== undefined) throw new Error(`${mutation.file} as it is: ${killer}`);
}

/** What fails with this mutation; undefined: nothing does. */
async function killedBy(tree: Tree, { file }: Mutation, seeds: number): Promise<string | undefined> {
  const play = join(tree.root, "dist/test/mutation/play_seeds.js");
  const vitest = join(project, "node_modules/vitest/vitest.mjs");
  const tests = (areas[file] ?? []).map((test) => `dist/${test}`);
  const stages = [
    { name: "first seeds", script: [play, "1", String(firstSeeds)], msMax: stageMsMax.seeds },
    { name: "tests", script: [vitest, "run", "--bail", "1", ...tests], msMax: stageMsMax.tests },
    { name: "seeds", script: [play, String(1 + firstSeeds), String(seeds)], msMax: stageMsMax.seeds * 3 },
  ];
  for (const { name, script, msMax } of stages) {
    const end = await ended(script, tree.root, msMax);
    if (end !== "passed") return `${name}: ${end}`;
  }
  return undefined;
}

/** Rejects if somebody else ended it: that says nothing about the mutation. */
function ended(script: readonly string[], cwd: string, msMax: number): Promise<string> {
  const startMs = performance.now();
  const options = { cwd, stdio: "ignore", timeout: msMax, killSignal: "SIGKILL" } as const;
  const child = spawn(process.execPath, script, options);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      const isLate = performance.now() - startMs >= msMax;
      if (signal === "SIGKILL" && !isLate) reject(new Error(`${script.join(" ")} was killed`));
      else resolve(isLate ? "no end" : code === 0 ? "passed" : "failed");
    });
  });
}

function report(chosen: readonly Mutation[], results: Results, reasonOf: Reasons): void {
  const unexplained: string[] = [];
  for (const file of new Set(chosen.map((mutation) => mutation.file))) {
    const of = chosen.filter((mutation) => mutation.file === file);
    const done = of.filter(({ id }) => results.get(id) !== undefined);
    const survivors = done.filter(({ id }) => results.get(id)?.outcome === "survived");
    const open = survivors.filter((mutation) => reasonOf(mutation) === undefined);
    const counts = `${done.length - survivors.length} of ${done.length} killed, ${survivors.length} survived`;
    const notRun = of.length > done.length ? `; ${of.length - done.length} are left for the next run` : "";
    process.stdout.write(`${file}: ${counts}, ${survivors.length - open.length} of them harmless${notRun}\n`);
    for (const { line, from, to } of open) unexplained.push(`${file}:${line} ${from} => ${to}`);
  }
  for (const each of unexplained) process.stdout.write(`  nobody has looked at ${each}\n`);
  if (unexplained.length > 0) process.exitCode = 1;
}

/**
 * `npm run long -- mutation`: each mutation (mutations.ts) of the write's way, db_replay and db_failover against what
 * reaches it of the swarm and of the tests of its area (areas.ts), until one fails. Results are kept in results.json
 * for as long as the file and the mutation are the same, so a run may be ended and goes on later. Exit codes: 0 every
 * survivor has its reason in harmless.json, 1 one has none, 2 wrong usage.
 */

import { readFileSync } from "node:fs";
import { availableParallelism, constants } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { areas } from "./areas.ts";
import { compiled, type Mutation, mutationsOf } from "./mutations.ts";
import { type Reasons, Results, readReasons } from "./results.ts";
import { Tree } from "./tree.ts";
import { type Reach, Trial } from "./trial.ts";

interface Flags {
  readonly only: readonly string[];
  readonly sample?: string;
  readonly seeds: string;
  readonly minutes?: string;
  readonly survivors?: boolean;
  readonly list?: boolean;
}

const project = fileURLToPath(new URL("../../../", import.meta.url));
const folder = join(project, "test/mutation");

// So that what it has started ends with it.
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => process.exit(128 + constants.signals[signal]));

await new Command("mutation")
  .option("--only <file>", "this file; may be repeated", (file, files: string[]) => [...files, file], [])
  .option("--sample <n>", "so many of all mutations, spread evenly")
  .option("--seeds <n>", "of the swarm, before the tests", "60")
  .option("--minutes <m>", "begin nothing more after so many; the next run goes on")
  .option("--survivors", "those that nobody has looked at are tried again")
  .option("--list", "say how many mutations each file has, and run nothing")
  .action(main)
  .parseAsync();

async function main({ only, sample, seeds, minutes = "Infinity", survivors, list }: Flags): Promise<void> {
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
  const reasonOf = readReasons(join(folder, "harmless.json"));
  if (survivors === true) results.forget(chosen.filter((mutation) => reasonOf(mutation) === undefined));
  await runAll(chosen, all, texts, results, { seeds: Number(seeds), minutesMax: Number(minutes) });
  report(chosen, results, reasonOf);
}

function spread(all: readonly Mutation[], count: number): Mutation[] {
  const step = all.length / Math.min(count, all.length);
  return Array.from({ length: Math.min(count, all.length) }, (_, i) => all[Math.floor(i * step)]).filter(
    (each) => each !== undefined,
  );
}

async function runAll(
  chosen: readonly Mutation[],
  all: readonly Mutation[],
  texts: ReadonlyMap<string, string>,
  results: Results,
  { seeds, minutesMax }: { readonly seeds: number; readonly minutesMax: number },
): Promise<void> {
  const left = chosen.filter(({ id }) => results.get(id) === undefined);
  const ofFile = (file: string): Mutation[] => all.filter((each) => each.file === file);
  const startMs = performance.now();
  const minutesPassed = (): number => (performance.now() - startMs) / 60_000;
  let done = 0;
  const reaches = new Map<string, Promise<Reach>>();
  const worker = async (place: number): Promise<void> => {
    const tree = new Tree(project, join(project, ".mutation", String(place)));
    const trial = new Trial(tree.root, seeds);
    let mutated: string | undefined;
    while (minutesPassed() < minutesMax) {
      const mutation = left.shift();
      if (mutation === undefined) break;
      const { file, line, from, to } = mutation;
      if (mutated !== file) {
        tree.replace(file, compiled(texts.get(file) ?? "", ofFile(file)));
        trial.begin(areas[file] ?? []);
        mutated = file;
      }
      const reach = reaches.get(file) ?? trial.reach();
      reaches.set(file, reach);
      const killer = await trial.killer(ofFile(file).indexOf(mutation), await reach);
      results.set(mutation, killer === undefined ? "survived" : "killed", killer ?? "");
      const change = `${from} => ${to}`.replaceAll(/\s+/g, " ");
      const rate = `${++done} in ${minutesPassed().toFixed(1)} min`;
      process.stdout.write(`${file}:${line} ${change}: ${killer ?? "SURVIVED"} (${rate})\n`);
    }
    trial.end();
    tree.remove();
  };
  await Promise.all(Array.from({ length: availableParallelism() }, (_, place) => worker(place)));
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

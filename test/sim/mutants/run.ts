/**
 * `npm run mutants -- [--only NAME] [--from SEED] [--seeds N] [--json]`: each planted mutant against the swarm until a
 * seed catches it, and that seed's plan shrunk. Prints a table. Exit codes: 0 each was caught and shrunk to fewer than
 * 20 decisions, 1 one was not, 2 wrong usage.
 */

import { availableParallelism } from "node:os";
import { Command } from "commander";
import { Piscina } from "piscina";
import { brokeOff } from "../../../app/simulate/seed_run.ts";
import type { CatchTask, Caught } from "./catch.ts";
import { mutants } from "./mutants.ts";

interface Flags {
  readonly only: readonly string[];
  readonly from: string;
  readonly seeds: string;
  readonly quick?: boolean;
  readonly plans?: boolean;
  readonly json?: boolean;
}

const decisionsBelow = 20;

await new Command("mutants")
  .option("--only <name>", "this mutant; may be repeated", (name, names: string[]) => [...names, name], [])
  .option("--from <seed>", "the first seed", "1")
  .option("--seeds <n>", "a mutant that so many seeds do not catch has escaped", "2000")
  .option("--quick", "only those that the first seeds catch")
  .option("--plans", "print the shrunk plans too")
  .option("--json", "print what was found as JSON, and nothing else, to standard output")
  .action(main)
  .parseAsync();

async function main({ only, from, seeds, quick, plans, json }: Flags): Promise<void> {
  const all = Object.keys(mutants).filter((name) => quick !== true || mutants[name]?.quick === true);
  const names = only.length === 0 ? all : only;
  const unknown = names.filter((name) => mutants[name] === undefined);
  if (unknown.length > 0) {
    process.stderr.write(
      `mutants: no mutant named ${unknown.join(", ")}; known: ${Object.keys(mutants).join(", ")}\n`,
    );
    process.exitCode = 2;
    return;
  }
  const threads = availableParallelism();
  const filename = new URL("./catch.js", import.meta.url).href;
  const pool = new Piscina({ filename, minThreads: 1, maxThreads: threads });
  const caught = await Promise.all(
    names.map(async (name) => {
      const task: CatchTask = { name, from: Number(from), seedsMax: Number(seeds), decisionsBelow };
      const end = (await pool.run(task)) as Caught;
      process.stderr.write(`${line(end)}\n`);
      return end;
    }),
  );
  await pool.close();
  if (plans === true) for (const { plan } of caught) process.stderr.write(`${JSON.stringify(plan)}\n`);
  const wrong = caught.filter((end) => !isProof(end));
  if (json === true) process.stdout.write(`${JSON.stringify(caught, undefined, 2)}\n`);
  else process.stdout.write(table(caught));
  if (wrong.length > 0) process.exitCode = 1;
}

/**
 * An oracle saw it, in a plan that is small, and that the product passes. A play that broke off shows only that the
 * mutant itself is broken.
 */
function isProof({ seed, fault, decisionsAfter, productFails }: Caught): boolean {
  const isSeen = seed !== undefined && !fault.startsWith(brokeOff);
  return isSeen && decisionsAfter < decisionsBelow && productFails === "";
}

function line(caught: Caught): string {
  const { name, seed, seedsTried, fault, decisionsBefore, decisionsAfter, plays, productFails, seconds } =
    caught;
  if (seed === undefined) return `${name}: ESCAPED ${seedsTried} seeds (${seconds} s)`;
  const shrunk = `${decisionsBefore} decisions, ${decisionsAfter} after ${plays} plays (${seconds} s)`;
  const doubt = productFails === "" ? "" : `; THE PRODUCT FAILS TOO: ${productFails}`;
  return `${name}: seed ${seed}, the ${seedsTried}. tried: ${fault}; ${shrunk}${doubt}`;
}

function table(all: readonly Caught[]): string {
  const rows = all.map((caught) => {
    const { name, seed, seedsTried, fault, decisionsBefore, decisionsAfter, productFails } = caught;
    if (seed === undefined) return [name, "ESCAPED", "", `${seedsTried}`, "", ""];
    const by = productFails === "" ? fault : `the product fails too: ${productFails}`;
    return [name, by, `${seed}`, `${seedsTried}`, `${decisionsBefore}`, `${decisionsAfter}`];
  });
  const head = ["mutant", "caught by", "seed", "seeds tried", "decisions", "shrunk to"];
  const lines = [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
  const caught = all.filter(isProof).length;
  const total = `${caught} of ${all.length} mutants were caught and shrunk below ${decisionsBelow} decisions`;
  return `${lines.join("\n")}\n\n${total}\n`;
}

/**
 * `kill_steps [--cycles N] [--seed N] [--twin NAME]`: N lives of a victim process, each killed by SIGKILL, most at a
 * named step of the write path, of the log's compaction or of the failover, the others at a random moment. Exit codes: 0
 * nothing was lost and every step was reached (or, of fewer cycles, all but a tenth of those that were tried), 1 not
 * so. With a twin, 0 if it was caught.
 */

import { Command, InvalidArgumentError } from "commander";
import { Xoshiro128 } from "../../src/base/xoshiro128.ts";
import { type CycleResult, KilledDirectory } from "../crash/kill_cycle.ts";
import type { CrashTwin } from "../fixtures/crash_setup.ts";
import { needsFreshData, type Step, steps } from "../fixtures/crash_steps.ts";

interface Flags {
  readonly cycles: number;
  readonly seed: number;
  readonly twin: CrashTwin;
}

/** A directory that has died so often makes room for a new one: first migrations are killed too. */
const livesMax = 12;
/** Of all kills, those that wait for no step. */
const momentShare = 0.2;

await new Command("kill_steps")
  .option("--cycles <n>", "kills", wholeNumber, 200)
  .option("--seed <n>", "draws the steps and the moments", wholeNumber, 1)
  .option("--twin <name>", "a broken victim: ack-before-apply, unmarked, undrained", "")
  .action(main)
  .parseAsync();

async function main({ cycles, seed, twin }: Flags): Promise<void> {
  const random = Xoshiro128.seeded(seed);
  const results: CycleResult[] = [];
  const missed: Step[] = [];
  let directory = new KilledDirectory();
  let waiting: Step[] = [];
  while (results.length < cycles) {
    // A step that was missed is tried again before all are drawn anew.
    if (waiting.length === 0) waiting = [...missed.splice(0), ...shuffled(steps, random)];
    const step = random.float() < momentShare ? "" : (waiting.shift() ?? "");
    if (directory.lives >= livesMax || (step !== "" && needsFreshData(step) && directory.lives > 0)) {
      directory.remove();
      directory = new KilledDirectory();
    }
    const result = await directory.cycle(step, random, twin);
    results.push(result);
    if (step !== "" && !result.reached) missed.push(step);
    say(result, results.length);
    if (result.faults.length > 0) break;
  }
  const faulty = results.at(-1)?.faults.length !== 0;
  if (faulty) process.stdout.write(`the data directory is left: ${directory.path}\n`);
  else directory.remove();
  process.exitCode = twin === "" ? conclude(results, cycles) : faulty ? 0 : 1;
}

function conclude(results: readonly CycleResult[], cycles: number): number {
  const tried = results.filter(({ step }) => step !== "");
  const reached = new Set(tried.filter((result) => result.reached).map(({ step }) => step));
  const never = [...new Set(tried.map(({ step }) => step))].filter((step) => !reached.has(step));
  const acknowledged = results.reduce((sum, result) => sum + result.acknowledged, 0);
  const recovered = results.filter(({ converged }) => converged).length;
  process.stdout.write(
    `${results.length} kills: ${tried.filter((result) => result.reached).length} at one of ${reached.size} steps, ` +
      `${results.length - tried.length} at a moment; ${acknowledged} acknowledged writes, ` +
      `${recovered} recoveries that ended with both sides equal\n`,
  );
  if (never.length > 0) process.stdout.write(`never reached: ${never.join(", ")}\n`);
  const faulty = results.some(({ faults }) => faults.length > 0);
  const neverMax = cycles < steps.length / (1 - momentShare) ? tried.length / 10 : 0;
  return faulty || results.length < cycles || never.length > neverMax ? 1 : 0;
}

function say({ step, reached, faults, acknowledged, differing }: CycleResult, number: number): void {
  const where = step === "" ? "at a moment" : reached ? `at ${step}` : `before it came to ${step}`;
  process.stdout.write(`${number}: killed ${where}; ${acknowledged} acknowledged, ${differing} differing\n`);
  for (const fault of faults) process.stdout.write(`  FAULT ${fault.replaceAll("\0", "|")}\n`);
}

function shuffled<T>(values: readonly T[], random: Xoshiro128): T[] {
  return values
    .map((value) => ({ value, at: random.float() }))
    .sort((a, b) => a.at - b.at)
    .map(({ value }) => value);
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("give a whole number");
  return Number(text);
}

/**
 * `kill_steps [--cycles N] [--seed N] [--twin NAME]`: N lives of a victim process, each killed by SIGKILL, most at a
 * named step of the write path, of the log's compaction or of the failover, the others at a random moment; then as many
 * as it takes for steps that were missed. Exit codes: 0 nothing was lost and every step that was tried was reached (all
 * there are, of so many cycles), 1 not so. With a twin, 0 if it was caught.
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
/** More kills than were asked for, so that each step that was missed is tried again: a busy machine misses some. */
const extraShare = 0.5;

async function main({ cycles, seed, twin }: Flags): Promise<void> {
  const killer = new Killer(seed, twin);
  while (killer.results.length < cycles && !killer.isFaulty) await killer.kill();
  const most = cycles * (1 + extraShare);
  while (twin === "" && killer.missed.size > 0 && killer.results.length < most && !killer.isFaulty) {
    await killer.killMissed();
  }
  killer.end();
  process.exitCode = twin === "" ? conclude(killer) : killer.isFaulty ? 0 : 1;
}

/** Draws the steps, and the directories that die at them. */
class Killer {
  readonly results: CycleResult[] = [];
  /** Tried, and not reached yet. */
  readonly missed = new Set<Step>();
  readonly #random: Xoshiro128;
  readonly #twin: CrashTwin;
  #directory = new KilledDirectory();
  #waiting: Step[] = [];

  constructor(seed: number, twin: CrashTwin) {
    this.#random = Xoshiro128.seeded(seed);
    this.#twin = twin;
  }

  get isFaulty(): boolean {
    return this.results.some(({ faults }) => faults.length > 0);
  }

  async kill(): Promise<void> {
    if (this.#random.float() < momentShare) return this.#cycle("");
    if (this.#waiting.length === 0) this.#waiting = shuffled(steps, this.#random);
    await this.#cycle(this.#waiting.shift() ?? "");
  }

  async killMissed(): Promise<void> {
    for (const step of [...this.missed].slice(0, 1)) {
      // Behind the others, if it is missed again.
      this.missed.delete(step);
      await this.#cycle(step);
    }
  }

  end(): void {
    if (this.isFaulty && this.#twin === "") say(`the data directory is left: ${this.#directory.path}`);
    else this.#directory.remove();
  }

  async #cycle(step: Step | ""): Promise<void> {
    const fresh = step !== "" && needsFreshData(step);
    if (this.#directory.lives >= livesMax || (fresh && this.#directory.lives > 0)) {
      this.#directory.remove();
      this.#directory = new KilledDirectory();
    }
    const result = await this.#directory.cycle(step, this.#random, this.#twin);
    this.results.push(result);
    if (step !== "") {
      if (result.reached) this.missed.delete(step);
      else if (!this.results.some((each) => each.step === step && each.reached)) this.missed.add(step);
    }
    sayResult(result, this.results.length);
  }
}

function conclude({ results, missed, isFaulty }: Killer): number {
  const reached = results.filter((result) => result.step !== "" && result.reached);
  const moments = results.filter(({ step }) => step === "").length;
  const acknowledged = results.reduce((sum, result) => sum + result.acknowledged, 0);
  const recovered = results.filter(({ converged }) => converged).length;
  say(
    `${results.length} kills: ${reached.length} at one of ${new Set(reached.map(({ step }) => step)).size} steps, ` +
      `${moments} at a moment; ${acknowledged} acknowledged writes, ` +
      `${recovered} recoveries that ended with both sides equal`,
  );
  if (missed.size > 0) say(`never reached: ${[...missed].join(", ")}`);
  return isFaulty || missed.size > 0 ? 1 : 0;
}

function sayResult({ step, reached, faults, acknowledged, differing }: CycleResult, number: number): void {
  const where = step === "" ? "at a moment" : reached ? `at ${step}` : `before it came to ${step}`;
  say(`${number}: killed ${where}; ${acknowledged} acknowledged, ${differing} differing`);
  for (const fault of faults) say(`  FAULT ${fault.replaceAll("\0", "|")}`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
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

await new Command("kill_steps")
  .option("--cycles <n>", "kills", wholeNumber, 200)
  .option("--seed <n>", "draws the steps and the moments", wholeNumber, 1)
  .option("--twin <name>", "a broken victim: ack-before-apply, unmarked, undrained", "")
  .action(main)
  .parseAsync();

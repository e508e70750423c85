/**
 * `npm run test:kill -- [--rounds N] [--users N] [--seconds N] [--seed N] [--data DIR]`: one migration whose system
 * is killed by SIGKILL N times, at random moments, the later half after the first failover began; each time the
 * command is started again with the same data directory. The last run goes to its end, and its report, judged by
 * the driver's journal of all runs, must say that everything is proven.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Command, InvalidArgumentError } from "commander";
import { Xoshiro128 } from "../../src/base/xoshiro128.ts";

interface Flags {
  readonly rounds: number;
  readonly users: number;
  readonly seconds: number;
  readonly seed: number;
  readonly data?: string;
}

const command = fileURLToPath(new URL("../../app/main.js", import.meta.url));

/** Before this no kill is drawn: the system has just begun to serve. */
const killMsMin = 200;
/** While it copies; and while prefixes move, which all of the later kills must find under way. */
const killMsMax = { copy: 6_000, failover: 2_500 };

/** A run that neither ends nor gets to where it is to be killed within this is a defect. */
const runMsMax = 240_000;

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("give a whole number");
  return Number(text);
}

async function main(flags: Flags): Promise<void> {
  const directory = flags.data ?? mkdtempSync(join(tmpdir(), "nanoactor-kill-"));
  const random = Xoshiro128.seeded(flags.seed);
  let killed = 0;
  let inFailover = 0;
  try {
    while (killed < flags.rounds) {
      const wantsFailover = killed >= Math.floor(flags.rounds / 2);
      const latestMs = wantsFailover ? killMsMax.failover : killMsMax.copy;
      const afterMs = killMsMin + random.float() * (latestMs - killMsMin);
      const run = new Run(flags, directory);
      const began = await run.reached(wantsFailover ? "phase failing_over" : "phase ");
      if (!began) break; // it ended before: what is left to kill is the last run
      await sleep(afterMs);
      const failingOver = run.seen("phase failing_over");
      if (!run.killSystem()) break;
      const code = await run.ended;
      if (code === 0) throw new Error("the command ended with 0 although its system was killed");
      killed++;
      if (failingOver) inFailover++;
      say(`kill ${killed}: ${(afterMs / 1_000).toFixed(1)} s into ${run.lastPhase}`);
    }
    const last = new Run(flags, directory);
    const code = await last.ended;
    const report = last.report();
    say(last.output.slice(-12).join("\n"));
    say(
      `${killed} kills, ${inFailover} after the first failover began; ` +
        `${report.acknowledged.writes} writes acknowledged in the journal, ` +
        `${report.acknowledged.lost} lost, ${report.unaccounted.max} unaccounted for`,
    );
    const enough = killed === flags.rounds && inFailover >= Math.min(5, Math.ceil(flags.rounds / 2));
    if (!enough) say("too few kills: the migration ended before they were drawn");
    process.exitCode = code === 0 && report.proven && enough ? 0 : 1;
  } finally {
    // What went wrong is to be looked at.
    if (process.exitCode !== 0) say(`the data directory is kept: ${directory}`);
    else if (flags.data === undefined) rmSync(directory, { recursive: true, force: true });
  }
}

interface ReportRead {
  readonly proven: boolean;
  readonly acknowledged: { readonly writes: number; readonly lost: number };
  readonly unaccounted: { readonly max: number };
}

/** One start of the command on the data directory. */
class Run {
  readonly output: string[] = [];
  readonly ended: Promise<number>;
  readonly #process: ChildProcess;
  readonly #directory: string;
  readonly #watchers = new Set<() => void>();
  #done = false;

  constructor({ users, seconds, seed }: Flags, directory: string) {
    this.#directory = directory;
    const settings = { data: directory, report: this.#reportDirectory, users, seconds, seed };
    const options = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
    this.#process = spawn(process.execPath, [command, "migrate", ...options], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), runMsMax);
    if (this.#process.stdout !== null) {
      createInterface({ input: this.#process.stdout }).on("line", (line) => this.#line(line));
    }
    this.ended = new Promise((resolve) => {
      this.#process.once("close", (code) => {
        clearTimeout(timer);
        this.#done = true;
        for (const watcher of this.#watchers) watcher();
        resolve(code ?? -1);
      });
    });
  }

  get lastPhase(): string {
    const line = this.output.filter((each) => each.includes("  phase ")).at(-1);
    return line?.replace(/^.* {2}phase /, "") ?? "the start";
  }

  get #reportDirectory(): string {
    return join(this.#directory, "report");
  }

  seen(text: string): boolean {
    return this.output.some((line) => line.includes(text));
  }

  /** True once the command printed this; false if it ended first. */
  reached(text: string): Promise<boolean> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!this.#done && !this.seen(text)) return;
        this.#watchers.delete(look);
        resolve(this.seen(text) && !this.#done);
      };
      this.#watchers.add(look);
      look();
    });
  }

  /** False if it had ended by itself. */
  killSystem(): boolean {
    if (this.#done) return false;
    const { system } = JSON.parse(readFileSync(join(this.#directory, "pids.json"), "utf8")) as {
      readonly system: number;
    };
    try {
      return process.kill(system, "SIGKILL");
    } catch {
      return false;
    }
  }

  report(): ReportRead {
    return JSON.parse(readFileSync(join(this.#reportDirectory, "report.json"), "utf8")) as ReportRead;
  }

  #line(line: string): void {
    this.output.push(line);
    for (const watcher of this.#watchers) watcher();
  }
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

await new Command("test:kill")
  .option("--rounds <n>", "kills", wholeNumber, 20)
  .option("--users <n>", "", wholeNumber, 5_000)
  .option("--seconds <n>", "of traffic in each run", wholeNumber, 24)
  .option("--seed <n>", "draws the moments of the kills too", wholeNumber, 1)
  .option("--data <directory>", "kept at the end; default: a temporary one")
  .action(main)
  .parseAsync();

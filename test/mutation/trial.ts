/**
 * What one mutation of a tree's file has to pass: the seeds of the swarm and the tests of its area that reach it, what
 * takes longest last: some seeds, the quick tests, the other seeds, the other tests.
 */

import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Order, Report } from "./play_seeds.ts";

/** What takes longer hangs: many times what it takes on a machine at rest, so that it may run beside other work. */
const msMax = { seeds: 60_000, tests: 120_000 };

/** A process that has met so many mutations makes room for a fresh one: what they leave behind never adds up. */
const ordersPerPlayerMax = 50;

/** So many seeds are played before the tests. */
const firstSeeds = 8;

/** A file of tests that takes longer by itself is no quick one, ms; 3,000 are for its start. */
const quickMsMax = 6_000;

type Passed<From> = Map<From, ReadonlySet<number>>;

/** What passes each mutation of a file, without any of them on. */
export interface Reach {
  readonly seeds: Passed<number>;
  readonly quickTests: Passed<string>;
  /** The quickest first. */
  readonly slowTests: Passed<string>;
}

/** A file of tests by itself: the mutations that it passes, and how long it takes with its start. */
interface TimedTest {
  readonly test: string;
  readonly passed: ReadonlySet<number>;
  readonly ms: number;
}

export class Trial {
  readonly #root: string;
  readonly #seeds: readonly number[];
  #tests: readonly string[] = [];
  #player: ChildProcess | undefined;
  #ordersLeft = 0;

  constructor(root: string, seeds: number) {
    this.#root = root;
    this.#seeds = Array.from({ length: seeds }, (_, i) => i + 1);
  }

  /** The tree's file is another one now. */
  begin(tests: readonly string[]): void {
    this.end();
    this.#tests = tests.map((test) => `dist/${test}`);
  }

  /** Errors: what fails without any mutation would kill them all. */
  async reach(): Promise<Reach> {
    const report = await this.#asked({ seeds: this.#seeds, tellsReached: true });
    if (typeof report === "string") throw new Error(`a file as it is ${report}`);
    if (report.seed !== undefined) throw new Error(`a file as it is fails seed ${report.seed}`);
    const reach: Reach = { seeds: new Map(), quickTests: new Map(), slowTests: new Map() };
    for (const seed of this.#seeds) reach.seeds.set(seed, new Set(report.reached[seed]));
    const timed: TimedTest[] = [];
    const left = [...this.#tests];
    const runner = async (place: number): Promise<void> => {
      for (let test = left.shift(); test !== undefined; test = left.shift())
        timed.push(await this.#timed(test, `reached-${place}`));
    };
    await Promise.all([runner(0), runner(1)]);
    for (const { test, passed, ms } of timed.sort((one, other) => one.ms - other.ms))
      (ms <= quickMsMax ? reach.quickTests : reach.slowTests).set(test, passed);
    return reach;
  }

  async #timed(test: string, file: string): Promise<TimedTest> {
    const told = join(this.#root, file);
    rmSync(told, { force: true });
    const startMs = performance.now();
    if ((await this.#byTests([test], { REACHED: told })) !== undefined)
      throw new Error(`a file as it is fails ${test}`);
    const lines = existsSync(told) ? readFileSync(told, "utf8").trim().split("\n") : [];
    return { test, passed: new Set(lines.map(Number)), ms: performance.now() - startMs };
  }

  /** What fails with this mutation on; undefined: nothing does. */
  async killer(mutant: number, reach: Reach): Promise<string | undefined> {
    const seeds = thatReach(mutant, reach.seeds);
    const env = { MUTANT: String(mutant) };
    const quick =
      (await this.#bySeeds(mutant, seeds.slice(0, firstSeeds))) ??
      (await this.#byTests(thatReach(mutant, reach.quickTests), env)) ??
      (await this.#bySeeds(mutant, seeds.slice(firstSeeds)));
    if (quick !== undefined) return quick;
    for (const test of thatReach(mutant, reach.slowTests)) {
      const killer = await this.#byTests([test], env);
      if (killer !== undefined) return killer;
    }
    return undefined;
  }

  end(): void {
    this.#player?.kill("SIGKILL");
    this.#player = undefined;
  }

  async #bySeeds(mutant: number, seeds: readonly number[]): Promise<string | undefined> {
    if (seeds.length === 0) return undefined;
    const isFresh = this.#player === undefined;
    const report = await this.#asked({ mutant, seeds, tellsReached: false });
    if (report === "hangs" || report === "exits") return `seeds: ${report}`;
    if (report.seed === undefined) return undefined;
    if (report.isSpoilt !== true) return `seed ${report.seed}`;
    this.end();
    if (isFresh) return `seed ${report.seed}, and whatever comes after it`;
    return this.#bySeeds(mutant, seeds);
  }

  async #asked(order: Order): Promise<Report | "hangs" | "exits"> {
    if (this.#ordersLeft-- <= 0) this.end();
    if (this.#player === undefined) {
      const play = join(this.#root, "dist/test/mutation/play_seeds.js");
      this.#player = fork(play, { cwd: this.#root, stdio: ["ignore", "ignore", "ignore", "ipc"] });
      this.#ordersLeft = ordersPerPlayerMax;
    }
    const player = this.#player;
    const given = new AbortController();
    const { signal } = given;
    const late = setTimeout(() => given.abort("hangs"), msMax.seeds);
    player.once("exit", () => given.abort("exits"));
    player.send(order);
    try {
      const [report] = await once(player, "message", { signal });
      return report;
    } catch (error) {
      if (!signal.aborted) throw error;
      this.end();
      return signal.reason;
    } finally {
      clearTimeout(late);
      player.removeAllListeners("exit");
    }
  }

  /** Rejects if somebody else ended it: that says nothing about the mutation. */
  async #byTests(tests: readonly string[], env: Readonly<NodeJS.ProcessEnv>): Promise<string | undefined> {
    if (tests.length === 0) return undefined;
    const vitest = join(this.#root, "node_modules/vitest/vitest.mjs");
    const flags = ["run", "--bail", "1", "--no-isolate", "--maxWorkers", "1"];
    const child = spawn(process.execPath, [vitest, ...flags, ...tests], {
      cwd: this.#root,
      env: { ...process.env, ...env },
      stdio: "ignore",
      detached: true,
    });
    let isLate = false;
    const late = setTimeout(() => {
      isLate = true;
      killGroup(child);
    }, msMax.tests);
    const ended = (): void => killGroup(child);
    process.once("exit", ended);
    try {
      const [code, signal] = await once(child, "close");
      if (signal === "SIGKILL" && !isLate) throw new Error("the tests were killed");
      return isLate ? "tests: hang" : code === 0 ? undefined : "tests";
    } finally {
      clearTimeout(late);
      process.off("exit", ended);
      killGroup(child);
    }
  }
}

/** With the processes that it started: a worker of vitest that hangs would outlive it. */
function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    // None is left.
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

function thatReach<From>(mutant: number, reached: Passed<From>): From[] {
  return [...reached].filter(([, passed]) => passed.has(mutant)).map(([from]) => from);
}

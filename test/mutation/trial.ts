/** What one mutation of a tree's file has to pass: seeds of the swarm, then the tests of its area. */

import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Order, Report } from "./play_seeds.ts";

/** For `killer`: the file as it is. */
export const noMutant = -1;

/** What takes longer hangs: many times what it takes on a machine at rest, so that it may run beside other work. */
const msMax = { seeds: 180_000, tests: 720_000 };

/** A process that has met so many mutations makes room for a fresh one: what they leave behind never adds up. */
const ordersPerPlayerMax = 50;

export class Trial {
  readonly #root: string;
  readonly #seeds: number;
  #tests: readonly string[] = [];
  #player: ChildProcess | undefined;
  #ordersLeft = 0;

  constructor(root: string, seeds: number) {
    this.#root = root;
    this.#seeds = seeds;
  }

  /** The tree's file is another one now. */
  begin(tests: readonly string[]): void {
    this.end();
    this.#tests = tests.map((test) => `dist/${test}`);
  }

  /** What fails with this mutation on; undefined: nothing does. */
  async killer(mutant: number): Promise<string | undefined> {
    return (await this.#bySeeds(mutant)) ?? (await this.#byTests(mutant));
  }

  end(): void {
    this.#player?.kill("SIGKILL");
    this.#player = undefined;
  }

  async #bySeeds(mutant: number): Promise<string | undefined> {
    const isFresh = this.#player === undefined;
    const report = await this.#asked({ mutant, seeds: this.#seeds });
    if (report === "hangs" || report === "exits") return `seeds: ${report}`;
    if (report.seed === undefined) return undefined;
    if (report.isSpoilt !== true) return `seed ${report.seed}`;
    this.end();
    if (isFresh) return `seed ${report.seed}, and whatever comes after it`;
    return this.#bySeeds(mutant);
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
  #byTests(mutant: number): Promise<string | undefined> {
    const vitest = join(this.#root, "node_modules/vitest/vitest.mjs");
    const flags = ["run", "--bail", "1", "--no-isolate", "--maxWorkers", "1"];
    const startMs = performance.now();
    const child = spawn(process.execPath, [vitest, ...flags, ...this.#tests], {
      cwd: this.#root,
      env: { ...process.env, MUTANT: String(mutant) },
      stdio: "ignore",
      timeout: msMax.tests,
      killSignal: "SIGKILL",
    });
    return new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => {
        const isLate = performance.now() - startMs >= msMax.tests;
        if (signal === "SIGKILL" && !isLate) reject(new Error("the tests were killed"));
        else resolve(isLate ? "tests: hang" : code === 0 ? undefined : "tests");
      });
    });
  }
}

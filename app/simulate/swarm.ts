/**
 * `nanoactor simulate`: plays seeds on all cores, adds up what they found, and shrinks the first that failed to a file
 * that plays it again. It fails too when a state that the swarm must reach sometimes was never reached.
 */

import { availableParallelism } from "node:os";
import { Piscina } from "piscina";
import { drawPlan, type Scenario, scenarios } from "./draw.ts";
import { sometimes } from "./observer.ts";
import { shrinkPlan, writeRegression } from "./regression.ts";
import type { SeedResult, SeedTask } from "./seed_run.ts";

export interface SwarmOptions {
  readonly from: number;
  readonly seeds: number;
  /** Stops after this many minutes; Infinity: when all seeds are played. */
  readonly minutes: number;
  readonly scenario: Scenario;
  /** Where a seed that failed is written to. */
  readonly regressions: string;
  readonly say: (line: string) => void;
}

export interface SwarmReport {
  readonly scenario: Scenario;
  readonly topology: string;
  readonly from: number;
  readonly seeds: number;
  readonly failed: readonly FailedSeed[];
  readonly playedTwice: number;
  readonly operationsMin: number;
  /** Faults of a seed that changed an outcome. */
  readonly effectiveFaultsMedian: number;
  readonly effects: Readonly<Record<string, number>>;
  /** In how many seeds each state was reached that must be sometimes. */
  readonly sometimes: Readonly<Record<string, number>>;
  readonly neverReached: readonly string[];
  readonly seconds: number;
  readonly seedsPerSecond: number;
  readonly clean: boolean;
}

export interface FailedSeed {
  readonly seed: number;
  readonly faults: readonly string[];
  readonly command: string;
  /** Of the first ones only. */
  readonly regression?: string;
}

/** Seeds of one task: a task takes about half a second. */
const seedsPerTask = 20;

/** Below this a state that was not reached may be bad luck. */
const seedsForSometimes = 1_000;

/** More than these are not shrunk: they are likely to be one bug. */
const shrunkMax = 3;

/** Between two running lines, ms. */
const lineMs = 5_000;

export async function simulateSwarm(options: SwarmOptions): Promise<SwarmReport> {
  const swarm = new Swarm(options);
  await swarm.play();
  return swarm.report();
}

class Swarm {
  readonly #options: SwarmOptions;
  readonly #startedMs = performance.now();
  readonly #results: SeedResult[] = [];
  readonly #effects = new Map<string, number>();
  readonly #reached = new Map<string, number>(sometimes.map((state) => [state, 0]));
  readonly #failed: SeedResult[] = [];
  #nextLineMs = lineMs;

  constructor(options: SwarmOptions) {
    this.#options = options;
  }

  async play(): Promise<void> {
    const { from, seeds, minutes, scenario } = this.#options;
    const untilMs = this.#startedMs + minutes * 60_000;
    const threads = availableParallelism();
    const filename = new URL("./seed_run.js", import.meta.url).href;
    const pool = new Piscina({ filename, minThreads: threads, maxThreads: threads });
    let next = from;
    const worker = async (): Promise<void> => {
      while (next < from + seeds && performance.now() < untilMs) {
        const task: SeedTask = { from: next, seeds: Math.min(seedsPerTask, from + seeds - next), scenario };
        next += task.seeds;
        for (const result of (await pool.run(task)) as SeedResult[]) this.#take(result);
      }
    };
    try {
      await Promise.all(Array.from({ length: threads }, worker));
    } finally {
      await pool.close();
    }
  }

  #take(result: SeedResult): void {
    this.#results.push(result);
    for (const [effect, count] of Object.entries(result.effects)) {
      this.#effects.set(effect, (this.#effects.get(effect) ?? 0) + count);
    }
    for (const state of result.reached) this.#reached.set(state, (this.#reached.get(state) ?? 0) + 1);
    if (result.faults.length > 0) {
      this.#failed.push(result);
      this.#options.say(`seed ${result.seed}: ${result.faults[0]}`);
    }
    const ms = performance.now() - this.#startedMs;
    if (ms < this.#nextLineMs) return;
    this.#nextLineMs = ms + lineMs;
    const never = [...this.#reached.values()].filter((count) => count === 0).length;
    const perSecond = (this.#results.length / ms) * 1_000;
    const parts = [
      `${this.#results.length} seeds, ${perSecond.toFixed(0)}/s, ${this.#failed.length} failed`,
      `${this.#effects.size} kinds of faults fired`,
      `${this.#reached.size - never} of ${this.#reached.size} states reached`,
    ];
    this.#options.say(parts.join(", "));
  }

  async report(): Promise<SwarmReport> {
    const { scenario, from } = this.#options;
    const seconds = (performance.now() - this.#startedMs) / 1_000;
    const seeds = this.#results.length;
    const failed: FailedSeed[] = [];
    for (const result of this.#failed) failed.push(await this.#tell(result, failed.length < shrunkMax));
    const neverReached = [...this.#reached].filter(([, count]) => count === 0).map(([state]) => state);
    return {
      scenario,
      topology: topologyOf(scenario),
      from,
      seeds,
      failed,
      playedTwice: this.#results.filter(({ twice }) => twice).length,
      operationsMin: Math.min(...this.#results.map(({ operations }) => operations)),
      effectiveFaultsMedian: median(this.#results.map(({ effects }) => sum(Object.values(effects)))),
      effects: Object.fromEntries([...this.#effects].sort(([, a], [, b]) => b - a)),
      sometimes: Object.fromEntries(this.#reached),
      neverReached,
      seconds,
      seedsPerSecond: seeds / seconds,
      clean: failed.length === 0 && seeds > 0 && (neverReached.length === 0 || seeds < seedsForSometimes),
    };
  }

  async #tell({ seed, faults }: SeedResult, isShrunk: boolean): Promise<FailedSeed> {
    const { scenario, regressions, say } = this.#options;
    const command = `npx nanoactor simulate --from ${seed} --seeds 1 --scenario ${scenario}`;
    const told = { seed, faults, command };
    if (!isShrunk) return told;
    say(`seed ${seed} is shrunk; to play it again: ${command}`);
    try {
      const shrunk = await shrinkPlan(drawPlan(seed, scenarios[scenario]));
      const regression = await writeRegression(regressions, shrunk);
      say(`  ${shrunk.plan.decisions.length} decisions are left after ${shrunk.tries} tries: ${regression}`);
      return { ...told, regression };
    } catch (error) {
      say(`  it could not be shrunk: ${String(error)}`);
      return told;
    }
  }
}

function topologyOf(scenario: Scenario): string {
  const { topology, operations } = scenarios[scenario];
  const { nodesPerSite, shardsMax } = topology;
  return `two sites of ${nodesPerSite} nodes, up to ${shardsMax} shards each, ${operations} operations of clients`;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}

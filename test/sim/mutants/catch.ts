/**
 * One mutant against the swarm: plays seeds until one catches it, and shrinks that seed's plan. Runs on a thread of
 * run.ts. Nothing counts that the product itself does not pass.
 */

import { drawPlan } from "../../../app/simulate/draw.ts";
import type { SwarmPlan } from "../../../app/simulate/plan.ts";
import type { Broken } from "../../../app/simulate/play.ts";
import { playPlan } from "../../../app/simulate/seed_run.ts";
import { simplify } from "../../../app/simulate/simplify.ts";
import { shrink } from "../../../src/simulation/index.ts";
import { mutants } from "./mutants.ts";

export interface CatchTask {
  readonly name: string;
  readonly from: number;
  readonly seedsMax: number;
  /** A plan of fewer decisions is small enough. */
  readonly decisionsBelow: number;
}

export interface Caught {
  readonly name: string;
  /** Undefined: it escaped. */
  readonly seed: number | undefined;
  readonly seedsTried: number;
  /** The first fault, in words. */
  readonly fault: string;
  readonly decisionsBefore: number;
  readonly decisionsAfter: number;
  readonly plays: number;
  /** The product fails with the shrunk plan too: then the catch proves nothing. */
  readonly productFails: string;
  readonly plan: SwarmPlan | undefined;
  readonly seconds: number;
}

/** Some plans stay large, for what they need happens by chance: then the next seeds that catch it are shrunk, too. */
const shrinkTriesMax = 1_000;
const shrunkSeedsMax = 8;

/** For the smallest of them, if it is still too large. */
const lastTriesMax = 5_000;

export default async function catchMutant(task: CatchTask): Promise<Caught> {
  const startMs = performance.now();
  const hunt = new Hunt(task);
  const caught = await hunt.run();
  return { ...caught, seconds: Math.round((performance.now() - startMs) / 1_000) };
}

type Catch = Omit<Caught, "seconds">;

class Hunt {
  readonly #task: CatchTask;

  constructor(task: CatchTask) {
    this.#task = task;
  }

  async run(): Promise<Catch> {
    const { name, from, seedsMax } = this.#task;
    let best: Catch | undefined;
    let shrunkSeeds = 0;
    for (let seedsTried = 1; seedsTried <= seedsMax && shrunkSeeds < shrunkSeedsMax; seedsTried++) {
      const seed = from + seedsTried - 1;
      const plan = drawPlan(seed);
      if (!(await this.#fails(plan))) continue;
      const shrunk = await this.#shrunk(plan, shrinkTriesMax);
      shrunkSeeds++;
      if (best !== undefined && shrunk.decisionsAfter >= best.decisionsAfter) continue;
      const before = { fault: await this.#faultOf(plan), decisionsBefore: plan.decisions.length };
      best = { name, seed, seedsTried, ...before, ...shrunk };
      if (this.#isSmall(shrunk.plan)) return best;
    }
    if (best?.plan !== undefined) {
      const { plays, ...smaller } = await this.#shrunk(best.plan, lastTriesMax);
      return { ...best, ...smaller, plays: best.plays + plays };
    }
    const nothing = { fault: "", decisionsBefore: 0, decisionsAfter: 0, plays: 0, productFails: "" };
    return { name, seed: undefined, seedsTried: seedsMax, ...nothing, plan: undefined };
  }

  /** Until it is small enough, or as small as it gets. */
  async #shrunk(plan: SwarmPlan, triesMax: number) {
    let small: SwarmPlan | undefined;
    let plays = 0;
    const fails = async (smaller: SwarmPlan): Promise<boolean> => {
      // Smaller than asked for is worth no more plays.
      if (small !== undefined) return false;
      plays++;
      if (!(await this.#fails(smaller))) return false;
      if (this.#isSmall(smaller)) small = smaller;
      return true;
    };
    const shrunk = await shrink(plan, { fails, simplify, budget: { triesMax } });
    const smallest = small ?? shrunk.plan;
    const productFails = await this.#faultOf(smallest, {});
    return { plan: smallest, decisionsAfter: smallest.decisions.length, plays, productFails };
  }

  /** The mutant, and not the product. */
  async #fails(plan: SwarmPlan): Promise<boolean> {
    return (await this.#faultOf(plan)) !== "" && (await this.#faultOf(plan, {})) === "";
  }

  async #faultOf(plan: SwarmPlan, broken: Broken = mutants[this.#task.name]?.broken ?? {}): Promise<string> {
    const { findings } = await playPlan(plan, broken);
    // A row's key has its parts between zeros.
    return findings.faults[0]?.split("\n")[0]?.replaceAll("\u0000", " ").trim() ?? "";
  }

  #isSmall({ decisions }: SwarmPlan): boolean {
    return decisions.length < this.#task.decisionsBelow;
  }
}

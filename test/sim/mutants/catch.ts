/**
 * One mutant against the swarm: plays seeds until one catches it, and shrinks that seed's plan. Runs on a thread of
 * run.ts. Nothing counts that the product itself does not pass.
 */

import { drawPlan } from "../../../app/simulate/draw.ts";
import type { SwarmPlan } from "../../../app/simulate/plan.ts";
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

const shrinkTriesMax = 1_000;

/** Some plans stay large, for what they need happens by chance: then the next seeds that catch it are shrunk, too. */
const shrunkSeedsMax = 8;

export default async function catchMutant({
  name,
  from,
  seedsMax,
  decisionsBelow,
}: CatchTask): Promise<Caught> {
  const startMs = performance.now();
  const broken = mutants[name]?.broken ?? {};
  const faultOf = async (plan: SwarmPlan, product = false): Promise<string> => {
    const { findings } = await playPlan(plan, product ? {} : broken);
    // A row's key has its parts between zeros.
    return findings.faults[0]?.split("\n")[0]?.replaceAll("\u0000", " ").trim() ?? "";
  };
  const seconds = (): number => Math.round((performance.now() - startMs) / 1_000);
  const escaped = { decisionsBefore: 0, decisionsAfter: 0, plays: 0, productFails: "", plan: undefined };
  let best: Caught | undefined;
  let shrunkSeeds = 0;
  for (let tried = 1; tried <= seedsMax; tried++) {
    const seed = from + tried - 1;
    const plan = drawPlan(seed);
    const fault = await faultOf(plan);
    if (fault === "" || (await faultOf(plan, true)) !== "") continue;
    const isSmall = ({ decisions }: SwarmPlan): boolean => decisions.length < decisionsBelow;
    let small: SwarmPlan | undefined;
    let plays = 0;
    const fails = async (smaller: SwarmPlan): Promise<boolean> => {
      // Smaller than asked for is worth no more plays.
      if (small !== undefined) return false;
      plays++;
      if ((await faultOf(smaller)) === "" || (await faultOf(smaller, true)) !== "") return false;
      if (isSmall(smaller)) small = smaller;
      return true;
    };
    const shrunk = await shrink(plan, { fails, simplify, budget: { triesMax: shrinkTriesMax } });
    const smallest = small ?? shrunk.plan;
    const end = {
      decisionsBefore: plan.decisions.length,
      decisionsAfter: smallest.decisions.length,
      plays,
      productFails: await faultOf(smallest, true),
    };
    const caught = { name, seed, seedsTried: tried, fault, ...end, plan: smallest, seconds: seconds() };
    if (best === undefined || caught.decisionsAfter < best.decisionsAfter) best = caught;
    if (isSmall(smallest) || ++shrunkSeeds === shrunkSeedsMax) return best;
  }
  return best ?? { name, seed: undefined, seedsTried: seedsMax, fault: "", ...escaped, seconds: seconds() };
}

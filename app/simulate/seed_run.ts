/**
 * Plays seeds and tells of each what matters to the swarm. Plain data: it crosses threads. A share of the seeds is
 * played twice, and must have one hash (oracle I7).
 */

import { drawPlan, type Scenario, scenarios } from "./draw.ts";
import type { Sometimes } from "./observer.ts";
import { callsOf, operationsOf, type SwarmPlan } from "./plan.ts";
import { type Broken, type Findings, play } from "./play.ts";

export interface SeedTask {
  readonly from: number;
  readonly seeds: number;
  readonly scenario: Scenario;
}

export interface SeedResult {
  readonly seed: number;
  readonly faults: readonly string[];
  readonly effects: Readonly<Record<string, number>>;
  readonly reached: readonly Sometimes[];
  readonly operations: number;
  readonly events: number;
  readonly hash: string;
  readonly twice: boolean;
}

/** One of so many seeds is played twice. */
const twiceEvery = 20;

export default async function playSeeds({ from, seeds, scenario }: SeedTask): Promise<SeedResult[]> {
  const results: SeedResult[] = [];
  for (let seed = from; seed < from + seeds; seed++) results.push(await playSeed(seed, scenario));
  return results;
}

async function playSeed(seed: number, scenario: Scenario): Promise<SeedResult> {
  const plan = drawPlan(seed, scenarios[scenario]);
  const played = await playPlan(plan);
  const twice = seed % twiceEvery === 0;
  const faults = [...played.findings.faults];
  if (twice) {
    const again = await playPlan(plan);
    if (again.hash !== played.hash) faults.push(`two plays differ: ${played.hash} and ${again.hash}`);
  }
  const { effects, reached } = played.findings;
  const operations = callsOf(operationsOf(plan));
  return { seed, faults, effects, reached, operations, events: played.events, hash: played.hash, twice };
}

export interface Played {
  readonly findings: Findings;
  readonly events: number;
  readonly hash: string;
}

/** Begins the fault of a play that no oracle ended. */
export const brokeOff = "it broke off";

/** A play that breaks off is a finding, too. */
export async function playPlan(plan: SwarmPlan, broken?: Broken): Promise<Played> {
  try {
    const { result, events, hash } = await play(plan, broken);
    return { findings: result, events, hash };
  } catch (error) {
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const clients = { done: 0, unknown: 0, failed: {} };
    return {
      findings: { faults: [`${brokeOff}: ${why}`], effects: {}, reached: [], clients },
      events: 0,
      hash: "",
    };
  }
}

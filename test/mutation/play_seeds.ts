/**
 * A child of run.ts: for each message it plays seeds of the swarm with one mutation on, until one breaks a promise. It
 * stays warm from one mutation to the next, and proves that by playing the same seed without the mutation.
 */

import { drawPlan } from "../../app/simulate/draw.ts";
import { playPlan } from "../../app/simulate/seed_run.ts";

export interface Order {
  /** Of its file (compiled); -1: none. */
  readonly mutant: number;
  readonly seeds: number;
}

export interface Report {
  /** The first seed that broke a promise. */
  readonly seed?: number;
  /** Without the mutation as well: this process is spoilt, or the code is wrong as it is. */
  readonly isSpoilt?: boolean;
}

process.on("message", ({ mutant, seeds }: Order) => {
  void played(mutant, seeds).then((report) => process.send?.(report));
});

async function played(mutant: number, seeds: number): Promise<Report> {
  for (let seed = 1; seed <= seeds; seed++) {
    if (!(await breaks(mutant, seed))) continue;
    return { seed, isSpoilt: await breaks(-1, seed) };
  }
  return {};
}

async function breaks(mutant: number, seed: number): Promise<boolean> {
  Object.assign(globalThis, { mutant });
  const { findings } = await playPlan(drawPlan(seed));
  return findings.faults.length > 0;
}

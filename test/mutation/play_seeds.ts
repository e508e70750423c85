/**
 * A child of run.ts: for each message it plays seeds of the swarm with one mutation on, until one breaks a promise. It
 * stays warm from one mutation to the next, and proves that by playing the same seed without the mutation.
 */

import { drawPlan } from "../../app/simulate/draw.ts";
import { playPlan } from "../../app/simulate/seed_run.ts";

export interface Order {
  /** Of its file (compiled). Without: none. */
  readonly mutant?: number;
  readonly seeds: readonly number[];
  /** Say what each seed passes. */
  readonly tellsReached: boolean;
}

export interface Report {
  /** The first seed that broke a promise. */
  readonly seed?: number;
  /** Without the mutation as well: this process is spoilt, or the code is wrong as it is. */
  readonly isSpoilt?: boolean;
  /** By seed: the mutations of the file that it passes. */
  readonly reached: Readonly<Record<number, readonly number[]>>;
}

const noMutant = -1;

process.on("message", (order: Order) => {
  void played(order).then((report) => process.send?.(report));
});

async function played({ mutant = noMutant, seeds, tellsReached }: Order): Promise<Report> {
  const reached: Record<number, readonly number[]> = {};
  for (const seed of seeds) {
    const passed = tellsReached ? new Set<number>() : undefined;
    if (await breaks(mutant, seed, passed)) return { seed, isSpoilt: await breaks(noMutant, seed), reached };
    reached[seed] = [...(passed ?? [])];
  }
  return { reached };
}

async function breaks(mutant: number, seed: number, reached?: Set<number>): Promise<boolean> {
  Object.assign(globalThis, { mutant, reached });
  const { findings } = await playPlan(drawPlan(seed));
  return findings.faults.length > 0;
}

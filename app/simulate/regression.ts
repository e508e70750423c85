/**
 * What is left of a seed that failed: its plan, shrunk, with what was wrong, as a file that is played again, and the
 * trace of that play, a line per event.
 */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { shrink } from "../../src/simulation/index.ts";
import type { SwarmPlan } from "./plan.ts";
import { type Broken, tracePlay } from "./play.ts";
import { playPlan } from "./seed_run.ts";
import { simplify } from "./simplify.ts";

export interface Regression {
  readonly format: 1;
  readonly plan: SwarmPlan;
  /** What was wrong when it was written. */
  readonly faults: readonly string[];
}

/** A play takes about 20 ms: this is some seconds. */
const triesMax = 300;

export interface Shrunken {
  readonly plan: SwarmPlan;
  readonly faults: readonly string[];
  readonly tries: number;
}

/** The smallest plan found that still fails. */
export async function shrinkPlan(plan: SwarmPlan, broken?: Broken): Promise<Shrunken> {
  const kinds = new Set((await playPlan(plan, broken)).findings.faults.map(kindOf));
  const fails = async (smaller: SwarmPlan): Promise<boolean> =>
    (await playPlan(smaller, broken)).findings.faults.some((fault) => kinds.has(kindOf(fault)));
  const { plan: smallest, tries } = await shrink(plan, { fails, simplify, budget: { triesMax } });
  return { plan: smallest, faults: (await playPlan(smallest, broken)).findings.faults, tries };
}

/** What a fault says beside its keys, places and numbers: another kind of fault is another bug. */
function kindOf(fault: string): string {
  return fault.startsWith("it ") ? (fault.split(":")[0] ?? fault) : fault.replaceAll(/\S*\d\S*/g, "");
}

/** Returns the file's path. */
export async function writeRegression(folder: string, { plan, faults }: Shrunken): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `seed_${plan.seed}.json`);
  const regression: Regression = { format: 1, plan, faults };
  writeFileSync(path, `${JSON.stringify(regression, undefined, 2)}\n`);
  writeFileSync(join(folder, `seed_${plan.seed}.trace.txt`), `${(await tracePlay(plan)).join("\n")}\n`);
  return path;
}

const format = z.object({ format: z.literal(1), plan: z.custom<SwarmPlan>(), faults: z.array(z.string()) });

/** Errors: what `zod` or the file system says. */
export function readRegression(path: string): Regression {
  return format.parse(JSON.parse(readFileSync(path, "utf8")));
}

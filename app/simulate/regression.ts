/**
 * What is left of a seed that failed: its plan, shrunk, with what was wrong, as a file that is played again, and the
 * trace of that play, a line per event.
 */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { NanoError, toErrorData } from "../../src/index.ts";
import { shrink } from "../../src/simulation/index.ts";
import type { SwarmPlan } from "./plan.ts";
import { swarmPlan } from "./plan_format.ts";
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

const format = z.strictObject({
  format: z.literal(1, { error: "this version reads format 1" }),
  plan: swarmPlan,
  faults: z.array(z.string()),
});

/** Errors: `config` with `details.field` and `details.cure`, for the first field that is wrong. */
export function readRegression(path: string): Regression {
  const parsed = format.safeParse(readJson(path));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = [...(issue?.path ?? []), ...(issue?.code === "unrecognized_keys" ? issue.keys : [])].join(
    ".",
  );
  throw wrongFile(path, field, issue?.message ?? "it is wrong");
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw wrongFile(path, "--replay", toErrorData(error).message);
  }
}

function wrongFile(path: string, field: string, why: string): NanoError {
  const cure = "give a file that nanoactor simulate wrote, or one that is changed in what its plan allows";
  return new NanoError("config", `${path}: ${field}: ${why}; ${cure}`, { field, cure });
}

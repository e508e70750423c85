/** How much a factory takes on, and what is said of what it does not: options and their checks. */

import { NanoError } from "../base/errors.ts";
import { MiB } from "../base/limits.ts";

/** `canceled`: its caller's AbortSignal fired before it ran. */
export type DiscardReason = "overflow" | "expired" | "shutdown" | "canceled";

export interface DiscardedJob {
  readonly key: string;
  readonly method: string;
  readonly message: unknown;
}

export interface JobLimits {
  /** Jobs that may wait. Default: 10,000. */
  readonly max?: number;
  /** Estimated bytes that may wait. Default: 64 MiB. */
  readonly bytesMax?: number;
  /** A job that waited longer is discarded instead of run, also while no worker is free. Default: for ever. */
  readonly ageMaxMs?: number;
  /** A job that runs longer: its worker is killed and started again, the caller gets `crashed`. Default: for ever. */
  readonly runMaxMs?: number;
  /** Runs on the thread that started the factory, once for each discarded job. */
  readonly onDiscard?: (job: DiscardedJob, reason: DiscardReason) => void;
}

export type CheckedLimits = Required<Omit<JobLimits, "onDiscard">>;

/** Errors: `bad_argument`. */
export function checkWorkers(workers: number): void {
  if (Number.isSafeInteger(workers) && workers >= 1) return;
  throw new NanoError("bad_argument", `workers must be a whole number of 1 or more, not ${workers}`, {
    field: "workers",
  });
}

/** Errors: `bad_argument` naming the field. */
export function checkJobs(jobs: JobLimits): CheckedLimits {
  const forEver = Number.POSITIVE_INFINITY;
  const { max = 10_000, bytesMax = 64 * MiB, ageMaxMs = forEver, runMaxMs = forEver } = jobs;
  const limits = { max, bytesMax, ageMaxMs, runMaxMs };
  for (const [field, value] of Object.entries(limits)) {
    if (typeof value === "number" && value >= 0) continue;
    const details = { field: `jobs.${field}` };
    throw new NanoError("bad_argument", `jobs.${field} must be 0 or more, not ${String(value)}`, details);
  }
  return limits;
}

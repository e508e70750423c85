/** How much a factory takes on, and what is said of what it does not: options and their checks. */

import { NanoError } from "../base/errors.ts";
import { MiB } from "../base/limits.ts";
import { coreLimits } from "./limits.ts";

/** `canceled`: its caller's AbortSignal fired before it ran. `shed`: jobs wait too long (`jobs.delayTargetMs`). */
export type DiscardReason = "overflow" | "expired" | "shutdown" | "canceled" | "shed";

export interface DiscardedJob {
  readonly key: string;
  readonly method: string;
  readonly message: unknown;
}

export interface JobLimits {
  /** Jobs that may wait; 0: a job runs at once or is discarded. Default: 10,000. */
  readonly max?: number;
  /** Estimated bytes that may wait. Default: 64 MiB. */
  readonly bytesMax?: number;
  /** A job that waited longer is discarded instead of run, also while no worker is free. Default: for ever. */
  readonly ageMaxMs?: number;
  /** A job that runs longer: its worker is killed and started again, the caller gets `crashed`. Default: for ever. */
  readonly runMaxMs?: number;
  /**
   * How long a job may wait for a worker when it is busy for long, ms. Once jobs have waited longer for a whole
   * `delayIntervalMs`, some are discarded (`shed`, with `details.retryAfterMs`) until they don't. Default: for ever.
   */
  readonly delayTargetMs?: number;
  /** How long a burst may last that costs nothing, ms. Default: 100. */
  readonly delayIntervalMs?: number;
  /**
   * Whose job it is: who has most jobs waiting loses some first. Runs on the thread that started the factory, once for
   * each job that comes; a throw is logged, and the job is nobody's (""). Default: all jobs are one tenant's.
   */
  readonly tenantOf?: (job: DiscardedJob) => string;
  /** Runs on the thread that started the factory, once for each discarded job. */
  readonly onDiscard?: (job: DiscardedJob, reason: DiscardReason) => void;
}

export type CheckedLimits = Required<Omit<JobLimits, "onDiscard" | "tenantOf">>;

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
  const { delayTargetMs = forEver, delayIntervalMs = coreLimits.delayIntervalMs } = jobs;
  const limits = { max, bytesMax, ageMaxMs, runMaxMs, delayTargetMs, delayIntervalMs };
  for (const [field, value] of Object.entries(limits)) {
    if (typeof value === "number" && value >= 0) continue;
    const details = { field: `jobs.${field}` };
    throw new NanoError("bad_argument", `jobs.${field} must be 0 or more, not ${String(value)}`, details);
  }
  if (delayIntervalMs === 0) {
    const details = { field: "jobs.delayIntervalMs" };
    throw new NanoError("bad_argument", "jobs.delayIntervalMs must be more than 0", details);
  }
  if (jobs.tenantOf !== undefined && delayTargetMs === forEver) {
    const text =
      "jobs.tenantOf says who loses jobs first when they wait too long: give jobs.delayTargetMs, too";
    throw new NanoError("bad_argument", text, { field: "jobs.tenantOf" });
  }
  return limits;
}

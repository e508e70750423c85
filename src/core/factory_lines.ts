/**
 * A factory's lines, for its shedding: one for each worker with consistent_hash, else one for all. Nothing here runs
 * while `jobs.delayTargetMs` is not given. State: the dispatcher's.
 */

import { toErrorData } from "../base/errors.ts";
import type { Taken } from "./backlog.ts";
import type { CheckedLimits } from "./factory_limits.ts";
import type { DispatcherOptions, Job, JobRequest, State } from "./factory_state.ts";
import { Shedding } from "./shedding.ts";

export function sheddingOf(options: DispatcherOptions, limits: CheckedLimits): Shedding<Job> | undefined {
  if (limits.delayTargetMs === Number.POSITIVE_INFINITY) return undefined;
  return new Shedding(limits, options.routing.type === "consistent_hash" ? options.workers : 1);
}

export function tenantOf({ options, self }: State, { key, method, message }: JobRequest): string {
  const tenant = options.jobs?.tenantOf;
  if (tenant === undefined) return "";
  try {
    return tenant({ key, method, message });
  } catch (error) {
    self.log.error({ error: toErrorData(error) }, "tenantOf threw");
    return "";
  }
}

function lineOf({ backlog }: State, { key }: Job): number {
  return backlog.workerOf(key) ?? 0;
}

export function enterLine(state: State, shedding: Shedding<Job>, job: Job): void {
  job.lane = state.backlog.push(job);
  shedding.came(job, lineOf(state, job));
}

export function leaveLine(state: State, job: Job): void {
  state.shedding?.left(job, lineOf(state, job));
}

/** The table of workers is the new one by now. */
export function resizeLines(state: State, shedding: Shedding<Job>): void {
  const lines = state.options.routing.type === "consistent_hash" ? state.workers.length : 1;
  shedding.resize(lines, (job) => lineOf(state, job));
}

/** The next job that has to go before the one that was taken may run; undefined: it may. */
export function nextVictim(state: State, shedding: Shedding<Job>, taken: Taken<Job>): Job | undefined {
  const { job, queue, behind } = taken;
  const line = lineOf(state, job);
  // It was handed back by a worker before.
  if (!shedding.has(job, line)) return undefined;
  const nowMs = state.self.clock.monotonicMs();
  if (state.options.routing.type !== "sticky_queue") return shedding.victim(line, nowMs - job.atMs, nowMs);
  if (shedding.isVictimOfKey(job, queue, nowMs, behind === 0)) return job;
  return shedding.victim(line, nowMs - Math.max(job.atMs, queue.readyMs), nowMs);
}

/** How long the workers need for what waits now, and for the half of a job that each has in hand, ms. */
export function workOffMs({ backlog, workers, service, limits }: State): number {
  const jobs = backlog.length / workers.length + 0.5;
  return Math.max(1, Math.ceil(jobs * (service.meanMs ?? limits.delayIntervalMs)));
}

/**
 * After how long a job like this would wait for the target and no longer, if nobody else came: what waits before it,
 * at the pace at which jobs were done, less the target.
 */
export function retryAfterMs(state: State, job: Job): number {
  const { service, shedding, limits, workers, idle } = state;
  const { type } = state.options.routing;
  const waiting = shedding?.waiting(lineOf(state, job)) ?? 0;
  const busy = type === "consistent_hash" ? 1 : Math.max(1, workers.length - idle.size);
  const ofKey = type === "sticky_queue" ? state.backlog.waitingIn(job.lane) : 0;
  const jobs = Math.max(waiting / busy, ofKey);
  return Math.max(1, Math.ceil(jobs * (service.meanMs ?? limits.delayIntervalMs) - limits.delayTargetMs));
}

/** The way of a factory's job: from the backlog to a worker, and how it is answered. State: the dispatcher's. */

import { assert } from "../base/assert.ts";
import { type ErrorData, toErrorData } from "../base/errors.ts";
import type { Taken } from "./backlog.ts";
import type { From } from "./envelope.ts";
import { tellDiscarded } from "./factory_discards.ts";
import type { DiscardReason } from "./factory_limits.ts";
import { leaveLine, nextVictim, retryAfterMs, workOffMs } from "./factory_lines.ts";
import type { Job, Ran, State, Untaken, Worker } from "./factory_state.ts";
import { running } from "./factory_workers.ts";
import { formatPid, type Pid } from "./pid.ts";
import { postponedBy } from "./postponed.ts";

/** A sweep walks the whole backlog: not more often than this, whatever the jobs' age; and not much later, ms. */
const sweepMinMs = 10;
const sweepMaxMs = 1_000;

/** Gives idle workers what waits, as far as the routing lets them. */
export function dispatch(state: State): void {
  for (;;) {
    const index = state.backlog.wanted(state.idle);
    if (index === undefined) return;
    const worker = state.workers[index];
    assert(worker?.pid !== undefined && worker.lane === undefined, "an idle worker is there and has no job");
    give(state, worker);
  }
}

/** Whether this job has to go instead of being run, because jobs wait too long; others that have to are discarded. */
function isShed(state: State, taken: Taken<Job>): boolean {
  const { shedding } = state;
  if (shedding === undefined) return false;
  const { job } = taken;
  for (;;) {
    const next = nextVictim(state, shedding, taken);
    if (next === undefined) break;
    if (next === job) return true;
    state.backlog.withdraw(next.lane, next);
    discard(state, next, deadReason(state, next) ?? "shed");
  }
  leaveLine(state, job);
  return false;
}

/** Jobs that died while they waited are discarded on the way. */
export function give(state: State, worker: Worker): void {
  while (worker.lane === undefined && worker.pid !== undefined) {
    const next = state.backlog.take(worker.index);
    if (next === undefined) return;
    const { job, lane } = next;
    const dead = deadReason(state, job) ?? (isShed(state, next) ? "shed" : undefined);
    if (dead !== undefined) {
      state.backlog.finished(lane);
      discard(state, job, dead);
      continue;
    }
    const early = state.order?.begins(job);
    if (early !== undefined) reportDisorder(state, job, early);
    state.service.begins(job, state.self.clock);
    worker.lane = lane;
    worker.job = job;
    worker.used = true;
    state.idle.delete(worker.index);
    run(state, job, worker, worker.pid);
  }
}

/** Without the key, which may be somebody's number. */
function reportDisorder({ self }: State, { sequence }: Job, { sequence: earlier }: Job): void {
  self.log.error({ sequence, earlier }, "a job began before an earlier one of its key had ended");
}

/**
 * The answer does not wait for a turn of the dispatcher: it also comes while the dispatcher ends. The caller's deadline
 * ends no job: its worker has it in hand until it answers, and the key's next one waits.
 */
function run({ self, limits }: State, job: Job, worker: Worker, pid: Pid): void {
  const { kind, method, message, from, trace } = job;
  const isBounded = limits.runMaxMs !== Number.POSITIVE_INFINITY;
  const overrun = isBounded ? self.castAfter(limits.runMaxMs, "overrun", { worker, job }) : undefined;
  const ended = (crashed: boolean): void => {
    if (overrun !== undefined) self.cancelTimer(overrun);
    self.castSelf("ran", { job, worker, crashed } satisfies Ran);
  };
  const request = { kind, method, message, deadlineMs: from.deadlineMs, untilDone: true, trace };
  worker.asked = self.askCancelable(pid, request);
  worker.asked.answer.then(
    (value) => {
      ended(false);
      self.reply(from, value);
    },
    (error: unknown) => {
      const data = toErrorData(error);
      // By this worker: it may itself pass on that somebody else took no request.
      if (data.details?.untakenBy === formatPid(pid) && data.code !== "overloaded") {
        if (overrun !== undefined) self.cancelTimer(overrun);
        const postponed = postponedBy(data);
        const lives = postponed !== undefined || data.code === "timeout";
        self.castSelf("untaken", { job, worker, pid, postponed, lives } satisfies Untaken);
        return;
      }
      ended(data.code === "crashed");
      self.replyError(from, data);
    },
  );
}

/** If it is drained, and nothing is left to do. */
export function answerDrained(state: State): void {
  if (state.draining === undefined || state.backlog.length > 0 || running(state) > 0) return;
  for (const from of state.draining.splice(0)) state.self.reply(from, undefined);
}

/** Why nobody waits for this job any more; undefined if somebody does. */
export function deadReason(state: State, job: Job): DiscardReason | undefined {
  if (job.canceled || (state.canceled.size > 0 && state.canceled.has(nameOf(job.from)))) return "canceled";
  const { clock } = state.self;
  if (job.from.deadlineMs > 0 && clock.now() > job.from.deadlineMs) return "expired";
  if (state.limits.ageMaxMs === Number.POSITIVE_INFINITY) return undefined;
  return clock.monotonicMs() - job.atMs > state.limits.ageMaxMs ? "expired" : undefined;
}

export function sweepLater(state: State): void {
  if (state.sweeping || state.backlog.length === 0) return;
  state.sweeping = true;
  const delayMs = Math.min(Math.max(state.limits.ageMaxMs / 4, sweepMinMs), sweepMaxMs);
  state.self.castAfter(delayMs, "sweep");
}

/** A caller, as a key. */
export function nameOf({ pid, ref }: From): string {
  return `${pid.thread}.${pid.incarnation}.${ref}`;
}

/** Who was refused because there is too much to do hears when to come back. */
function detailsOf(state: State, job: Job, reason: DiscardReason): ErrorData["details"] & object {
  if (reason === "shed") return { reason, retryAfterMs: retryAfterMs(state, job) };
  return reason === "overflow" ? { reason, retryAfterMs: workOffMs(state) } : { reason };
}

export function discard(state: State, job: Job, reason: DiscardReason): void {
  state.discarded[reason]++;
  state.order?.left(job);
  leaveLine(state, job);
  const error: ErrorData = {
    code: "discarded",
    message: `${job.method}: ${reason}`,
    details: detailsOf(state, job, reason),
  };
  if (reason === "canceled") state.canceled.delete(nameOf(job.from));
  else state.self.replyError(job.from, error);
  tellDiscarded(state, { key: job.key, method: job.method, message: job.message }, reason);
}

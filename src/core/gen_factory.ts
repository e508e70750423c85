/**
 * gen_factory: a dispatcher and a group of workers, which share jobs by a routing (consistent_hash, queue,
 * sticky_queue). The dispatcher is a process; it starts its workers, gives each one job at a time and hears of its
 * end; what waits is in the backlog (backlog.ts).
 *
 * State: workers, backlog, counters. Messages: job, resize, statistics, explain.
 *
 * Always true: a job is answered exactly once: by its worker, or with `discarded` (overflow, expired, shutdown) or
 * `crashed` when its worker died with it in hand; the backlog survives a worker's death; nothing is dropped silently.
 * A worker that ends is started again for ever, at once, or after 50 ms if it had no job: a poisonous job can't take
 * the group down, and a worker that can't live does not take the processor.
 */

import { assert } from "../base/assert.ts";
import { type ErrorData, toErrorData } from "../base/errors.ts";
import { Backlog, type Waiting } from "./backlog.ts";
import type { From } from "./envelope.ts";
import {
  type CheckedLimits,
  checkJobs,
  checkWorkers,
  type DiscardReason,
  type JobLimits,
} from "./factory_limits.ts";
import { type Definition, genServer, type Info, noReply, type OptionsOf, type Piped } from "./gen_server.ts";
import { coreLimits } from "./limits.ts";
import { estimateBytes } from "./mailbox.ts";
import { formatPid, type Pid, samePid } from "./pid.ts";
import { type Postponed, postponedBy } from "./postponed.ts";
import { PostponedLanes } from "./postponed_lanes.ts";
import { checkRouting, type Routing } from "./routing.ts";
import type { Self, SpawnOptions } from "./self.ts";

export type { DiscardedJob, DiscardReason, JobLimits } from "./factory_limits.ts";

export interface FactoryOptions<D extends Definition> {
  readonly args: OptionsOf<D>;
  readonly workers: number;
  readonly routing: Routing;
  readonly jobs?: JobLimits;
  /** What the workers need: `key`: the jobs of a key in order. Default: none. */
  readonly affinity?: "key" | "none";
  /** How long a worker may take to finish its job and end, ms; then it is killed. Default: 5,000. */
  readonly shutdownMs?: number;
  /** Where workers live. Default: the dispatcher's thread. */
  readonly thread?: SpawnOptions["thread"];
}

export interface DispatcherOptions extends FactoryOptions<Definition> {
  readonly definition: Definition;
}

/** What a factory's handle sends. */
export interface JobRequest {
  readonly key: string;
  readonly kind: "call" | "cast";
  readonly method: string;
  readonly message: unknown;
}

export interface FactoryStatistics {
  readonly workers: number;
  readonly waiting: number;
  readonly running: number;
  readonly done: number;
  readonly crashed: number;
  readonly discarded: Readonly<Record<DiscardReason, number>>;
}

interface Job extends Waiting, JobRequest {
  readonly from: From<unknown>;
}

interface Worker {
  readonly index: number;
  pid: Pid | undefined;
  /** Of the job in hand. */
  lane: string | undefined;
  job: Job | undefined;
  /** It had a job since its start. */
  used: boolean;
}

interface Ran {
  readonly job: Job;
  readonly worker: Worker;
  readonly crashed: boolean;
}

interface Untaken extends Omit<Ran, "crashed"> {
  readonly postponed: Postponed | undefined;
}

interface State {
  readonly self: Self;
  readonly options: DispatcherOptions;
  readonly limits: CheckedLimits;
  readonly backlog: Backlog<Job>;
  workers: Worker[];
  /** Indexes of workers that are there and have no job. */
  readonly idle: Set<number>;
  /** Workers beyond the wanted number end after the job in hand. */
  leaving: Worker[];
  /** Jobs whose callers gave up, until they are met. */
  readonly canceled: Set<string>;
  /** Restarts under way, and who has ended before its restart was heard of. */
  starting: number;
  readonly endedEarly: Set<string>;
  readonly postponed: PostponedLanes;
  /** Callers of `drain`; undefined while jobs are taken. */
  draining: From<void>[] | undefined;
  sweeping: boolean;
  done: number;
  crashed: number;
  readonly discarded: Record<DiscardReason, number>;
}

export const factory_dispatcher = genServer(import.meta.url, "factory_dispatcher", {
  init: async (options: DispatcherOptions, self): Promise<State> => {
    checkWorkers(options.workers);
    checkRouting(options.routing, options.affinity ?? "none", options.definition.name);
    const limits = checkJobs(options.jobs ?? {});
    self.trapExit();
    const state: State = {
      self,
      options,
      limits,
      backlog: new Backlog(options.routing, options.workers),
      workers: [],
      idle: new Set(),
      leaving: [],
      canceled: new Set(),
      starting: 0,
      endedEarly: new Set(),
      postponed: new PostponedLanes(),
      draining: undefined,
      sweeping: false,
      done: 0,
      crashed: 0,
      discarded: { overflow: 0, expired: 0, shutdown: 0, canceled: 0 },
    };
    await addWorkers(state, options.workers);
    return state;
  },

  call: {
    job: (state, request: JobRequest, from: From<unknown>) => {
      const { key, kind, method, message } = request;
      // Field by field: a spread took a third of a job's time.
      const job: Job = {
        key,
        kind,
        method,
        message,
        from,
        bytes: estimateBytes(message),
        atMs: state.self.clock.now(),
      };
      if (state.draining !== undefined) {
        discard(state, job, "shutdown");
        return noReply;
      }
      if (
        state.backlog.length >= state.limits.max ||
        state.backlog.bytes + job.bytes > state.limits.bytesMax
      ) {
        discard(state, job, "overflow");
        return noReply;
      }
      state.backlog.push(job);
      dispatch(state);
      sweepLater(state);
      return noReply;
    },

    /** From now on this many workers. Errors: `bad_argument`; a new worker's own: then nothing changes. */
    resize: async (state, workers: number): Promise<void> => {
      checkWorkers(workers);
      await addWorkers(state, workers);
      for (const worker of state.workers.splice(workers)) {
        state.idle.delete(worker.index);
        state.leaving.push(worker);
        if (worker.lane === undefined) release(state, worker);
      }
      state.backlog.resize(workers);
      dispatch(state);
    },

    /** Takes no more jobs (they are discarded: `shutdown`); answered when the last one that was taken is. */
    drain: (state, _: undefined, from: From<void>) => {
      state.draining ??= [];
      state.draining.push(from);
      answerDrained(state);
      return noReply;
    },

    statistics: (state): FactoryStatistics => ({
      workers: state.workers.length,
      waiting: state.backlog.length,
      running: running(state),
      done: state.done,
      crashed: state.crashed,
      discarded: { ...state.discarded },
    }),

    /** Which worker a key's next job goes to, and why. */
    explain: (state, key: string): { worker: number | undefined; why: string } => {
      const worker = state.backlog.workerOf(key);
      const why =
        worker === undefined
          ? `${state.options.routing.type}: whoever is free`
          : "consistent_hash: its partition";
      return { worker, why };
    },
  },

  cast: {
    ran: (state, { job, worker, crashed }: Ran) => {
      if (crashed) state.crashed++;
      else state.done++;
      if (state.canceled.size > 0) state.canceled.delete(nameOf(job.from));
      const { lane } = worker;
      worker.lane = undefined;
      worker.job = undefined;
      if (lane !== undefined) {
        state.backlog.finished(lane);
        for (const other of state.postponed.done(lane)) state.backlog.goOn(other);
      }
      if (state.leaving.includes(worker)) release(state, worker);
      free(state, worker);
      // Before all others: a key stays where it was as long as nobody has waited longer.
      if (state.workers[worker.index] === worker && state.idle.has(worker.index)) give(state, worker);
      dispatch(state);
      if (state.draining !== undefined) answerDrained(state);
    },

    /** Nothing was done. Either the worker had ended before, and its end brings a new one; or it postpones the job. */
    untaken: (state, { job, worker, postponed }: Untaken) => {
      const { lane } = worker;
      assert(lane !== undefined && worker.job === job, "a job that was not taken had been given");
      worker.lane = undefined;
      worker.job = undefined;
      state.backlog.putBack(lane, job, postponed === undefined ? "now" : "later");
      if (state.leaving.includes(worker)) release(state, worker);
      if (postponed !== undefined) {
        free(state, worker);
        if (state.postponed.postpone(lane, postponed.group))
          state.self.castAfter(postponed.afterMs, "probe", postponed);
      }
      dispatch(state);
      sweepLater(state);
    },

    /** Whether a postponed job can be done by now. */
    probe: (state, postponed: Postponed) => {
      const lane = state.postponed.probe(postponed.group);
      if (lane === undefined) return;
      state.self.castAfter(postponed.afterMs, "probe", postponed);
      state.backlog.goOn(lane);
      dispatch(state);
    },

    restarted: (state, { context: worker, ...result }: Piped<Worker, Pid>) => {
      state.starting--;
      if (result.ok && !state.endedEarly.delete(formatPid(result.value)))
        arrived(state, worker, result.value);
      else state.self.castAfter(coreLimits.restartRetryMs, "restart", worker);
      if (state.starting === 0) state.endedEarly.clear();
      dispatch(state);
    },

    /** Unless it was resized away meanwhile. */
    restart: (state, worker: Worker) => {
      if (state.workers[worker.index] === worker) restart(state, worker);
    },

    /** Nobody takes a job that waits: those that nobody waits for any more must not stay. */
    sweep: (state) => {
      state.sweeping = false;
      for (const job of state.backlog.sweep((each) => deadReason(state, each) !== undefined))
        discard(state, job, deadReason(state, job) ?? "expired");
      sweepLater(state);
      if (state.draining !== undefined) answerDrained(state);
    },

    /** Unless the job ended while this was on its way. */
    overrun: (state, { worker, job }: Omit<Ran, "crashed">) => {
      if (worker.pid === undefined || worker.job !== job) return;
      state.self.log.warn({ worker: worker.pid }, "a job takes too long; its worker is killed");
      state.self.exit(worker.pid, "killed");
    },
  },

  canceled: (state, from: From) => {
    state.canceled.add(nameOf(from));
  },

  info: (state, info: Info) => {
    if (info.type !== "exit") return;
    const ended = [...state.workers, ...state.leaving].find(
      ({ pid }) => pid !== undefined && samePid(pid, info.pid),
    );
    if (ended === undefined) {
      if (state.starting > 0) state.endedEarly.add(formatPid(info.pid));
      return;
    }
    ended.pid = undefined;
    if (state.workers[ended.index] !== ended) {
      state.leaving = state.leaving.filter((worker) => worker !== ended);
      return;
    }
    state.self.log.warn({ reason: info.reason }, "a worker ended; starting another");
    state.idle.delete(ended.index);
    if (ended.used) restart(state, ended);
    else state.self.castAfter(coreLimits.restartRetryMs, "restart", ended);
  },

  terminate: async (state) => {
    for (const job of state.backlog.clear()) discard(state, job, "shutdown");
    const pids = [...state.workers, ...state.leaving]
      .map(({ pid }) => pid)
      .filter((pid) => pid !== undefined);
    const stop = { reason: "shutdown", timeoutMs: state.options.shutdownMs ?? workerStopMs } as const;
    await Promise.all(pids.map((pid) => state.self.stop(pid, stop)));
  },
});

const workerStopMs = 5_000;

/** A sweep walks the whole backlog: not more often than this, whatever the jobs' age; and not much later, ms. */
const sweepMinMs = 10;
const sweepMaxMs = 1_000;

/** Side by side; if one fails, the others are stopped and its error is thrown. */
async function addWorkers(state: State, wanted: number): Promise<void> {
  const missing = Math.max(0, wanted - state.workers.length);
  const starts = await Promise.allSettled(Array.from({ length: missing }, () => startWorker(state)));
  const failed = starts.find((start) => start.status === "rejected");
  for (const start of starts) {
    if (start.status === "rejected") continue;
    const worker: Worker = {
      index: state.workers.length,
      pid: start.value,
      lane: undefined,
      job: undefined,
      used: false,
    };
    if (failed !== undefined) release(state, worker);
    else {
      state.workers.push(worker);
      free(state, worker);
    }
  }
  if (failed !== undefined) throw failed.reason;
}

/** A worker that was resized away while it started is stopped. */
function arrived(state: State, worker: Worker, pid: Pid): void {
  worker.pid = pid;
  worker.used = false;
  if (state.workers[worker.index] !== worker) release(state, worker);
  free(state, worker);
}

/** The worker may take a job, unless it has one, has ended, or was resized away. */
function free(state: State, worker: Worker): void {
  if (state.workers[worker.index] !== worker) return;
  if (worker.pid !== undefined && worker.lane === undefined) state.idle.add(worker.index);
}

function startWorker({ self, options }: State): Promise<Pid> {
  const placed = options.thread === undefined ? {} : { thread: options.thread };
  return self.spawn(options.definition, options.args, { link: true, ...placed });
}

function restart(state: State, worker: Worker): void {
  state.starting++;
  state.self.pipe(startWorker(state), "restarted", worker);
}

function release(state: State, worker: Worker): void {
  state.leaving = state.leaving.filter((each) => each !== worker);
  if (worker.pid === undefined) return;
  state.self.unlink(worker.pid);
  state.self.exit(worker.pid, "shutdown");
}

/** Gives idle workers what waits, as far as the routing lets them. */
function dispatch(state: State): void {
  for (;;) {
    const index = state.backlog.wanted(state.idle);
    if (index === undefined) return;
    const worker = state.workers[index];
    assert(worker?.pid !== undefined && worker.lane === undefined, "an idle worker is there and has no job");
    give(state, worker);
  }
}

/** Jobs that died while they waited are discarded on the way. */
function give(state: State, worker: Worker): void {
  while (worker.lane === undefined && worker.pid !== undefined) {
    const next = state.backlog.take(worker.index);
    if (next === undefined) return;
    const { job, lane } = next;
    const dead = deadReason(state, job);
    if (dead !== undefined) {
      state.backlog.finished(lane);
      discard(state, job, dead);
      continue;
    }
    worker.lane = lane;
    worker.job = job;
    worker.used = true;
    state.idle.delete(worker.index);
    run(state, job, worker, worker.pid);
  }
}

/** The answer does not wait for a turn of the dispatcher: it also comes while the dispatcher ends. */
function run({ self, limits }: State, job: Job, worker: Worker, pid: Pid): void {
  const { kind, method, message, from } = job;
  const isBounded = limits.runMaxMs !== Number.POSITIVE_INFINITY;
  const overrun = isBounded ? self.castAfter(limits.runMaxMs, "overrun", { worker, job }) : undefined;
  const ended = (crashed: boolean): void => {
    if (overrun !== undefined) self.cancelTimer(overrun);
    self.castSelf("ran", { job, worker, crashed } satisfies Ran);
  };
  self.ask(pid, { kind, method, message, deadlineMs: from.deadlineMs }).then(
    (value) => {
      ended(false);
      self.reply(from, value);
    },
    (error: unknown) => {
      const data = toErrorData(error);
      // By this worker: it may itself pass on that somebody else took no request.
      if (data.details?.untakenBy === formatPid(pid) && data.code !== "overloaded") {
        if (overrun !== undefined) self.cancelTimer(overrun);
        self.castSelf("untaken", { job, worker, postponed: postponedBy(data) } satisfies Untaken);
        return;
      }
      ended(data.code === "crashed");
      self.replyError(from, data);
    },
  );
}

function running(state: State): number {
  return [...state.workers, ...state.leaving].filter(({ lane }) => lane !== undefined).length;
}

function answerDrained(state: State): void {
  if (state.backlog.length > 0 || running(state) > 0) return;
  for (const from of state.draining?.splice(0) ?? []) state.self.reply(from, undefined);
}

/** Why nobody waits for this job any more; undefined if somebody does. */
function deadReason(state: State, job: Job): DiscardReason | undefined {
  if (state.canceled.size > 0 && state.canceled.has(nameOf(job.from))) return "canceled";
  const now = state.self.clock.now();
  if (job.from.deadlineMs > 0 && now > job.from.deadlineMs) return "expired";
  return now - job.atMs > state.limits.ageMaxMs ? "expired" : undefined;
}

function sweepLater(state: State): void {
  if (state.sweeping || state.backlog.length === 0) return;
  state.sweeping = true;
  const delayMs = Math.min(Math.max(state.limits.ageMaxMs / 4, sweepMinMs), sweepMaxMs);
  state.self.castAfter(delayMs, "sweep");
}

/** A caller, as a key. */
function nameOf({ pid, ref }: From): string {
  return `${pid.thread}.${pid.incarnation}.${ref}`;
}

function discard(state: State, job: Job, reason: DiscardReason): void {
  state.discarded[reason]++;
  const error: ErrorData = { code: "discarded", message: `${job.method}: ${reason}`, details: { reason } };
  if (reason === "canceled") state.canceled.delete(nameOf(job.from));
  else state.self.replyError(job.from, error);
  try {
    state.options.jobs?.onDiscard?.({ key: job.key, method: job.method, message: job.message }, reason);
  } catch (error_) {
    state.self.log.error({ error: toErrorData(error_) }, "onDiscard threw");
  }
}

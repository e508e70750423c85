/**
 * gen_factory: a dispatcher and a group of workers, which share jobs by a routing (consistent_hash, queue,
 * sticky_queue). The dispatcher is a process; it starts its workers, gives each one job at a time and hears of its
 * end; what waits is in the backlog (backlog.ts).
 *
 * State: workers, backlog, counters. Messages: job, resize, statistics, explain.
 *
 * Always true: a job is answered exactly once: by its worker, or with `discarded` (overflow, expired, shutdown) or
 * `crashed` when its worker died with it in hand; the backlog survives a worker's death; nothing is dropped silently.
 */

import { type ErrorData, NanoError, toErrorData } from "../base/errors.ts";
import { Backlog, type Waiting } from "./backlog.ts";
import type { From } from "./envelope.ts";
import { type Definition, genServer, type Info, noReply, type OptionsOf, type Piped } from "./gen_server.ts";
import { coreLimits } from "./limits.ts";
import { estimateBytes } from "./mailbox.ts";
import { type Pid, samePid } from "./pid.ts";
import { checkRouting, type Routing } from "./routing.ts";
import type { Self, SpawnOptions } from "./self.ts";

export type DiscardReason = "overflow" | "expired" | "shutdown";

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
  /** A job that waited longer is discarded instead of run. Default: for ever. */
  readonly ageMaxMs?: number;
  /** Runs on the thread that started the factory, once for each discarded job. */
  readonly onDiscard?: (job: DiscardedJob, reason: DiscardReason) => void;
}

export interface FactoryOptions<D extends Definition> {
  readonly args: OptionsOf<D>;
  readonly workers: number;
  readonly routing: Routing;
  readonly jobs?: JobLimits;
  /** What the workers need: `key`: the jobs of a key in order. Default: none. */
  readonly affinity?: "key" | "none";
  /** How long a worker may take to end, ms. Default: 5,000. */
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
  lane: string | undefined;
}

interface State {
  readonly self: Self;
  readonly options: DispatcherOptions;
  readonly limits: Required<Omit<JobLimits, "onDiscard">>;
  readonly backlog: Backlog<Job>;
  workers: Worker[];
  /** Indexes of workers that are there and have no job. */
  readonly idle: Set<number>;
  /** Workers beyond the wanted number end after the job in hand. */
  leaving: Worker[];
  done: number;
  crashed: number;
  readonly discarded: Record<DiscardReason, number>;
}

export const factory_dispatcher = genServer(import.meta.url, "factory_dispatcher", {
  init: async (options: DispatcherOptions, self): Promise<State> => {
    checkWorkers(options.workers);
    checkRouting(options.routing, options.affinity ?? "none", options.definition.name);
    self.trapExit();
    const {
      max = 10_000,
      bytesMax = 64 * 1024 * 1024,
      ageMaxMs = Number.POSITIVE_INFINITY,
    } = options.jobs ?? {};
    const state: State = {
      self,
      options,
      limits: { max, bytesMax, ageMaxMs },
      backlog: new Backlog(options.routing, options.workers),
      workers: [],
      idle: new Set(),
      leaving: [],
      done: 0,
      crashed: 0,
      discarded: { overflow: 0, expired: 0, shutdown: 0 },
    };
    await addWorkers(state, options.workers);
    return state;
  },

  call: {
    job: (state, request: JobRequest, from: From<unknown>) => {
      const job: Job = {
        ...request,
        from,
        bytes: estimateBytes(request.message),
        atMs: state.self.clock.now(),
      };
      if (
        state.backlog.length >= state.limits.max ||
        state.backlog.bytes + job.bytes > state.limits.bytesMax
      ) {
        discard(state, job, "overflow");
        return noReply;
      }
      state.backlog.push(job);
      dispatch(state);
      return noReply;
    },

    /** From now on this many workers. Errors: `bad_argument`. */
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

    statistics: (state): FactoryStatistics => ({
      workers: state.workers.length,
      waiting: state.backlog.length,
      running: [...state.workers, ...state.leaving].filter(({ lane }) => lane !== undefined).length,
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
    ran: (state, { context: { job, worker }, ...result }: Piped<{ job: Job; worker: Worker }, unknown>) => {
      if (result.ok) {
        state.done++;
        state.self.reply(job.from, result.value);
      } else {
        if (result.error.code === "crashed") state.crashed++;
        else state.done++;
        state.self.replyError(job.from, result.error);
      }
      const { lane } = worker;
      worker.lane = undefined;
      if (lane !== undefined) state.backlog.finished(lane);
      if (state.leaving.includes(worker)) release(state, worker);
      else if (worker.pid !== undefined) state.idle.add(worker.index);
      dispatch(state);
    },

    restarted: (state, { context: worker, ...result }: Piped<Worker, Pid>) => {
      if (result.ok) arrived(state, worker, result.value);
      else state.self.castAfter(coreLimits.restartRetryMs, "restart", worker.index);
      dispatch(state);
    },

    restart: (state, index: number) => {
      const worker = state.workers[index];
      if (worker !== undefined && worker.pid === undefined) restart(state, worker);
    },
  },

  info: (state, info: Info) => {
    if (info.type !== "exit") return;
    state.leaving = state.leaving.filter(({ pid }) => pid === undefined || !samePid(pid, info.pid));
    const worker = state.workers.find(({ pid }) => pid !== undefined && samePid(pid, info.pid));
    if (worker === undefined) return;
    state.self.log.warn({ reason: info.reason }, "a worker ended; starting another");
    worker.pid = undefined;
    state.idle.delete(worker.index);
    restart(state, worker);
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

function checkWorkers(workers: number): void {
  if (Number.isSafeInteger(workers) && workers >= 1) return;
  throw new NanoError("bad_argument", `workers must be a whole number of 1 or more, not ${workers}`, {
    field: "workers",
  });
}

async function addWorkers(state: State, wanted: number): Promise<void> {
  while (state.workers.length < wanted) {
    const worker: Worker = { index: state.workers.length, pid: undefined, lane: undefined };
    const pid = await startWorker(state);
    state.workers.push(worker);
    arrived(state, worker, pid);
  }
}

/** A worker that was resized away while it started is stopped. */
function arrived(state: State, worker: Worker, pid: Pid): void {
  worker.pid = pid;
  if (state.workers[worker.index] !== worker) release(state, worker);
  else if (worker.lane === undefined) state.idle.add(worker.index);
}

function startWorker({ self, options }: State): Promise<Pid> {
  const placed = options.thread === undefined ? {} : { thread: options.thread };
  return self.spawn(options.definition, options.args, { link: true, ...placed });
}

function restart(state: State, worker: Worker): void {
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
    const worker = index === undefined ? undefined : state.workers[index];
    if (worker === undefined) return;
    give(state, worker);
  }
}

/** Jobs that expired while they waited are discarded on the way. */
function give(state: State, worker: Worker): void {
  while (worker.lane === undefined && worker.pid !== undefined) {
    const next = state.backlog.take(worker.index);
    if (next === undefined) return;
    const { job, lane } = next;
    if (expired(state, job)) {
      state.backlog.finished(lane);
      discard(state, job, "expired");
      continue;
    }
    worker.lane = lane;
    state.idle.delete(worker.index);
    const { kind, method, message } = job;
    const ran = state.self.ask(worker.pid, { kind, method, message, deadlineMs: job.from.deadlineMs });
    state.self.pipe(ran, "ran", { job, worker });
  }
}

function expired(state: State, job: Job): boolean {
  const now = state.self.clock.now();
  if (job.from.deadlineMs > 0 && now > job.from.deadlineMs) return true;
  return now - job.atMs > state.limits.ageMaxMs;
}

function discard(state: State, job: Job, reason: DiscardReason): void {
  state.discarded[reason]++;
  const error: ErrorData = { code: "discarded", message: `${job.method}: ${reason}`, details: { reason } };
  state.self.replyError(job.from, error);
  try {
    state.options.jobs?.onDiscard?.({ key: job.key, method: job.method, message: job.message }, reason);
  } catch (error_) {
    state.self.log.error({ error: toErrorData(error_) }, "onDiscard threw");
  }
}

/**
 * gen_factory: a dispatcher and a group of workers, which share jobs by a routing (consistent_hash, queue,
 * sticky_queue). The dispatcher is a process; it starts its workers, gives each one job at a time and hears of its
 * end; what waits is in the backlog (backlog.ts).
 *
 * State: workers, backlog, counters. Messages: job, all, resize, statistics, explain.
 *
 * Always true: a job is answered exactly once: by its worker, or with `discarded` (overflow, expired, shutdown) or
 * `crashed` when its worker died with it in hand; the backlog survives a worker's death; nothing is dropped silently.
 * A worker that ends is started again for ever, at once, or after 50 ms if it had no job: a poisonous job can't take
 * the group down, and a worker that can't live does not take the processor.
 */

import { assert } from "../base/assert.ts";
import { type ErrorData, NanoError, toErrorData } from "../base/errors.ts";
import { Backlog } from "./backlog.ts";
import { askAll, type BroadcastRequest, type Heard } from "./broadcast.ts";
import type { ExitReason, From } from "./envelope.ts";
import { discardsHeard } from "./factory_discards.ts";
import { explainKey, explainResize, type KeyExplanation, type ResizeExplanation } from "./factory_explain.ts";
import { answerDrained, deadReason, discard, dispatch, give, nameOf, sweepLater } from "./factory_jobs.ts";
import { checkJobs, checkWorkers } from "./factory_limits.ts";
import { enterLine, resizeLines, sheddingOf, tenantOf } from "./factory_lines.ts";
import type {
  DispatcherOptions,
  FactoryStatistics,
  Job,
  JobRequest,
  Ran,
  State,
  Untaken,
  UpgradeRequest,
  Worker,
} from "./factory_state.ts";
import { changed, changeHeld, changeNext, startUpgrade, workerEnded } from "./factory_upgrade.ts";
import { addWorkers, arrived, free, type Restart, release, restart, running } from "./factory_workers.ts";
import { genServer, type Info, noReply, type Piped } from "./gen_server.ts";
import { KeyOrder } from "./key_order.ts";
import { coreLimits } from "./limits.ts";
import { estimateBytes } from "./mailbox.ts";
import { formatPid, type Pid, samePid } from "./pid.ts";
import type { Postponed } from "./postponed.ts";
import { PostponedLanes } from "./postponed_lanes.ts";
import { checkRouting } from "./routing.ts";
import { ServiceTime } from "./service_time.ts";

export type { KeyExplanation, MovingKey, ResizeExplanation } from "./factory_explain.ts";
export type { DiscardedJob, DiscardReason, JobLimits } from "./factory_limits.ts";
export type { DispatcherOptions, FactoryOptions, FactoryStatistics, JobRequest } from "./factory_state.ts";

export const factory_dispatcher = genServer(import.meta.url, "factory_dispatcher", {
  init: async (options: DispatcherOptions, self): Promise<State> => {
    checkWorkers(options.workers);
    checkRouting(options.routing, options.affinity ?? "none", options.definition.name);
    const limits = checkJobs(options.jobs ?? {});
    const shedding = sheddingOf(options, limits);
    self.trapExit();
    const state: State = {
      self,
      options,
      limits,
      version: options.version ?? { definition: options.definition },
      upgrade: undefined,
      backlog: new Backlog(options.routing, options.workers),
      order: options.routing.type === "queue" ? undefined : new KeyOrder(),
      workers: [],
      idle: new Set(),
      leaving: [],
      canceled: new Set(),
      starting: 0,
      endedEarly: new Set(),
      postponed: new PostponedLanes(),
      draining: options.draining === true ? [] : undefined,
      sweeping: false,
      service: new ServiceTime(),
      timed: limits.ageMaxMs !== Number.POSITIVE_INFINITY || shedding !== undefined,
      shedding,
      done: 0,
      crashed: 0,
      gaveUp: 0,
      discarded: { overflow: 0, expired: 0, shutdown: 0, canceled: 0, shed: 0 },
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
        canceled: false,
        trace: state.self.trace,
        bytes: estimateBytes(message),
        atMs: state.timed ? state.self.clock.monotonicMs() : 0,
        tenant: state.shedding === undefined ? "" : tenantOf(state, request),
        lane: "",
        sequence: 0,
        before: undefined,
        after: undefined,
        ofKey: undefined,
      };
      if (state.draining !== undefined) {
        discard(state, job, "shutdown");
        return noReply;
      }
      const isFull =
        state.backlog.length >= state.limits.max || state.backlog.bytes + job.bytes > state.limits.bytesMax;
      if (isFull && !state.backlog.runsAtOnce(key, state.idle)) {
        discard(state, job, "overflow");
        return noReply;
      }
      state.order?.came(job);
      if (state.shedding === undefined) state.backlog.push(job);
      else enterLine(state, state.shedding, job);
      dispatch(state);
      sweepLater(state);
      return noReply;
    },

    /** From now on this many workers. Errors: `bad_argument`; a new worker's own: then nothing changes. */
    resize: async (state, workers: number): Promise<void> => {
      checkWorkers(workers);
      if (state.upgrade !== undefined)
        throw new NanoError("running", "the factory is being upgraded: resize it when that has ended");
      await addWorkers(state, workers);
      for (const worker of state.workers.splice(workers)) {
        state.idle.delete(worker.index);
        state.leaving.push(worker);
        if (worker.lane === undefined) release(state, worker);
      }
      state.backlog.resize(workers);
      if (state.shedding !== undefined) resizeLines(state, state.shedding);
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
      canceled: state.gaveUp,
      orderViolations: state.order?.violations ?? 0,
      discarded: { ...state.discarded },
    }),

    /** Every worker is asked, beside its jobs. */
    all: ({ self, workers }, request: BroadcastRequest, from: From<readonly Heard[]>) => {
      askAll(self, workers, request).then(
        (heard) => self.reply(from, heard),
        (error: unknown) => self.replyError(from, toErrorData(error)),
      );
      return noReply;
    },

    explain: (state, key: string): KeyExplanation => explainKey(state, key),

    /** See `System.upgradeFactory`. Answered when every worker has changed. */
    upgrade: (state, request: UpgradeRequest, from: From<void>) => {
      startUpgrade(state, request, from);
      return noReply;
    },

    /** The threads that its workers are on. */
    threads: ({ workers }): number[] => [
      ...new Set(workers.flatMap(({ pid }) => (pid === undefined ? [] : [pid.thread]))),
    ],

    /** What `resize` would move. Errors: `bad_argument`. */
    explainResize: (state, workers: number): ResizeExplanation => explainResize(state, workers),
  },

  cast: {
    ran: (state, { job, worker, crashed }: Ran) => {
      if (job.canceled) state.gaveUp++;
      else if (crashed) state.crashed++;
      else state.done++;
      state.order?.left(job);
      state.service.ended(job, state.self.clock);
      const lane = handedBack(worker, job);
      state.backlog.finished(lane, state.timed ? state.self.clock.monotonicMs() : undefined);
      for (const other of state.postponed.done(lane)) state.backlog.goOn(other);
      if (state.leaving.includes(worker)) release(state, worker);
      free(state, worker);
      // Before all others: a key stays where it was as long as nobody has waited longer.
      if (state.workers[worker.index] === worker && state.idle.has(worker.index)) give(state, worker);
      dispatch(state);
      answerDrained(state);
    },

    /**
     * Nothing was done. The worker had ended before, and its end brings a new one; or it came too late, or postpones.
     */
    untaken: (state, { job, worker, pid, postponed, lives }: Untaken) => {
      const lane = handedBack(worker, job);
      state.service.untaken(job);
      state.backlog.putBack(lane, job, postponed === undefined ? "now" : "later");
      if (state.leaving.includes(worker)) release(state, worker);
      // Its successor may have started before this was heard.
      if (lives || worker.pid !== pid) free(state, worker);
      if (postponed !== undefined && state.postponed.postpone(lane, postponed.group))
        state.self.castAfter(postponed.afterMs, "probe", postponed);
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

    restarted: (state, { context: { worker, version }, ...result }: Piped<Restart, Pid>) => {
      state.starting--;
      if (result.ok && !state.endedEarly.delete(formatPid(result.value))) {
        worker.version = version;
        arrived(state, worker, result.value);
      } else state.self.castAfter(coreLimits.restartRetryMs, "restart", worker);
      if (state.starting === 0) state.endedEarly.clear();
      dispatch(state);
    },

    /** Unless it was resized away meanwhile. */
    restart: (state, worker: Worker) => {
      if (state.workers[worker.index] === worker) restart(state, worker);
    },

    changed: (state, result: Piped<Worker, Pid>) => changed(state, result),
    changeHeld: (state) => changeHeld(state),
    changeNext: (state) => changeNext(state),

    /** Nobody takes a job that waits: those that nobody waits for any more must not stay. */
    sweep: (state) => {
      state.sweeping = false;
      for (const { job, reason } of state.backlog.sweep((each) => deadReason(state, each)))
        discard(state, job, reason);
      sweepLater(state);
      answerDrained(state);
    },

    /** Unless the job ended while this was on its way. */
    overrun: (state, { worker, job }: Omit<Ran, "crashed">) => {
      if (worker.pid === undefined || worker.job !== job) return;
      // Without the key, which may be somebody's number.
      state.self.log.warn(
        { worker: worker.pid, method: job.method },
        "a job takes too long; its worker is killed",
      );
      state.self.exit(worker.pid, "killed");
    },
  },

  /** A worker that runs the job is told; if it is still at it after the grace, it is killed. */
  canceled: (state, from: From, graceMs) => {
    const name = nameOf(from);
    const workers = [...state.workers, ...state.leaving];
    const worker = workers.find(({ job }) => job !== undefined && nameOf(job.from) === name);
    if (worker?.job === undefined || worker.asked === undefined) {
      state.canceled.add(name);
      return;
    }
    worker.job.canceled = true;
    state.self.giveUp(worker.asked);
    if (graceMs !== Number.POSITIVE_INFINITY)
      state.self.castAfter(graceMs, "overrun", { worker, job: worker.job });
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
    if (workerEnded(state, ended, errorOf(info.reason))) return;
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
    await discardsHeard(state);
  },
});

/** The worker has its job in hand no more. Returns the job's lane. */
function handedBack(worker: Worker, job: Job): string {
  const { lane } = worker;
  assert(lane !== undefined && worker.job === job, "what comes back from a worker is what it was given");
  worker.lane = undefined;
  worker.job = undefined;
  return lane;
}

function errorOf(reason: ExitReason): ErrorData {
  if (typeof reason === "object" && "crash" in reason) return reason.crash;
  return { code: "crashed", message: `a worker ended: ${JSON.stringify(reason)}` };
}

const workerStopMs = 5_000;

/**
 * The worker threads of a system, seen from the main thread: starts them, joins all of them (the main
 * thread is 0) in a full mesh, watches them, replaces one that dies, stops them.
 *
 * piscina makes the threads and notices their end; each runs one host task for life (thread_host.ts). State: the
 * present life of each thread, how many short lives it had in a row, and whether the system is stopping.
 * Always true: a thread has at most one life at a time; a new one starts only when the pool has seen the
 * last one end, and how it ended stands on the board before anybody is told. A thread is terminated from outside
 * only if it hangs, the policy says so and its set-up may be cut off: one with a store open would take the
 * process with it.
 */

import { once } from "node:events";
import { MessageChannel, type ResourceLimits, threadId } from "node:worker_threads";
import { Piscina } from "piscina";
import { assert } from "../base/assert.ts";
import { type ErrorData, fromErrorData, NanoError } from "../base/errors.ts";
import { channelLimits, threadLimits, watchLimits } from "../base/limits.ts";
import { seedFor } from "../base/xoshiro128.ts";
import type { Envelope } from "../core/envelope.ts";
import { envelopeCodec } from "../core/envelope_codec.ts";
import type { Pid } from "../core/pid.ts";
import { inWords, type ThreadState, type ThreadStatus } from "../core/thread_status.ts";
import type { Logger } from "../seams/log.ts";
import type { Random } from "../seams/random.ts";
import type { ChannelLimits } from "./channel.ts";
import { createLog, defaultLevel, type LogLevel } from "./log.ts";
import { nodeRandom } from "./random.ts";
import { replacementDelayMs } from "./replacement.ts";
import { BoardReader, boardMemory, ThreadBoard } from "./status_board.ts";
import { ThreadLife } from "./thread_life.ts";
import { stackOf } from "./thread_stack.ts";
import type { ModuleExport, ThreadSetup } from "./thread_task.ts";
import { type Peer, ThreadTransport } from "./thread_transport.ts";
import type { Stuck } from "./watch.ts";
import { type StuckPolicy, type StuckReport, turnNamer, Watchdog, type WatchdogOptions } from "./watchdog.ts";

export type ThreadLimits = { readonly [Name in keyof typeof threadLimits]: number };

export interface ThreadsOptions {
  /** Worker threads, from 1 to 64; they are numbered from 1. */
  readonly count: number;
  /** What each thread runs; see `HostContext`. */
  readonly entry: ModuleExport;
  /** Handed to each entry by structured clone. */
  readonly entryOptions?: unknown;
  readonly setup?: ThreadSetup;
  /** For each thread. One that reaches its heap limit dies, and is replaced. */
  readonly resourceLimits?: ResourceLimits;
  /** Makes the threads' `random` repeatable. */
  readonly seed?: number;
  readonly logLevel?: LogLevel;
  /** Takes the log lines of all threads instead of standard error. */
  readonly onLog?: (line: string) => void;
  /**
   * A thread died, and why; it is being replaced. The transport's `onThread` tells the same without the
   * reason.
   */
  readonly onDied?: (peer: Peer, reason: ErrorData) => void;
  /** A thread is not replaced any more: it died too often, or hangs in its start. The system should stop. */
  readonly onGivenUp?: (thread: number, reason: ErrorData) => void;
  /** The system's name, in pids. Default: nano. */
  readonly node?: string;
  /** The registered name of a process, or "": for what is said of a thread that hangs. */
  readonly nameOf?: (pid: Pid) => string;
  /** A thread that has not moved for so long hangs, ms; 0: nobody looks. Default: 5,000. */
  readonly stuckMs?: number;
  /** `kill` ends a worker that hangs and replaces it. Default: report. */
  readonly onStuck?: StuckPolicy;
  /** A thread hangs. The main thread hears of its own hanging afterwards. */
  readonly onThreadStuck?: (report: StuckReport) => void;
  readonly limits?: Partial<ThreadLimits>;
  readonly channelLimits?: Partial<ChannelLimits>;
}

export interface StopReport {
  /**
   * Threads that did not stop in time. They still run, and may have stores open: let the process end
   * itself.
   */
  readonly stuck: readonly number[];
}

export interface Threads {
  /** The main thread's end of the mesh; it works while the threads start and until they have stopped. */
  readonly transport: ThreadTransport<Envelope>;
  /** Where the main thread's host shows what it does. */
  readonly board: ThreadBoard;
  /** Resolves when every thread is ready. Rejects with the first error of a start; `stop` ends the others. */
  readonly ready: Promise<void>;
  /** What each thread does now, the main one included. */
  status(): readonly ThreadStatus[];
  /**
   * One worker thread more. Resolves to its number when it is ready. Rejects: `bad_argument` if there are as many as
   * may be; with what went wrong in its start: then it is not there.
   */
  add(): Promise<number>;
  /**
   * Ends a worker thread for good; what still runs there is ended with it. Rejects: `not_found`; `timeout`: it does not
   * stop, and stays down until it does.
   */
  retire(thread: number): Promise<void>;
  /** Ends every host, then every thread. Never rejects. A second call gives the first one's report. */
  stop(): Promise<StopReport>;
}

/** Starts worker threads. Throws if an option is out of its range; what goes wrong later is in `ready`. */
export function startThreads(options: ThreadsOptions): Threads {
  return new WorkerThreads(options);
}

/** Compiled beside this file. */
const hostModule = new URL("./thread_host.js", import.meta.url).href;
const mainPeer: Peer = { thread: 0, incarnation: 1 };

class WorkerThreads implements Threads {
  readonly transport: ThreadTransport<Envelope>;
  readonly board: ThreadBoard;
  readonly ready: Promise<void>;
  readonly #options: ThreadsOptions;
  readonly #limits: ThreadLimits;
  readonly #channelLimits: ChannelLimits;
  readonly #log: Logger;
  readonly #pool: Piscina;
  readonly #memory: SharedArrayBuffer;
  readonly #reader: BoardReader;
  readonly #nameTurn: WatchdogOptions["nameTurn"];
  readonly #stuckMs: number;
  readonly #watchdog: Watchdog | undefined;
  readonly #random: Random;
  readonly #lives = new Map<number, ThreadLife>();
  readonly #incarnations = new Map<number, number>();
  readonly #shortLives = new Map<number, number>();
  readonly #states = new Map<number, ThreadState>([[0, "running"]]);
  /** How each thread's last life ended. */
  readonly #ends = new Map<number, string>();
  readonly #timers = new Map<number, NodeJS.Timeout>();
  /** Threads that have not been ready yet. */
  readonly #starting = new Set<number>();
  /** Those of them that somebody added and waits for. */
  readonly #added = new Map<
    number,
    { resolve: (thread: number) => void; reject: (error: NanoError) => void }
  >();
  /** Threads that end for good. */
  readonly #retiring = new Set<number>();
  #settleReady: { resolve: () => void; reject: (error: NanoError) => void } | undefined;
  #stopping: Promise<StopReport> | undefined;

  constructor(options: ThreadsOptions) {
    const { count, resourceLimits, onLog, node = "nano", stuckMs = watchLimits.stuckMs, seed } = options;
    this.#limits = { ...threadLimits, ...options.limits };
    const { countMax } = this.#limits;
    assert(Number.isSafeInteger(count) && count >= 1 && count <= countMax, `count is from 1 to ${countMax}`);
    assert(stuckMs >= 0, "stuckMs is 0 or more");
    this.#stuckMs = stuckMs;
    this.#random = nodeRandom(seed === undefined ? undefined : seedFor(seed, "threads"));
    this.#nameTurn = turnNamer(node, (pid) => options.nameOf?.(pid) ?? "");
    // For all that may be added: memory that nobody touches costs nothing.
    this.#memory = boardMemory(countMax);
    this.#reader = new BoardReader(this.#memory);
    this.board = new ThreadBoard(this.#memory, { ...mainPeer, threadId });
    this.#options = options;
    this.#channelLimits = { ...channelLimits, ...options.channelLimits };
    const level = options.logLevel ?? defaultLevel();
    this.#log = createLog({ level, fields: { thread: 0 }, ...(onLog === undefined ? {} : { write: onLog }) });
    this.transport = new ThreadTransport<Envelope>({
      ...mainPeer,
      codec: envelopeCodec,
      log: this.#log,
      limits: this.#channelLimits,
      endOf: (...life) => this.#reader.endOf(...life),
    });
    this.#watchdog = stuckMs === 0 ? undefined : this.#watch();
    this.#pool = new Piscina({
      // None is made before it has a task, and none is thrown away for idling: threads end themselves.
      minThreads: 0,
      maxThreads: countMax,
      idleTimeout: Number.POSITIVE_INFINITY,
      concurrentTasksPerWorker: 1,
      // With "sync", a thread between two tasks sleeps so deeply that it can't even exit.
      atomics: "disabled",
      recordTiming: false,
      ...(resourceLimits === undefined ? {} : { resourceLimits }),
    });
    this.#pool.on("error", (error: unknown) => this.#log.error({ error }, "a thread failed before its task"));
    this.ready = new Promise((resolve, reject) => {
      this.#settleReady = { resolve, reject };
    });
    // Whoever waits for `ready` hears of it; nobody has to.
    this.ready.catch(() => undefined);
    for (let thread = 1; thread <= count; thread++) {
      this.#starting.add(thread);
      this.#start(thread);
    }
  }

  status(): readonly ThreadStatus[] {
    const nowMs = Date.now();
    return [...this.#states.keys()].map((thread) => this.#statusOf(thread, nowMs));
  }

  #statusOf(thread: number, nowMs: number): ThreadStatus {
    const watch = this.#watchdog?.watch;
    const life = this.#lives.get(thread)?.peer ?? mainPeer;
    const incarnation = this.#incarnations.get(thread) ?? life.incarnation;
    const state = this.#states.get(thread) ?? "stopped";
    const lastEnd = this.#ends.get(thread);
    const base = { thread, incarnation, ...(lastEnd === undefined ? {} : { lastEnd }) };
    const shown = this.#reader.read(thread);
    const isUp = state === "running" && shown.incarnation === incarnation;
    if (!isUp) return inWords({ ...base, state, pending: [], turns: 0 }, nowMs);
    const { now, pending, turn: turns, runMs } = shown;
    const sinceMs = Math.max(runMs, watch?.notBefore(thread, shown) ?? 0);
    return inWords(
      {
        ...base,
        state: watch?.isStuck(thread) === true ? "stuck" : state,
        ...(now === undefined ? {} : { turn: this.#nameTurn(now, base), sinceMs }),
        pending: pending.map((each) => this.#nameTurn(each, base)),
        turns,
      },
      nowMs,
    );
  }

  stop(): Promise<StopReport> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  add(): Promise<number> {
    const { countMax } = this.#limits;
    const thread = Array.from({ length: countMax }, (_, i) => i + 1).find((each) => !this.#states.has(each));
    if (thread === undefined || this.#stopping !== undefined) {
      const why =
        thread === undefined ? `there are ${countMax} worker threads, no more may be` : "the system stops";
      return Promise.reject(new NanoError("bad_argument", why, { field: "threads" }));
    }
    return new Promise((resolve, reject) => {
      this.#added.set(thread, { resolve, reject });
      this.#starting.add(thread);
      this.#start(thread);
    });
  }

  async retire(thread: number): Promise<void> {
    const life = this.#lives.get(thread);
    if (life === undefined || this.#retiring.has(thread) || this.#starting.has(thread))
      throw new NanoError("not_found", `no worker thread ${thread} is up`, { field: "thread" });
    this.#retiring.add(thread);
    this.#states.set(thread, "stopped");
    const { stopTimeoutMs, leaveTimeoutMs } = this.#limits;
    life.stop();
    await until(performance.now() + stopTimeoutMs, life.stopped);
    if (life.hasStopped && !life.hasEnded) life.leave({ forGood: true });
    await until(performance.now() + leaveTimeoutMs, life.ended);
    if (!life.hasEnded) throw new NanoError("timeout", `thread ${thread} does not stop`, { thread });
  }

  // --- the watch -------------------------------------------------------------------------------------------

  #watch(): Watchdog {
    return new Watchdog({
      board: this.#reader,
      stuckMs: this.#stuckMs,
      threads: () => [...this.#states].filter(([, state]) => state === "running").flatMap(workerOf),
      nameTurn: this.#nameTurn,
      log: this.#log,
      policy: this.#options.onStuck ?? "report",
      stackOf: ({ shown }) => stackOf(shown.threadId),
      kill: (stuck) => this.#kill(stuck),
      onStuck: (report) => this.#options.onThreadStuck?.(report),
      onLook: () => this.board.beat(),
    });
  }

  #kill({ thread, incarnation, shown }: Stuck): void {
    this.#reader.setEnd(thread, incarnation, "killed_stuck");
    // Its end is noticed as any other.
    for (const worker of this.#pool.threads) if (worker.threadId === shown.threadId) void worker.terminate();
  }

  // --- lives -----------------------------------------------------------------------------------------------

  #start(thread: number): void {
    const incarnation = (this.#incarnations.get(thread) ?? 0) + 1;
    this.#incarnations.set(thread, incarnation);
    const { entry, entryOptions, setup, seed, logLevel, onLog } = this.#options;
    const toMain = new MessageChannel();
    const task = {
      thread,
      incarnation,
      main: mainPeer,
      mainPort: toMain.port2,
      entry,
      entryOptions,
      setup,
      seed,
      log: { level: logLevel ?? defaultLevel(), forward: onLog !== undefined },
      channelLimits: this.#channelLimits,
      node: this.#options.node ?? "nano",
      board: this.#memory,
      stuckMs: this.#stuckMs,
    };
    this.#states.set(thread, incarnation === 1 ? "starting" : "restarting");
    const life = new ThreadLife(this.#pool, hostModule, task, {
      onReady: () => this.#isReady(life),
      onEnded: (_, reason) => this.#ended(life, reason),
      onMainStuck: (report) => this.#options.onThreadStuck?.(report),
      onLog: (line) => onLog?.(line),
    });
    for (const other of this.#lives.values()) {
      const between = new MessageChannel();
      other.connect(life.peer, between.port1);
      life.connect(other.peer, between.port2);
    }
    this.#lives.set(thread, life);
    this.transport.connect(life.peer, toMain.port1);
    this.#setTimer(thread, this.#limits.startTimeoutMs, () => this.#startsTooLong(life));
  }

  #isReady(life: ThreadLife): void {
    const { thread, incarnation } = life.peer;
    this.#clearTimer(thread);
    this.#states.set(thread, "running");
    this.#log.debug({ worker: thread, incarnation }, "thread is ready");
    this.#starting.delete(thread);
    this.#added.get(thread)?.resolve(thread);
    this.#added.delete(thread);
    if (this.#starting.size === 0) this.#settleReady?.resolve();
  }

  /** It can't be terminated, and its number can't be used again while it runs. */
  #startsTooLong({ peer: { thread } }: ThreadLife): void {
    const message = `thread ${thread} is not ready after ${this.#limits.startTimeoutMs} ms`;
    this.#giveUp(thread, { code: "timeout", message, details: { thread } });
  }

  #ended(life: ThreadLife, reason: ErrorData | undefined): void {
    const { thread, incarnation } = life.peer;
    this.#clearTimer(thread);
    this.#lives.delete(thread);
    this.#states.set(thread, "stopped");
    // Before anybody is told.
    if (life.poolWord !== "") this.#reader.setEnd(thread, incarnation, life.poolWord);
    this.transport.disconnect(thread);
    this.#watchdog?.watch.forget(thread);
    if (this.#stopping !== undefined) return;
    if (this.#retiring.delete(thread)) {
      this.#forget(thread);
      return;
    }
    const cause = reason ?? { code: "crashed", message: "the host ended by itself" };
    const how = this.#reader.endOf(thread, incarnation) ?? "unknown";
    this.#ends.set(thread, how);
    this.#log.error({ worker: thread, incarnation, how, reason: cause }, "thread died");
    this.#options.onDied?.(life.peer, cause);
    if (this.#starting.has(thread)) this.#giveUp(thread, cause);
    else this.#replace(thread, performance.now() - life.startedMs, cause);
  }

  #replace(thread: number, livedMs: number, cause: ErrorData): void {
    const { healthyMs, replacementsMax } = this.#limits;
    const shortLives = livedMs >= healthyMs ? 0 : (this.#shortLives.get(thread) ?? 0) + 1;
    this.#shortLives.set(thread, shortLives);
    if (shortLives > replacementsMax) {
      this.#giveUp(thread, cause);
      return;
    }
    this.#states.set(thread, "restarting");
    const delayMs = replacementDelayMs(shortLives, this.#limits, this.#random.next("threads.replace"));
    this.#setTimer(thread, delayMs, () => this.#start(thread));
  }

  /** Its number may be another one's; lives are numbered on. */
  #forget(thread: number): void {
    this.#states.delete(thread);
    this.#ends.delete(thread);
    this.#shortLives.delete(thread);
  }

  /** Nobody counts on a thread that was added and never got ready but who added it. */
  #giveUp(thread: number, reason: ErrorData): void {
    const asked = this.#added.get(thread);
    if (asked !== undefined) {
      this.#added.delete(thread);
      this.#starting.delete(thread);
      if (this.#lives.has(thread)) this.#retiring.add(thread);
      else this.#forget(thread);
      asked.reject(fromErrorData(reason));
      return;
    }
    this.#states.set(thread, "given_up");
    const error = { ...reason, message: `thread ${thread} is given up: ${reason.message}` };
    this.#log.error({ worker: thread, reason }, "thread is given up");
    this.#settleReady?.reject(fromErrorData(error));
    this.#options.onGivenUp?.(thread, error);
  }

  #setTimer(thread: number, delayMs: number, callback: () => void): void {
    this.#clearTimer(thread);
    this.#timers.set(thread, setTimeout(callback, delayMs));
  }

  #clearTimer(thread: number): void {
    clearTimeout(this.#timers.get(thread));
    this.#timers.delete(thread);
  }

  // --- the end ---------------------------------------------------------------------------------------------

  async #stop(): Promise<StopReport> {
    const { stopTimeoutMs, leaveTimeoutMs } = this.#limits;
    for (const thread of this.#timers.keys()) this.#clearTimer(thread);
    const early = new NanoError("shutdown", "the threads were stopped before they were ready");
    this.#settleReady?.reject(early);
    for (const { reject } of this.#added.values()) reject(early);
    const lives = [...this.#lives.values()];
    this.#watchdog?.stop();
    for (const life of lives) life.stop();
    await until(performance.now() + stopTimeoutMs, Promise.all(lives.map((life) => life.stopped)));
    // Only now, so that no host sees a neighbour vanish while it still stops.
    const stopped = lives.filter((life) => life.hasStopped);
    for (const life of stopped) if (!life.hasEnded) life.leave({ forGood: false });
    this.transport.close();
    // A time of their own: those that stopped must not look stuck because another one used up theirs.
    const deadline = performance.now() + leaveTimeoutMs;
    await until(deadline, Promise.all(stopped.map((life) => life.ended)));
    const stuck = lives.filter((life) => !life.hasEnded).map((life) => life.peer.thread);
    for (const life of lives) life.forget();
    if (stuck.length === 0) await this.#emptied(deadline);
    else this.#log.error({ stuck }, "threads do not stop: the process must end itself");
    return { stuck };
  }

  /** Waits until the last thread has exited; closing the pool is a formality then. */
  async #emptied(deadline: number): Promise<void> {
    while (this.#pool.threads.length > 0 && performance.now() < deadline) {
      await until(deadline, once(this.#pool, "workerDestroy"));
    }
    if (this.#pool.threads.length === 0) await this.#pool.close();
    else
      this.#log.error({ threads: this.#pool.threads.length }, "threads have left the mesh but do not exit");
  }
}

/** Waits for `work`, but not past `deadline` (of `performance.now`). */
async function until(deadline: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, Math.max(0, deadline - performance.now()));
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}

function workerOf([thread]: readonly [thread: number, state: ThreadState]): number[] {
  return thread === 0 ? [] : [thread];
}

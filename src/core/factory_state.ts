/** What a factory's dispatcher is started with, what it keeps, and what its processes say to each other. Types only. */

import type { ErrorData } from "../base/errors.ts";
import type { Backlog, Waiting } from "./backlog.ts";
import type { From } from "./envelope.ts";
import type { CheckedLimits, DiscardReason, JobLimits } from "./factory_limits.ts";
import type { Definition, DefinitionName, OptionsOf } from "./gen_server.ts";
import type { KeyOrder, Ordered } from "./key_order.ts";
import type { Pid } from "./pid.ts";
import type { Postponed } from "./postponed.ts";
import type { PostponedLanes } from "./postponed_lanes.ts";
import type { Routing } from "./routing.ts";
import type { Asked, Self, SpawnOptions, TimerRef } from "./self.ts";
import type { ServiceTime } from "./service_time.ts";
import type { Shedding } from "./shedding.ts";

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
  /** By its name if the dispatcher is started from another thread. */
  readonly definition: DefinitionName;
  /** What an upgrade made of the workers. Default: `definition`, where `thread` says. */
  readonly version?: WorkerVersion;
  /** The `discard_observer` that hears of discarded jobs, if `jobs.onDiscard` lives on another thread. */
  readonly discardsTo?: string;
  /** Takes no jobs from the start on, as after `drain`. */
  readonly draining?: boolean;
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
  /** Given up by their callers while they ran; not among `done` and `crashed`. */
  readonly canceled: number;
  /**
   * Jobs that began before an earlier one of their key had ended: 0, or the factory has a fault. The routing queue
   * promises no order, so nothing is counted there.
   */
  readonly orderViolations: number;
  readonly discarded: Readonly<Record<DiscardReason, number>>;
}

export interface Job extends Waiting, JobRequest, Ordered<Job> {
  readonly key: string;
  readonly from: From<unknown>;
  /** Its sender's traceparent. */
  readonly trace: string;
  /** "" if nobody asks. */
  readonly tenant: string;
  /** Where it waits; "" if nobody asks. */
  lane: string;
  /** Its caller gave up while it ran. */
  canceled: boolean;
}

/** What workers run, and where. */
export interface WorkerVersion {
  readonly definition: DefinitionName;
  /** Worker i lives on thread i modulo their number; undefined: as the factory's options say. */
  readonly threads?: readonly number[] | undefined;
}

export interface UpgradeRequest extends WorkerVersion {
  /** How long each worker of the next version lives before the next one changes, ms. */
  readonly watchMs: number;
}

/** An upgrade under way. */
export interface Upgrade {
  readonly next: WorkerVersion;
  readonly former: WorkerVersion;
  readonly watchMs: number;
  readonly from: From<void>;
  /** Why it goes back. */
  failure: ErrorData | undefined;
  /** Whose turn it is: it gets no job. */
  held: Worker | undefined;
  /** Ends with the watch over the last one that changed. */
  watch: TimerRef | undefined;
  /** What the one that is held is just becoming. */
  changing: WorkerVersion | undefined;
  /** Workers of the next version that can't go back. */
  readonly kept: Set<Worker>;
}

export interface Worker {
  readonly index: number;
  version: WorkerVersion;
  pid: Pid | undefined;
  /** Of the job in hand. */
  lane: string | undefined;
  job: Job | undefined;
  asked: Asked | undefined;
  /** It had a job since its start. */
  used: boolean;
}

export interface Ran {
  readonly job: Job;
  readonly worker: Worker;
  readonly crashed: boolean;
}

export interface Untaken extends Omit<Ran, "crashed"> {
  readonly postponed: Postponed | undefined;
  /** The worker's life that did not take it, and whether it goes on. */
  readonly pid: Pid;
  readonly lives: boolean;
}

export interface State {
  readonly self: Self;
  readonly options: DispatcherOptions;
  readonly limits: CheckedLimits;
  /** What workers start as. */
  version: WorkerVersion;
  upgrade: Upgrade | undefined;
  readonly backlog: Backlog<Job>;
  /** undefined: the routing promises no order. */
  readonly order: KeyOrder<Job> | undefined;
  workers: Worker[];
  /** Indexes of workers that are there and have no job. */
  readonly idle: Set<number>;
  /** Workers beyond the wanted number end after the job in hand. */
  leaving: Worker[];
  /** Jobs whose callers gave up while they waited, until they are met. */
  readonly canceled: Set<string>;
  /** Restarts under way, and who has ended before its restart was heard of. */
  starting: number;
  readonly endedEarly: Set<string>;
  readonly postponed: PostponedLanes;
  readonly service: ServiceTime<Job>;
  /** undefined: jobs may wait as long as they like. */
  readonly shedding: Shedding<Job> | undefined;
  /** Callers of `drain`; undefined while jobs are taken. */
  draining: From<void>[] | undefined;
  sweeping: boolean;
  /** Jobs note when they came. */
  readonly timed: boolean;
  done: number;
  crashed: number;
  gaveUp: number;
  readonly discarded: Record<DiscardReason, number>;
}

/**
 * What the main thread and a host task say to each other: the task that starts the host, and the messages
 * on the control port beside the mesh. Also the contract of the two modules that a host runs: set-up and
 * entry.
 */

import type { MessagePort } from "node:worker_threads";
import type { ErrorData } from "../base/errors.ts";
import type { Clock } from "../seams/clock.ts";
import type { Logger } from "../seams/log.ts";
import type { Random } from "../seams/random.ts";
import type { StatusBoard } from "../seams/status_board.ts";
import type { ChannelLimits } from "./channel.ts";
import type { LogLevel } from "./log.ts";
import type { Peer, ThreadTransport } from "./thread_transport.ts";
import type { StuckReport } from "./watchdog.ts";

/** A function that a thread finds by itself: no closure crosses threads. */
export interface ModuleExport {
  /** The module's URL, as in `import.meta.url`. Built code: Node 20 can't import TypeScript in a worker. */
  readonly module: string;
  readonly export: string;
}

/**
 * What runs in a thread before its host, e.g. opens a store: `setup(options, { thread, incarnation })`
 * returns, or resolves to, the thread's resources by name. `teardown(resources)` runs after the host has
 * stopped.
 */
export interface ThreadSetup extends ModuleExport {
  readonly teardown?: string;
  /** Handed over by structured clone. */
  readonly options?: unknown;
  /**
   * What it opens stands it that its thread is ended from outside, at any step (`onStuck: "kill"`). Never true of an
   * LMDB store: the whole process would abort. Default: false.
   */
  readonly terminable?: boolean;
}

/** What the entry is given: `entry(context)` returns, or resolves to, a `HostHandle`. */
export interface HostContext<Message> {
  readonly transport: ThreadTransport<Message>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly board: StatusBoard;
  readonly thread: number;
  readonly incarnation: number;
  /** What the set-up returned; {} without one. */
  readonly resources: Readonly<Record<string, unknown>>;
  /** `entryOptions` of `startThreads`. */
  readonly options: unknown;
}

export interface HostHandle {
  /** Ends what the host runs. The mesh still works meanwhile. */
  stop(): Promise<void>;
}

/** The one task of a worker thread. Its ports are transferred. */
export interface HostTask {
  readonly thread: number;
  readonly incarnation: number;
  readonly main: Peer;
  /** The mesh port to `main`. */
  readonly mainPort: MessagePort;
  readonly control: MessagePort;
  readonly entry: ModuleExport;
  readonly entryOptions: unknown;
  readonly setup: ThreadSetup | undefined;
  readonly seed: number | undefined;
  readonly log: { readonly level: LogLevel; readonly forward: boolean };
  readonly channelLimits: ChannelLimits;
  /** The name of the system, for pids. */
  readonly node: string;
  readonly board: SharedArrayBuffer;
  /** The main thread is watched, and this one's event loop seen; 0: not. */
  readonly stuckMs: number;
}

/** From the main thread to a host. */
export type ControlMessage =
  | { readonly type: "peer"; readonly peer: Peer; readonly port: MessagePort }
  | { readonly type: "stop" }
  /** `forGood`: the others stay, and the pool must not give this thread another task. */
  | { readonly type: "leave"; readonly forGood: boolean };

/** From a host to the main thread. */
export type HostMessage =
  | { readonly type: "ready" }
  | { readonly type: "stopped" }
  | { readonly type: "failed"; readonly error: ErrorData }
  /** The main thread hung: it hears of it when it turns again. */
  | { readonly type: "stuck"; readonly report: StuckReport }
  | { readonly type: "log"; readonly line: string };

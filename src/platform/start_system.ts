/** Joins core and platform: a system on this process's main thread and, if wanted, worker threads. */

import type { ResourceLimits } from "node:worker_threads";
import { NanoError } from "../base/errors.ts";
import { watchLimits } from "../base/limits.ts";
import type { Envelope } from "../core/envelope.ts";
import { Host } from "../core/host.ts";
import { importDefinition } from "../core/import_definition.ts";
import type { Platform } from "../core/platform.ts";
import { System } from "../core/system.ts";
import type { StatusBoard } from "../seams/status_board.ts";
import type { Transport } from "../seams/transport.ts";
import { type CapsuleFolder, capsuleFolder, capsulesIn } from "./capsule_folder.ts";
import { nodeClock } from "./clock.ts";
import { nodeExecutor } from "./executor.ts";
import { createLog, defaultLevel, type LogLevel } from "./log.ts";
import { nodeRandom } from "./random.ts";
import { singleThread } from "./single_thread.ts";
import type { EntryOptions } from "./thread_entry.ts";
import type { ThreadSetup } from "./thread_task.ts";
import { startThreads } from "./threads.ts";
import type { StuckPolicy, StuckReport } from "./watchdog.ts";

export interface StartOptions {
  /** Worker threads; 0 (the default) runs everything on the main thread. */
  readonly threads?: number;
  /** In every pid and log line. */
  readonly node?: string;
  /** A module that opens resources (stores, connections) in each worker thread before any process starts there. */
  readonly setup?: ThreadSetup;
  /** What processes on the main thread find under `self.resource(name)`. */
  readonly resources?: Readonly<Record<string, unknown>>;
  /** Of each worker thread; one that reaches its heap limit dies and is replaced. */
  readonly resourceLimits?: ResourceLimits;
  readonly logLevel?: LogLevel;
  /**
   * A folder for crash capsules (docs/guides/crash-capsules.md), of which the newest are kept. Default: there are none,
   * and nothing is recorded.
   */
  readonly capsules?: string | CapsuleFolder;
  /**
   * Checks each message between processes of one thread as if it crossed to another, and freezes it: see
   * docs/guides/what-can-cross-a-thread.md. Slow. Default: true if NODE_ENV is `development`.
   */
  readonly development?: boolean;
  /** Makes `self.random` repeatable. */
  readonly seed?: number;
  /**
   * A thread that has been in one turn, or has not come back to its event loop, for so long hangs, ms; 0: nobody looks.
   * Default: 5,000. Without worker threads nobody could look.
   */
  readonly stuckMs?: number;
  /**
   * What is done about a worker thread that hangs. `kill`: it is ended from outside and replaced; its callers get
   * `crashed` with `details.reason` `killed_stuck`. Refused if there is a set-up that is not `terminable`.
   * Default: report.
   */
  readonly onStuck?: StuckPolicy;
  /** A thread hangs; there is a log line, too. The main thread hears of its own hanging when it turns again. */
  readonly onThreadStuck?: (report: StuckReport) => void;
  /** A thread died too often, or hangs in its start: the program should end. */
  readonly onThreadGivenUp?: (thread: number, reason: string) => void;
}

const entry = { module: new URL("./thread_entry.js", import.meta.url).href, export: "runThread" };

/**
 * Starts a system. Errors: `bad_argument` when `threads` is no whole number of 0 or more, `stuckMs` is below 0 or
 * `onStuck` is neither of its two; `unsafe` when `kill` could end a thread with a store open; `timeout`, or what the
 * set-up threw, when a thread does not start.
 */
export async function startSystem(options: StartOptions = {}): Promise<System> {
  const count = options.threads ?? 0;
  if (!Number.isSafeInteger(count) || count < 0) {
    throw new NanoError("bad_argument", `threads must be a whole number of 0 or more, not ${count}`, {
      field: "threads",
    });
  }
  checkWatch(options);
  const folder = capsuleFolder(options.capsules);
  const level = options.logLevel ?? defaultLevel();
  const node = options.node ?? "nano";
  if (count === 0)
    return startOn(mainHost(options, singleThread(), node, level, []), { close: async () => undefined });
  let host: Host | undefined;
  const threads = startThreads({
    count,
    node,
    nameOf: (pid) => host?.registry.nameOf(pid) ?? "",
    entry,
    entryOptions: { node, capsules: folder, development: isDevelopment(options) } satisfies EntryOptions,
    logLevel: level,
    ...(options.setup === undefined ? {} : { setup: options.setup }),
    ...(options.resourceLimits === undefined ? {} : { resourceLimits: options.resourceLimits }),
    ...(options.seed === undefined ? {} : { seed: options.seed }),
    ...(options.stuckMs === undefined ? {} : { stuckMs: options.stuckMs }),
    ...(options.onStuck === undefined ? {} : { onStuck: options.onStuck }),
    ...(options.onThreadStuck === undefined ? {} : { onThreadStuck: options.onThreadStuck }),
    onGivenUp: (thread, { message }) => options.onThreadGivenUp?.(thread, message),
  });
  host = mainHost(options, threads.transport, node, level, threads.transport.peers(), threads.board);
  try {
    await threads.ready;
  } catch (error) {
    await threads.stop();
    throw error;
  }
  const close = async (): Promise<void> => {
    const { stuck } = await threads.stop();
    if (stuck.length > 0)
      throw new NanoError("timeout", `threads ${stuck.join(", ")} do not stop; end the process`);
  };
  return startOn(host, {
    close,
    status: () => threads.status(),
    addThread: () => threads.add(),
    retireThread: (thread) => threads.retire(thread),
  });
}

function checkWatch({ stuckMs = 0, onStuck = "report", setup }: StartOptions): void {
  if (!(stuckMs >= 0) || stuckMs > watchLimits.stuckMsMax) {
    const text = `stuckMs must be 0 to ${watchLimits.stuckMsMax}, not ${String(stuckMs)}`;
    throw new NanoError("bad_argument", text, { field: "stuckMs" });
  }
  if (onStuck !== "report" && onStuck !== "kill") {
    const text = `onStuck must be report or kill, not ${String(onStuck)}`;
    throw new NanoError("bad_argument", text, { field: "onStuck" });
  }
  if (onStuck !== "kill" || setup === undefined || setup.terminable === true) return;
  const text =
    'onStuck: "kill" may end a thread while its set-up\'s resources are in use, and LMDB aborts the process then; ' +
    "report only, or say `terminable: true` of a set-up that opens nothing of the kind";
  throw new NanoError("unsafe", text, { field: "onStuck", cure: 'onStuck: "report"' });
}

function isDevelopment({ development }: StartOptions): boolean {
  return development ?? process.env.NODE_ENV === "development";
}

/** The system ends when the capsules of its last crashes are written. */
function startOn(host: Host, platform: Platform): Promise<System> {
  const close = async (): Promise<void> => {
    await platform.close();
    await host.capsules?.written();
  };
  return System.start(host, { ...platform, close });
}

function mainHost(
  options: StartOptions,
  transport: Transport<Envelope>,
  node: string,
  level: LogLevel,
  peers: readonly { readonly thread: number; readonly incarnation: number }[],
  board?: StatusBoard,
): Host {
  const clock = nodeClock();
  const log = createLog({ level, fields: { thread: 0 } });
  return new Host({
    node,
    ...(board === undefined ? {} : { board }),
    transport,
    clock,
    random: nodeRandom(options.seed),
    executor: nodeExecutor,
    log,
    development: isDevelopment(options),
    ...capsulesIn(capsuleFolder(options.capsules), clock, log),
    resources: options.resources ?? {},
    loadDefinition: importDefinition,
    peers,
  });
}

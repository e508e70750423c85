/** Joins core and platform: a system on this process's main thread and, if wanted, worker threads. */

import type { ResourceLimits } from "node:worker_threads";
import { NanoError } from "../base/errors.ts";
import type { Envelope } from "../core/envelope.ts";
import { Host } from "../core/host.ts";
import { importDefinition } from "../core/import_definition.ts";
import { System } from "../core/system.ts";
import type { Transport } from "../seams/transport.ts";
import { nodeClock } from "./clock.ts";
import { nodeExecutor } from "./executor.ts";
import { createLog, defaultLevel, type LogLevel } from "./log.ts";
import { nodeRandom } from "./random.ts";
import { singleThread } from "./single_thread.ts";
import type { EntryOptions } from "./thread_entry.ts";
import type { ThreadSetup } from "./thread_task.ts";
import { startThreads } from "./threads.ts";

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
  /** Makes `self.random` repeatable. */
  readonly seed?: number;
  /** A thread died too often, or hangs in its start: the program should end. */
  readonly onThreadGivenUp?: (thread: number, reason: string) => void;
}

const entry = { module: new URL("./thread_entry.js", import.meta.url).href, export: "runThread" };

/**
 * Starts a system. Errors: `bad_argument` when `threads` is no whole number of 0 or more; `timeout`, or what the
 * set-up threw, when a thread does not start.
 */
export async function startSystem(options: StartOptions = {}): Promise<System> {
  const count = options.threads ?? 0;
  if (!Number.isSafeInteger(count) || count < 0) {
    throw new NanoError("bad_argument", `threads must be a whole number of 0 or more, not ${count}`, {
      field: "threads",
    });
  }
  const level = options.logLevel ?? defaultLevel();
  const node = options.node ?? "nano";
  if (count === 0)
    return System.start(mainHost(options, singleThread(), node, level, []), async () => undefined);
  const threads = startThreads({
    count,
    entry,
    entryOptions: { node } satisfies EntryOptions,
    logLevel: level,
    ...(options.setup === undefined ? {} : { setup: options.setup }),
    ...(options.resourceLimits === undefined ? {} : { resourceLimits: options.resourceLimits }),
    ...(options.seed === undefined ? {} : { seed: options.seed }),
    onGivenUp: (thread, { message }) => options.onThreadGivenUp?.(thread, message),
  });
  const host = mainHost(options, threads.transport, node, level, threads.transport.peers());
  try {
    await threads.ready;
  } catch (error) {
    await threads.stop();
    throw error;
  }
  return System.start(host, async () => {
    const { stuck } = await threads.stop();
    if (stuck.length > 0)
      throw new NanoError("timeout", `threads ${stuck.join(", ")} do not stop; end the process`);
  });
}

function mainHost(
  options: StartOptions,
  transport: Transport<Envelope>,
  node: string,
  level: LogLevel,
  peers: readonly { readonly thread: number; readonly incarnation: number }[],
): Host {
  return new Host({
    node,
    transport,
    clock: nodeClock(),
    random: nodeRandom(options.seed),
    executor: nodeExecutor,
    log: createLog({ level, fields: { thread: 0 } }),
    resources: options.resources ?? {},
    loadDefinition: importDefinition,
    peers,
  });
}

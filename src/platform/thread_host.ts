/**
 * The host task: all that a worker thread does, from its first turn to its last. piscina runs it once for
 * each thread.
 *
 * In order: join the mesh, run the set-up, run the entry, say `ready`; on `stop` end the entry, run the
 * teardown, say `stopped`; on `leave`, when all others have stopped too, leave the mesh and exit. A thread
 * ends itself, since one with a store open must not be terminated from outside; an uncaught error ends it at
 * once, with its reason told. How it ended stands on the board, for every thread that sees its port close.
 */

import { type MessagePort, receiveMessageOnPort, threadId } from "node:worker_threads";
import { NanoError, toErrorData } from "../base/errors.ts";
import { seedFor } from "../base/xoshiro128.ts";
import type { Envelope } from "../core/envelope.ts";
import { envelopeCodec } from "../core/envelope_codec.ts";
import type { Logger } from "../seams/log.ts";
import { nodeClock } from "./clock.ts";
import { createLog } from "./log.ts";
import { nodeRandom } from "./random.ts";
import { BoardReader, ThreadBoard } from "./status_board.ts";
import type { ControlMessage, HostContext, HostHandle, HostMessage, HostTask } from "./thread_task.ts";
import { ThreadTransport } from "./thread_transport.ts";
import { turnNamer, Watchdog } from "./watchdog.ts";

type Resources = Readonly<Record<string, unknown>>;
type AnyFunction = (...args: readonly unknown[]) => unknown;

/** Runs a thread's host until it is told to leave; then the thread exits. */
export async function runHost(task: HostTask): Promise<void> {
  const { control, thread, incarnation } = task;
  const tell = (message: HostMessage): void => control.postMessage(message);
  const log = createLog({
    level: task.log.level,
    fields: { thread, incarnation },
    ...(task.log.forward ? { write: (line: string) => tell({ type: "log", line }) } : {}),
  });
  const board = new ThreadBoard(task.board, { thread, incarnation, threadId });
  const reader = new BoardReader(task.board);
  process.on("exit", (code) => board.endsWith(`exit code ${code}`));
  const die = (error: unknown): never => {
    board.endsWith(`uncaught: ${toErrorData(error).message}`);
    log.error(
      { error: toErrorData(error), stack: error instanceof Error ? error.stack : undefined },
      "thread ends",
    );
    tell({ type: "failed", error: toErrorData(error) });
    process.exit(1);
  };
  process.on("uncaughtException", die);
  const transport = new ThreadTransport<Envelope>({
    thread,
    incarnation,
    codec: envelopeCodec,
    log,
    limits: task.channelLimits,
    endOf: (...life) => reader.endOf(...life),
  });
  transport.connect(task.main, task.mainPort);
  const orders = new Orders(control, transport);
  const watchdog = task.stuckMs > 0 ? watchMain(task, board, reader, log, tell) : undefined;
  try {
    const resources = await setUp(task);
    const handle = await enter(task, { transport, log, resources, board });
    tell({ type: "ready" });
    await orders.stop;
    await handle.stop();
    await tearDown(task, resources);
  } catch (error) {
    die(error);
  }
  tell({ type: "stopped" });
  const { forGood } = await orders.leave;
  watchdog?.stop();
  transport.close();
  control.close();
  // Within its task, so that the pool gives it no other one.
  if (forGood) process.exit(0);
  // After the task's result has gone out: a thread without a task would wait for ever.
  setImmediate(() => process.exit(0));
}

/** The workers look at the main thread, and one of them tells when it hangs; nobody could kill it. */
function watchMain(
  { node, stuckMs }: HostTask,
  board: ThreadBoard,
  reader: BoardReader,
  log: Logger,
  tell: (message: HostMessage) => void,
): Watchdog {
  return new Watchdog({
    board: reader,
    stuckMs,
    threads: () => [0],
    nameTurn: turnNamer(node, () => ""),
    log,
    policy: "report",
    mayReport: ({ shown }) => reader.claim(0, shown.beat),
    onStuck: (report) => tell({ type: "stuck", report }),
    onLook: () => board.beat(),
  });
}

/** What the main thread says, from before the entry runs. */
class Orders {
  readonly stop: Promise<void>;
  readonly leave: Promise<{ readonly forGood: boolean }>;
  readonly #transport: ThreadTransport<Envelope>;
  #onStop = (): void => undefined;
  #onLeave: (leave: { readonly forGood: boolean }) => void = () => undefined;

  constructor(control: MessagePort, transport: ThreadTransport<Envelope>) {
    this.#transport = transport;
    this.stop = new Promise((resolve) => {
      this.#onStop = resolve;
    });
    this.leave = new Promise((resolve) => {
      this.#onLeave = resolve;
    });
    // The peers that were named while this thread started are there when the entry asks who is up.
    for (let next = receiveMessageOnPort(control); next !== undefined; next = receiveMessageOnPort(control)) {
      this.#obey(next.message as ControlMessage);
    }
    control.on("message", (message: ControlMessage) => this.#obey(message));
    // The main thread has given up waiting for us to stop. Better late than never.
    control.on("close", () => {
      this.#onStop();
      this.#onLeave({ forGood: false });
    });
  }

  #obey(message: ControlMessage): void {
    switch (message.type) {
      case "peer":
        this.#transport.connect(message.peer, message.port);
        return;
      case "stop":
        this.#onStop();
        return;
      case "leave":
        this.#onLeave(message);
    }
  }
}

async function setUp({ setup, thread, incarnation }: HostTask): Promise<Resources> {
  if (setup === undefined) return {};
  const run = await importFunction(setup.module, setup.export);
  const resources = await run(setup.options, { thread, incarnation });
  if (typeof resources === "object" && resources !== null) return resources as Resources;
  if (resources === undefined) return {};
  throw new NanoError("bad_argument", `${setup.export} must return an object of resources, or nothing`);
}

async function tearDown({ setup }: HostTask, resources: Resources): Promise<void> {
  if (setup?.teardown === undefined) return;
  const run = await importFunction(setup.module, setup.teardown);
  await run(resources);
}

async function enter(
  task: HostTask,
  made: Pick<HostContext<Envelope>, "transport" | "log" | "resources" | "board">,
): Promise<HostHandle> {
  const { thread, incarnation, entry, entryOptions, seed } = task;
  const run = await importFunction(entry.module, entry.export);
  const context: HostContext<Envelope> = {
    ...made,
    clock: nodeClock(),
    random: nodeRandom(seed === undefined ? undefined : seedFor(seed, `${thread}.${incarnation}`)),
    thread,
    incarnation,
    options: entryOptions,
  };
  return (await run(context)) as HostHandle;
}

async function importFunction(module: string, name: string): Promise<AnyFunction> {
  const exports = (await import(module)) as Readonly<Record<string, unknown>>;
  const value = exports[name];
  if (typeof value === "function") return value as AnyFunction;
  throw new NanoError("bad_argument", `${module} exports no function ${name}`, { module, export: name });
}

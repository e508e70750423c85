/**
 * One life of a worker thread, seen from the main thread: the pool's task, and the control port to its host.
 *
 * It starts, is `ready` once, may be told to stop and then to leave, and ends once: because it left, or
 * with a reason.
 */

import { MessageChannel, type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import type { Piscina } from "piscina";
import { type ErrorData, toErrorData } from "../base/errors.ts";
import type { ControlMessage, HostMessage, HostTask } from "./thread_task.ts";
import type { Peer } from "./thread_transport.ts";
import type { StuckReport } from "./watchdog.ts";

export interface LifeEvents {
  onReady(life: ThreadLife): void;
  /** The thread left, or died: `reason` says why if it was not told to leave. */
  onEnded(life: ThreadLife, reason: ErrorData | undefined): void;
  /** The main thread hung; told when it turns again. */
  onMainStuck(report: StuckReport): void;
  onLog(line: string): void;
}

export class ThreadLife {
  readonly peer: Peer;
  readonly startedMs = performance.now();
  /** Resolves when the host has stopped or the thread has ended. */
  readonly stopped: Promise<void>;
  /** Resolves when the thread has no task any more. */
  readonly ended: Promise<void>;
  hasStopped = false;
  hasEnded = false;
  /** How it ended if it could not say so itself. */
  poolWord = "";
  readonly #control: MessagePort;
  readonly #events: LifeEvents;
  #reason: ErrorData | undefined;
  #onStopped = (): void => undefined;

  constructor(pool: Piscina, filename: string, task: Omit<HostTask, "control">, events: LifeEvents) {
    this.peer = { thread: task.thread, incarnation: task.incarnation };
    this.#events = events;
    this.stopped = new Promise((resolve) => {
      this.#onStopped = resolve;
    });
    const { port1, port2 } = new MessageChannel();
    this.#control = port1;
    port1.on("message", (message: HostMessage) => this.#hear(message));
    const hostTask: HostTask = { ...task, control: port2 };
    this.ended = pool.run(hostTask, { filename, name: "runHost", transferList: [port2, task.mainPort] }).then(
      () => this.#end(undefined),
      (error: unknown) => {
        this.poolWord = wordOf(error);
        this.#end(toErrorData(error));
      },
    );
  }

  /** Gives the thread its end of a channel to another one. */
  connect(peer: Peer, port: MessagePort): void {
    this.#tell({ type: "peer", peer, port }, [port]);
  }

  stop(): void {
    this.#tell({ type: "stop" });
  }

  /** Only after `stopped`: the thread leaves the mesh and exits; `forGood` while others stay. */
  leave({ forGood }: { readonly forGood: boolean }): void {
    this.#tell({ type: "leave", forGood });
  }

  /** Stops listening, e.g. to a thread that does not stop. */
  forget(): void {
    this.#control.close();
  }

  #tell(message: ControlMessage, transfer: readonly MessagePort[] = []): void {
    this.#control.postMessage(message, transfer);
  }

  #hear(message: HostMessage): void {
    switch (message.type) {
      case "ready":
        this.#events.onReady(this);
        return;
      case "stopped":
        this.hasStopped = true;
        this.#onStopped();
        return;
      case "failed":
        this.#reason = message.error;
        return;
      case "stuck":
        this.#events.onMainStuck(message.report);
        return;
      case "log":
        this.#events.onLog(message.line);
    }
  }

  #end(reason: ErrorData | undefined): void {
    // The host's last words may still lie in the port.
    for (let next = receiveMessageOnPort(this.#control); next !== undefined; ) {
      this.#hear(next.message as HostMessage);
      next = receiveMessageOnPort(this.#control);
    }
    this.#control.close();
    this.hasStopped = true;
    this.hasEnded = true;
    this.#onStopped();
    // "Exited with code 1" says less than the host did.
    this.#events.onEnded(this, reason === undefined ? undefined : (this.#reason ?? reason));
  }
}

/** A thread whose heap is full runs no handler any more. */
function wordOf(error: unknown): string {
  const isFull = error instanceof Error && "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY";
  return isFull ? "out_of_memory" : `ended: ${toErrorData(error).message}`;
}

/**
 * One process: an object with a mailbox, not a thread. It takes one message at a time; while an asynchronous
 * handler is pending it takes no other. It is driven by its host (host.ts), which owns everything that is shared.
 *
 * Always true: after `ended` nothing of its state is touched, whatever promises still settle.
 */

import { AssertionError } from "../base/assert.ts";
import { NanoError, toErrorData } from "../base/errors.ts";
import { RingBuffer } from "../base/ring_buffer.ts";
import type { Envelope, ExitReason, From } from "./envelope.ts";
import { type Definition, type Info, isNoReply, Stop } from "./gen_server.ts";
import type { Host } from "./host.ts";
import { formatPid, type Pid } from "./pid.ts";
import type { MailboxLimits } from "./self.ts";

export type ProcessStatus = "starting" | "ready" | "busy" | "suspended" | "terminating" | "ended";

export interface ProcessStatistics {
  readonly pid: Pid;
  readonly name: string;
  readonly definition: string;
  readonly status: ProcessStatus;
  readonly waiting: number;
  readonly handled: number;
  readonly refused: number;
  readonly expired: number;
}

export function isCrash(reason: ExitReason): boolean {
  if (typeof reason === "string") return reason === "killed" || reason === "noproc";
  return !("shutdown" in reason);
}

export class Process {
  readonly pid: Pid;
  readonly name: string;
  readonly definition: Definition;
  readonly limits: MailboxLimits;
  readonly #host: Host;
  readonly #mailbox = new RingBuffer<Envelope>();
  #mailboxBytes = 0;
  state: unknown = undefined;
  status: ProcessStatus = "starting";
  /** In the host's run queue. */
  queued = false;
  trapsExit = false;
  /** Frees what the process held outside its state. */
  onEnd: (() => void) | undefined;
  /** Linked processes, by their printed pid. */
  readonly links = new Map<string, Pid>();
  /** Who watches this process: reference and watcher. */
  readonly watchers = new Map<string, { readonly ref: number; readonly pid: Pid }>();
  #exitWanted: ExitReason | undefined;
  #suspendWanted = false;
  #inHand: From | undefined;
  handled = 0;
  refused = 0;
  expired = 0;

  constructor(host: Host, pid: Pid, name: string, definition: Definition, limits: MailboxLimits) {
    this.#host = host;
    this.pid = pid;
    this.name = name;
    this.definition = definition;
    this.limits = limits;
  }

  get waiting(): number {
    return this.#mailbox.length;
  }

  /** False if the mailbox is full: nothing was stored. */
  offer(envelope: Envelope): boolean {
    const bytes = this.limits.bytesMax === Number.POSITIVE_INFINITY ? 0 : estimateBytes(envelope.message);
    if (this.#mailbox.length >= this.limits.max || this.#mailboxBytes + bytes > this.limits.bytesMax) {
      this.refused++;
      return false;
    }
    this.#mailboxBytes += bytes;
    this.#mailbox.push(envelope);
    return true;
  }

  /** Takes a call out of the mailbox before it runs. */
  withdraw(from: From): boolean {
    const found = this.#mailbox.remove(
      ({ kind, from: caller }) =>
        kind === "call" && caller?.ref === from.ref && caller.pid.thread === from.pid.thread,
    );
    return found !== undefined;
  }

  get runnable(): boolean {
    return this.status === "ready" && (this.#mailbox.length > 0 || this.#exitWanted !== undefined);
  }

  /** Takes messages until `budget` are taken, nothing waits, or a handler is pending. Returns how many it took. */
  run(budget: number): number {
    let taken = 0;
    while (taken < budget && this.status === "ready") {
      if (this.#exitWanted !== undefined) {
        this.#terminate(this.#exitWanted);
        break;
      }
      const envelope = this.#mailbox.shift();
      if (envelope === undefined) break;
      if (this.limits.bytesMax !== Number.POSITIVE_INFINITY)
        this.#mailboxBytes -= estimateBytes(envelope.message);
      taken++;
      this.#handle(envelope);
    }
    return taken;
  }

  /** Runs `init`; resolves when the process is ready, rejects (and ends it) when it is not. */
  async start(options: unknown): Promise<void> {
    try {
      const state = await this.definition.callbacks.init(options, this.#host.selfOf(this));
      if (this.status !== "starting") throw new NanoError("crashed", "ended while it was starting");
      this.state = state;
      this.status = "ready";
    } catch (error) {
      const data = toErrorData(error);
      if (this.status !== "ended") this.end({ crash: data });
      throw new NanoError(data.code, data.message, data.details ?? {});
    }
    this.#host.wake(this);
  }

  /** Asks it to end after the message in hand; `killed` ends it now, without `terminate`. */
  requestExit(reason: ExitReason): void {
    if (this.status === "ended") return;
    if (reason === "killed" || this.status === "starting") {
      this.end(reason);
      return;
    }
    this.#exitWanted ??= reason;
    if (this.status === "suspended") this.status = "ready";
    this.#host.wake(this);
  }

  suspend(): void {
    if (this.status === "ready") this.status = "suspended";
    else this.#suspendWanted = true;
  }

  resume(): void {
    this.#suspendWanted = false;
    if (this.status !== "suspended") return;
    this.status = "ready";
    this.#host.wake(this);
  }

  statistics(): ProcessStatistics {
    const { pid, name, status, waiting, handled, refused, expired } = this;
    return { pid, name, definition: this.definition.name, status, waiting, handled, refused, expired };
  }

  #handle(envelope: Envelope): void {
    this.handled++;
    if (envelope.deadlineMs > 0 && this.#host.nowMs() > envelope.deadlineMs) {
      this.expired++;
      this.#host.countDeadLetter("expired");
      return;
    }
    this.#inHand = envelope.from;
    let result: unknown;
    try {
      result = this.#dispatch(envelope);
    } catch (error) {
      this.#failed(envelope, error);
      return;
    }
    if (result instanceof Promise) this.#await(envelope, result);
    else this.#finished(envelope, result);
  }

  #dispatch(envelope: Envelope): unknown {
    const { callbacks } = this.definition;
    switch (envelope.kind) {
      case "call":
        return handlerOf(callbacks.call, envelope.method)(this.state, envelope.message, envelope.from);
      case "cast":
        return handlerOf(callbacks.cast, envelope.method)(this.state, envelope.message, undefined);
      case "info": {
        if (callbacks.info === undefined) {
          this.#host.log.warn(
            { pid: formatPid(this.pid), message: envelope.message },
            "unexpected info dropped",
          );
          return undefined;
        }
        return callbacks.info(this.state, envelope.message as Info);
      }
      case "reply":
      case "cancel":
      case "exit":
      case "down":
      case "link":
      case "unlink":
      case "monitor":
      case "demonitor":
      case "system":
        throw new AssertionError(`${envelope.kind} is the host's: it never reaches a mailbox`);
    }
  }

  #await(envelope: Envelope, result: Promise<unknown>): void {
    this.status = "busy";
    if (envelope.from !== undefined) this.#host.defer(envelope.from, this);
    result.then(
      (value) => this.#resume(() => this.#finished(envelope, value)),
      (error) => this.#resume(() => this.#failed(envelope, error)),
    );
  }

  /** After an asynchronous handler: nothing happens if the process was killed meanwhile. */
  #resume(finish: () => void): void {
    if (this.status !== "busy") return;
    this.status = "ready";
    finish();
    if (this.#suspendWanted && this.status === "ready") {
      this.#suspendWanted = false;
      this.status = "suspended";
    }
    this.#host.wake(this);
  }

  #finished(envelope: Envelope, result: unknown): void {
    const { from } = envelope;
    this.#inHand = undefined;
    if (Stop.is(result)) {
      if (from !== undefined && result.hasReply) this.#host.reply(from, { ok: true, value: result.reply });
      else if (from !== undefined) this.#host.defer(from, this);
      this.#terminate(result.reason);
    } else if (from !== undefined) {
      if (envelope.kind === "cast") this.#host.reply(from, { ok: true, value: undefined });
      else if (isNoReply(result)) this.#host.defer(from, this);
      else this.#host.reply(from, { ok: true, value: result });
    }
  }

  #failed(envelope: Envelope, error: unknown): void {
    if (
      envelope.kind === "call" &&
      envelope.from !== undefined &&
      error instanceof NanoError &&
      error.code !== "undef"
    ) {
      this.#inHand = undefined;
      this.#host.reply(envelope.from, { ok: false, error: toErrorData(error) });
      return;
    }
    const crash = toErrorData(error);
    this.#host.log.error(
      {
        pid: formatPid(this.pid),
        name: this.name,
        definition: this.definition.name,
        lastMessage: { kind: envelope.kind, method: envelope.method },
        stack: error instanceof Error ? error.stack : undefined,
      },
      `process crashed: ${crash.message}`,
    );
    this.#terminate({ crash });
  }

  #terminate(reason: ExitReason): void {
    this.status = "terminating";
    const { terminate } = this.definition.callbacks;
    if (terminate === undefined) {
      this.end(reason);
      return;
    }
    let result: void | Promise<void>;
    try {
      result = terminate(this.state, reason);
    } catch (error) {
      this.end({ crash: toErrorData(error) });
      return;
    }
    if (!(result instanceof Promise)) {
      this.end(reason);
      return;
    }
    result.then(
      () => this.end(reason),
      (error) => this.end({ crash: toErrorData(error) }),
    );
  }

  /** The end: callers get an answer at once, links and watchers are told. */
  end(reason: ExitReason): void {
    if (this.status === "ended") return;
    this.status = "ended";
    const code = reason === "noproc" || reason === "normal" || !isCrash(reason) ? "noproc" : "crashed";
    const inHand = this.#inHand;
    if (inHand !== undefined) {
      const error = { code: "crashed", message: `${this.definition.name} ended while it held the request` };
      this.#host.reply(inHand, { ok: false, error });
    }
    for (const envelope of this.#mailbox.clear()) {
      if (envelope.from === undefined) {
        this.#host.countDeadLetter("noproc");
        continue;
      }
      const error = { code, message: `${this.definition.name} ended before it took the request` };
      this.#host.reply(envelope.from, { ok: false, error });
    }
    this.#host.processEnded(this, reason);
    this.state = undefined;
  }
}

function handlerOf(
  handlers: Record<string, (state: unknown, message: unknown, from: unknown) => unknown> | undefined,
  method: string,
): (state: unknown, message: unknown, from: unknown) => unknown {
  const handler = handlers !== undefined && Object.hasOwn(handlers, method) ? handlers[method] : undefined;
  if (handler === undefined) throw new NanoError("undef", `no handler named ${method}`);
  return handler;
}

/** A cheap, shallow-biased estimate of what a message keeps alive. */
export function estimateBytes(message: unknown, depth = 0): number {
  if (typeof message === "string") return 24 + message.length;
  if (typeof message !== "object" || message === null) return 8;
  if (message instanceof Uint8Array) return 64 + message.byteLength;
  if (depth >= 4) return 64;
  let bytes = 32;
  if (Array.isArray(message)) for (const item of message) bytes += estimateBytes(item, depth + 1);
  else for (const value of Object.values(message)) bytes += 16 + estimateBytes(value, depth + 1);
  return bytes;
}

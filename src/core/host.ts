/**
 * The host: one for each thread. It owns the thread's processes, waiting calls, copy of the registry and run queue,
 * and is the only part of the core that speaks to the transport. Requests between hosts are in host_requests.ts.
 *
 * Always true: a call that was accepted is settled exactly once: by its reply, its deadline, its signal, or the end
 * of its callee or of the callee's thread.
 */

import { assert } from "../base/assert.ts";
import { NanoError } from "../base/errors.ts";
import type { Clock } from "../seams/clock.ts";
import type { Logger } from "../seams/log.ts";
import type { Random } from "../seams/random.ts";
import type { StatusBoard } from "../seams/status_board.ts";
import type { Transport } from "../seams/transport.ts";
import { CallCycles } from "./call_cycles.ts";
import {
  deadlineIn,
  dueMs,
  inheritedDeadline,
  inheritedTimeout,
  refusedAsk,
  refusedOptions,
} from "./call_options.ts";
import { cancelHere, cancelOn } from "./cancel.ts";
import type { Capsules } from "./capsules.ts";
import { ClusterCalls } from "./cluster_calls.ts";
import { heldAtEnd } from "./crash_report.ts";
import { DeferredCalls } from "./deferred_calls.ts";
import type { Cancel, Canceled, Envelope, EnvelopeKind, ExitReason, From, Outcome } from "./envelope.ts";
import type { CallOptions, Definition, DefinitionName, Info } from "./gen_server.ts";
import {
  type DeadLetterReason,
  type HostOptions,
  type LocalSpawn,
  localSpawn,
  noDeadLetters,
} from "./host_options.ts";
import { HostRequests } from "./host_requests.ts";
import { coreLimits } from "./limits.ts";
import { Links } from "./links.ts";
import { Peers } from "./peers.ts";
import { type CallOrigin, PendingCalls } from "./pending_calls.ts";
import { formatPid, type Pid, type Target } from "./pid.ts";
import { Process } from "./process.ts";
import { ProcessSelf } from "./process_self.ts";
import { Registry } from "./registry.ts";
import { RunQueue } from "./run_queue.ts";
import type { Asked, ForwardedRequest, Self, SpawnOptions } from "./self.ts";
import type { TurnSignal } from "./turn_signal.ts";
import { WireCheck } from "./wire_check.ts";

/** Process id of code that is no process: the main program of the thread. */
const clientId = 0;

export class Host {
  readonly node: string;
  readonly thread: number;
  readonly incarnation: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly board: StatusBoard | undefined;
  readonly resources: Readonly<Record<string, unknown>>;
  readonly registry = new Registry();
  readonly peers: Peers;
  readonly pending: PendingCalls;
  readonly links: Links;
  readonly requests: HostRequests;
  readonly cycles: CallCycles;
  readonly capsules: Capsules | undefined;
  /** Who asks when no process does. */
  readonly client: Pid;
  readonly #transport: Transport<Envelope>;
  readonly #queue: RunQueue;
  readonly #processes = new Map<number, Process>();
  readonly #deferred = new DeferredCalls();
  readonly #cluster: ClusterCalls | undefined;
  readonly #wireCheck: WireCheck | undefined;
  readonly #loadDefinition: HostOptions["loadDefinition"];
  #nextId = 1;
  readonly deadLetters = noDeadLetters();

  constructor(options: HostOptions) {
    this.node = options.node;
    this.#transport = options.transport;
    this.thread = options.transport.thread;
    this.incarnation = options.transport.incarnation;
    this.clock = options.clock;
    this.random = options.random;
    this.board = options.board;
    this.#queue = new RunQueue(options.executor, options.clock, options.board);
    this.log = options.log;
    this.resources = options.resources;
    this.client = { node: this.node, thread: this.thread, incarnation: this.incarnation, id: clientId };
    this.#loadDefinition = options.loadDefinition;
    this.pending = new PendingCalls(options.clock);
    this.links = new Links(this);
    this.cycles = new CallCycles(this);
    this.requests = new HostRequests(this, options.loadDefinition);
    this.#cluster = options.cluster === undefined ? undefined : new ClusterCalls(this, options.cluster);
    this.capsules = options.capsules;
    this.#wireCheck = options.development === true ? new WireCheck(this) : undefined;
    this.peers = new Peers(options.transport);
    for (const { thread, incarnation } of options.peers) this.peers.up(thread, incarnation);
    options.transport.onMessages((envelopes) => {
      for (const envelope of envelopes) this.#receive(envelope);
    });
    options.transport.onUnsendable?.((_thread, envelope, error) => this.#unsendable(envelope, error));
    options.transport.onThread((...change) => this.#threadChanged(...change));
  }

  // --- processes -----------------------------------------------------------------------------------------------

  process(id: number): Process | undefined {
    return this.#processes.get(id);
  }

  processes(): IterableIterator<Process> {
    return this.#processes.values();
  }

  /** Starts a process where `options.thread` says. Errors: `init`'s own, `already_started`, `timeout`, `noproc`. */
  async spawn(
    definition: Definition | DefinitionName,
    options: unknown,
    spawn: SpawnOptions,
    starter: Process | undefined,
  ): Promise<Pid> {
    const local = localSpawn(spawn, starter?.pid);
    const thread = this.peers.place(spawn.thread);
    if (thread === undefined) throw new NanoError("noproc", "no worker thread is up");
    if (thread === this.thread) {
      const loaded = "callbacks" in definition ? definition : await this.#loadDefinition(definition);
      return this.spawnLocal(loaded, options, local);
    }
    return this.requests.spawnOn(thread, definition, options, local);
  }

  async spawnLocal(definition: Definition, options: unknown, spawn: LocalSpawn): Promise<Pid> {
    const pid: Pid = {
      node: this.node,
      thread: this.thread,
      incarnation: this.incarnation,
      id: this.#nextId++,
    };
    const { name, link: parent, mailbox: limits } = spawn;
    const born = { name, limits, parent };
    const process = new Process(this, pid, this.capsules?.of(definition, spawn.capsule) ?? definition, born);
    this.#processes.set(pid.id, process);
    if (spawn.name !== "") {
      try {
        await this.requests.register(spawn.name, pid);
      } catch (error) {
        process.end("normal");
        throw error;
      }
    }
    if (spawn.link !== undefined) this.links.link(pid, spawn.link);
    await process.start(options, spawn.initTimeoutMs, spawn.former);
    return pid;
  }

  selfOf(process: Process): Self {
    const self = new ProcessSelf(this, process);
    process.onEnd = () => self.release();
    return self;
  }

  /** Called by a process as it ends. */
  processEnded(process: Process, reason: ExitReason): void {
    this.#processes.delete(process.pid.id);
    process.onEnd?.();
    if (process.name !== "") this.requests.unregister(process.name, process.pid);
    for (const { from, signal } of this.#deferred.takeAll(process)) {
      signal?.fire(new NanoError("canceled", "the process has ended"));
      signal?.release();
      this.#postReply(from, heldAtEnd(process.definition.name, reason));
    }
    this.links.processEnded(process, reason);
  }

  /** Wall-clock ms, read once for each run of the queue: a deadline needs no more. */
  nowMs(): number {
    return this.#queue.nowMs;
  }

  wake(process: Process): void {
    this.#queue.wake(process);
  }

  // --- messages ------------------------------------------------------------------------------------------------

  call(
    caller: Pid,
    target: Target,
    method: string,
    message: unknown,
    options: CallOptions = {},
    asker?: Process,
  ): Promise<unknown> {
    let timeoutMs = options.timeoutMs ?? coreLimits.callTimeoutMs;
    const refused = refusedOptions(method, timeoutMs, options);
    if (refused !== undefined) return Promise.reject(refused);
    const hasEnd = timeoutMs !== Number.POSITIVE_INFINITY;
    const nowMs = hasEnd || asker !== undefined ? this.clock.now() : 0;
    // Wall-clock ms, for it crosses threads and nodes; 0 is never.
    let deadlineMs = hasEnd ? nowMs + timeoutMs : 0;
    let origin: CallOrigin | undefined;
    if (asker !== undefined) {
      const inheritedMs = inheritedDeadline(asker, options.inherit);
      const inherits = inheritedMs > 0 && (deadlineMs === 0 || inheritedMs < deadlineMs);
      if (inherits) {
        if (inheritedMs <= nowMs) return Promise.reject(inheritedTimeout(method, false));
        deadlineMs = inheritedMs;
        timeoutMs = inheritedMs - nowMs;
      }
      origin = { process: asker, atMs: nowMs, inherits };
    }
    const callee = this.resolve(target);
    if (callee === undefined) {
      const limits = { signal: options.signal, origin };
      const answer = this.#cluster?.call(target, method, message, timeoutMs, limits);
      const text = `${method}: nobody is registered as ${JSON.stringify(target)}`;
      return answer ?? Promise.reject(new NanoError("noproc", text, { sent: false }));
    }
    const opened = this.pending.open(callee, method, this.clock.monotonicMs() + timeoutMs);
    if (origin !== undefined) this.cycles.asks(opened, origin);
    const from: From = { pid: caller, ref: opened.ref, deadlineMs };
    if (options.signal !== undefined) cancelOn(this, options, callee, method, from);
    this.#dispatch(callee, "call", method, message, from, options.trace ?? "");
    return opened.answer;
  }

  /** A call, or a cast that is answered when it has run; for dispatchers. */
  ask(caller: Pid, target: Target, request: ForwardedRequest, asker?: Process): Asked {
    const { kind, method, message, deadlineMs, trace = "" } = request;
    const callee = this.resolve(target);
    if (callee === undefined) return refusedAsk(new NanoError("noproc", `${method}: nobody is there`));
    const untilMs = dueMs(this.clock, request.untilDone === true ? 0 : deadlineMs);
    const asked = this.pending.open(callee, method, untilMs);
    if (asker !== undefined) this.cycles.asks(asked, { process: asker, atMs: this.nowMs(), inherits: false });
    this.#dispatch(callee, kind, method, message, { pid: caller, ref: asked.ref, deadlineMs }, trace);
    return asked;
  }

  /** The answer is awaited all the same. */
  giveUp(callee: Pid, from: From): void {
    const told: Cancel = { code: "canceled", graceMs: Number.POSITIVE_INFINITY, answer: true };
    this.post("cancel", callee, "", told, from);
  }

  /** Sends a request to another host; its answer is as that of a call. */
  request(thread: number, method: string, message: unknown, timeoutMs: number): Promise<unknown> {
    const incarnation = this.peers.incarnationOf(thread);
    if (incarnation === undefined)
      return Promise.reject(new NanoError("noproc", `${method}: thread ${thread} is down`));
    const deadlineMs = deadlineIn(this.clock, timeoutMs);
    const to: Pid = { node: this.node, thread, incarnation, id: clientId };
    const { ref, answer } = this.pending.open(to, method, this.clock.monotonicMs() + timeoutMs);
    if (!this.post("system", to, method, message, { pid: this.client, ref, deadlineMs })) {
      this.pending.fail(ref, new NanoError("noproc", `${method}: thread ${thread} is down`));
    }
    return answer;
  }

  cast(target: Target, method: string, message: unknown): void {
    const callee = this.resolve(target);
    if (callee !== undefined) this.post("cast", callee, method, message, undefined);
    else if (this.#cluster?.cast(target, method, message) !== true) this.countDeadLetter("noproc");
  }

  info(target: Target, message: unknown): void {
    const callee = this.resolve(target);
    if (callee === undefined) this.countDeadLetter("noproc");
    else this.post("info", callee, "", { type: "message", message }, undefined);
  }

  reply(from: From, outcome: Outcome): void {
    this.#deferred.take(from)?.signal?.release();
    this.#postReply(from, outcome);
  }

  /** Remembers that `process` owes `from` an answer. */
  defer(from: From, process: Process, signal: TurnSignal | undefined): void {
    const cancel = signal?.cancel;
    const awaited = cancel === undefined ? this.pendingHere(from) : cancel.answer;
    if (process.status !== "ended" && awaited) this.#deferred.add(from, process, this.clock, signal);
    else signal?.release();
    if (cancel !== undefined && process.definition.callbacks.canceled !== undefined)
      this.signal(process, { from, graceMs: cancel.graceMs }, "cancel");
  }

  /** To a process of this thread, from the runtime: never refused. */
  signal(process: Process, message: Info | Canceled, kind: "info" | "cancel" = "info"): void {
    if (process.status === "ended") return;
    process.accept(this.#ownEnvelope(kind, process, "", message));
    this.wake(process);
  }

  /** A cast of a process to itself: never refused. `first`: before all that waits. */
  castOwn(process: Process, method: string, message: unknown, place: "last" | "first" = "last"): void {
    if (process.status === "ended") return;
    const envelope = this.#ownEnvelope("cast", process, method, message);
    if (place === "first") process.acceptFirst(envelope);
    else process.accept(envelope);
    this.wake(process);
  }

  /** A message was dropped from a full mailbox. */
  discarded(envelope: Envelope): void {
    this.countDeadLetter("discarded");
    this.#refuse(envelope, "overloaded", "dropped from a full mailbox");
  }

  /** A request that was not taken in time. Who waits until it is done (`ask`) must hear of it; others have given up. */
  expired(envelope: Envelope): void {
    this.countDeadLetter("expired");
    if (envelope.from !== undefined && this.pendingHere(envelope.from))
      this.#refuse(envelope, "timeout", "its deadline passed before it was taken");
  }

  /** Hands an envelope to its receiver, here or elsewhere. False: it was dropped, and counted. */
  post(
    kind: EnvelopeKind,
    to: Pid,
    method: string,
    message: unknown,
    from: From | undefined,
    trace = "",
  ): boolean {
    const { incarnation } = to;
    const envelope: Envelope = { kind, to: to.id, method, message, from, trace, incarnation };
    if (to.thread === this.thread && to.incarnation === this.incarnation) {
      this.#wireCheck?.message(envelope);
      return this.#receive(envelope);
    }
    if (this.peers.incarnationOf(to.thread) === to.incarnation && this.#transport.post(to.thread, envelope))
      return true;
    this.countDeadLetter("thread_down");
    return false;
  }

  resolve(target: Target): Pid | undefined {
    return typeof target === "string" ? this.registry.whereis(target) : target;
  }

  /** Tells every other host. */
  broadcast(method: string, message: unknown): void {
    for (const [thread, incarnation] of this.peers.entries()) {
      this.post("system", { node: this.node, thread, incarnation, id: clientId }, method, message, undefined);
    }
  }

  countDeadLetter(reason: DeadLetterReason): void {
    this.deadLetters[reason]++;
  }

  /** Ends everything: processes are killed, waiting calls fail with `shutdown`. */
  close(): void {
    this.cycles.close();
    for (const process of [...this.#processes.values()]) process.end("shutdown");
    this.pending.failAll(new NanoError("shutdown", "the system has stopped"));
  }

  #dispatch(
    callee: Pid,
    kind: "call" | "cast",
    method: string,
    message: unknown,
    from: From,
    trace: string,
  ): void {
    const local = callee.thread === this.thread && callee.incarnation === this.incarnation;
    if (!local && (this.#transport.pressure?.(callee.thread) ?? 0) >= 1) {
      this.countDeadLetter("refused");
      const text = `${method}: the way to thread ${callee.thread} is full`;
      this.pending.fail(from.ref, new NanoError("overloaded", text));
      return;
    }
    try {
      // A local refusal has been answered with its own reason.
      if (this.post(kind, callee, method, message, from, trace) || local) return;
    } catch (error) {
      // A message that throws when it is looked at: a getter, say; or one that development's check refuses.
      const text = `${method}: the message can't be sent: ${String(error)}`;
      const refused = new NanoError("bad_argument", text, { field: "message" });
      this.pending.fail(from.ref, error instanceof NanoError ? error : refused);
      return;
    }
    const text = `${method}: thread ${callee.thread} is down`;
    this.pending.fail(from.ref, new NanoError("noproc", text, { sent: false, untakenBy: formatPid(callee) }));
  }

  #receive(envelope: Envelope): boolean {
    if (envelope.incarnation !== this.incarnation) {
      this.countDeadLetter("thread_down");
      return false;
    }
    switch (envelope.kind) {
      case "call":
      case "cast":
      case "info":
        return this.#deliver(envelope);
      case "reply":
        assert(envelope.from !== undefined, "a reply names its call");
        this.pending.settle(envelope.from.ref, envelope.message as Outcome);
        return true;
      case "cancel": {
        const { from } = envelope;
        assert(from !== undefined, "a cancel names its call");
        const callee = this.#processes.get(envelope.to);
        return cancelHere(this, this.#deferred, callee, from, envelope.message as Cancel);
      }
      case "system":
        this.requests.handle(envelope);
        return true;
      case "exit":
      case "down":
      case "link":
      case "unlink":
      case "monitor":
      case "demonitor":
        this.links.handle(envelope);
        return true;
    }
  }

  #ownEnvelope(kind: EnvelopeKind, process: Process, method: string, message: unknown): Envelope {
    const { incarnation } = this;
    const to = process.pid.id;
    return { kind, to, method, message, from: undefined, trace: "", incarnation };
  }

  /** Dropped on its way out, after `post` had said yes: whoever waits for it must not wait for ever. */
  #unsendable(envelope: Envelope, error: unknown): void {
    this.countDeadLetter("unsendable");
    const { kind, method, from } = envelope;
    const message = `${method || kind}: the message can't be sent to another thread: ${String(error)}`;
    this.log.error({ kind, method }, message);
    if (from === undefined) return;
    const refused = { code: "bad_argument", message, details: { field: "message" } };
    if (kind === "reply") this.#postReply(from, { ok: false, error: refused });
    else this.pending.fail(from.ref, new NanoError(refused.code, message, refused.details));
  }

  #deliver(envelope: Envelope): boolean {
    const process = this.#processes.get(envelope.to);
    if (process === undefined || process.status === "ended") {
      this.countDeadLetter("noproc");
      this.#refuse(envelope, "noproc", "nobody lives under this pid");
      return false;
    }
    if (!process.offer(envelope)) {
      this.countDeadLetter("refused");
      if (envelope.kind === "call")
        this.#refuse(envelope, "overloaded", `the mailbox of ${formatPid(process.pid)} is full`);
      return false;
    }
    this.wake(process);
    return true;
  }

  #refuse(envelope: Envelope, code: string, why: string): void {
    if (envelope.from === undefined) return;
    const { node, thread, incarnation } = this;
    const details = { untakenBy: formatPid({ node, thread, incarnation, id: envelope.to }) };
    const error = { code, message: `${envelope.method}: ${why}`, details };
    this.#postReply(envelope.from, { ok: false, error });
  }

  #postReply(from: From, outcome: Outcome): void {
    if (from.pid.thread === this.thread && from.pid.incarnation === this.incarnation) {
      this.pending.settle(from.ref, this.#wireCheck?.reply(from, outcome) ?? outcome);
      return;
    }
    this.post("reply", from.pid, "", outcome, from);
  }

  /** False only if the caller lives on this thread and has stopped waiting. */
  pendingHere(from: From): boolean {
    if (from.pid.thread !== this.thread) return true;
    return this.pending.has(from.ref);
  }

  #threadChanged(thread: number, incarnation: number, up: boolean, reason?: string): void {
    if (up) {
      this.peers.up(thread, incarnation);
      if (this.thread === 0) this.requests.shareRegistry(thread, incarnation);
      return;
    }
    this.peers.down(thread, incarnation);
    this.registry.releaseThread(thread, incarnation);
    this.#deferred.forgetThread(thread, incarnation);
    this.pending.failThread(thread, incarnation, reason);
    this.links.threadDown(thread, incarnation, reason);
  }
}

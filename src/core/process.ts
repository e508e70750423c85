/**
 * One process: an object with a mailbox, not a thread. It takes one message at a time; while an asynchronous
 * handler is pending it takes no other. It is driven by its host (host.ts), which owns everything that is shared.
 *
 * Always true: after `ended` nothing of its state is touched, whatever promises still settle.
 */

import { NanoError, toErrorData } from "../base/errors.ts";
import type { TimerHandle } from "../seams/clock.ts";
import type { TurnMarks } from "../seams/status_board.ts";
import { heldAtEnd, isCrash, reportCrash } from "./crash_report.ts";
import {
  type Cancel,
  type Canceled,
  type Envelope,
  type ExitReason,
  type From,
  isSameCall,
} from "./envelope.ts";
import { type Definition, handlerOf, Ignore, type Info, isNoReply, Stop } from "./gen_server.ts";
import { type Former, firstState, handOver, handOverMethod } from "./hand_over.ts";
import type { Host } from "./host.ts";
import { Mailbox } from "./mailbox.ts";
import { formatPid, type Pid } from "./pid.ts";
import type { ProcessStatistics, ProcessStatus } from "./process_statistics.ts";
import type { MailboxLimits } from "./self.ts";
import { ProcessSignals } from "./turn_signal.ts";

/** What a process hears when nothing else comes for a while; see `Self.idleAfter`. */
interface IdleWish {
  readonly delayMs: number;
  readonly method: string;
  readonly message: unknown;
}

export class Process {
  readonly pid: Pid;
  readonly name: string;
  readonly definition: Definition;
  /** Who started it, if linked: its end is the end of this process, even if it traps exits. */
  readonly parent: Pid | undefined;
  readonly #host: Host;
  readonly #mailbox: Mailbox;
  /** Shows other threads what this one does. */
  readonly #marks: TurnMarks | undefined;
  state: unknown = undefined;
  status: ProcessStatus = "starting";
  /** In the host's run queue. */
  queued = false;
  trapsExit = false;
  /** Frees what the process held outside its state. */
  onEnd: (() => void) | undefined;
  /** Linked processes, by their printed pid. This and what follows is made when it is needed: most never need it. */
  links: Map<string, Pid> | undefined;
  /** Who watches this process: reference and watcher. */
  watchers: Map<string, { readonly ref: number; readonly pid: Pid }> | undefined;
  /** References of the monitors that this process holds. */
  monitors: Set<number> | undefined;
  /** Keys of the calls that it took and has not answered yet; kept by the host. */
  owed: Set<number> | undefined;
  #exitWanted: ExitReason | undefined;
  #suspendWanted = false;
  #inHand: From | undefined;
  /** Made when somebody asks for one, or a caller gives up. */
  #signals: ProcessSignals | undefined;
  /** Ends with the asynchronous turn in hand. */
  turn: Promise<void> | undefined;
  /** Sleeps that it has not woken from. */
  sleeping = 0;
  /** Of the message in hand, or of the last one. */
  trace = "";
  #startEnded: ((reason: ExitReason) => void) | undefined;
  /** What waits for the end of the turn in hand. */
  #afterTurn: (() => void)[] | undefined;
  #idleWish: IdleWish | undefined;
  #idleTimer: TimerHandle | undefined;
  handled = 0;
  refused = 0;
  expired = 0;

  constructor(
    host: Host,
    pid: Pid,
    definition: Definition,
    born: { readonly name: string; readonly limits: MailboxLimits; readonly parent: Pid | undefined },
  ) {
    this.#host = host;
    this.pid = pid;
    this.name = born.name;
    this.definition = definition;
    this.parent = born.parent;
    this.#mailbox = new Mailbox(born.limits, (dropped) => host.discarded(dropped));
    this.#marks = host.board?.of(definition.name);
  }

  get waiting(): number {
    return this.#mailbox.length;
  }

  /** False if the mailbox is full: nothing was stored. */
  offer(envelope: Envelope): boolean {
    if (this.#mailbox.offer(envelope)) return true;
    this.refused++;
    return false;
  }

  /** For what the runtime owes the process (ends of others, its timers, its own casts): never refused. */
  accept(envelope: Envelope): void {
    this.#mailbox.accept(envelope);
  }

  /** Is taken before all that waits, after what was put first before it. */
  acceptFirst(envelope: Envelope): void {
    this.#mailbox.acceptFirst(envelope);
  }

  /** Takes a call out of the mailbox before it runs. */
  withdraw(from: From): boolean {
    return this.#mailbox.withdraw(from);
  }

  /** Of the request in hand, wall-clock ms; 0: none. `terminate` works for nobody. */
  get deadlineMs(): number {
    return this.status === "terminating" ? 0 : (this.#inHand?.deadlineMs ?? 0);
  }

  /** Whether another process may wait for it. */
  get isWaitedFor(): boolean {
    return this.#mailbox.length > 0 || (this.#inHand !== undefined && this.#inHand.pid.id !== 0);
  }

  /** Where a request is that it has not answered or deferred. */
  placeOf(from: From): "queued" | "in hand" | undefined {
    if (isSameCall(this.#inHand, from)) return "in hand";
    return this.#mailbox.has(from) ? "queued" : undefined;
  }

  /** See Self.signal. */
  get signal(): AbortSignal {
    const inHand = this.status === "terminating" ? undefined : this.#inHand;
    return this.#signalsMade().of(inHand, this.status === "ended");
  }

  /** Its caller gave up. False if it is not in hand. */
  cancelInHand(from: From, reason: NanoError, cancel: Cancel): boolean {
    if (!isSameCall(this.#inHand, from)) return false;
    this.#signalsMade().cancel(reason, cancel, () => {
      const told = { pid: formatPid(this.pid), graceMs: cancel.graceMs };
      this.#host.log.warn(told, "a canceled request goes on; its process is killed");
      this.requestExit("killed");
    });
    return true;
  }

  #signalsMade(): ProcessSignals {
    this.#signals ??= new ProcessSignals(this.#host.clock);
    return this.#signals;
  }

  /** A call that is answered in its own turn is not owed any more. */
  answered(from: From): void {
    if (!isSameCall(this.#inHand, from)) return;
    this.#inHand = undefined;
    this.#signals?.release();
  }

  /** Holds for the turn in hand: the next message, or the next wish, ends it. */
  wishIdle(wish: IdleWish): void {
    this.#idleWish = wish;
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
      taken++;
      this.#handle(envelope);
    }
    return taken;
  }

  /** Runs `init`; resolves when the process is ready, rejects (and ends it) when it is not, or not in time. */
  async start(options: unknown, timeoutMs: number, former?: Former): Promise<void> {
    try {
      let state = this.#init(options, former);
      if (isThenable(state)) state = await this.#inTime(Promise.resolve(state), timeoutMs);
      if (this.status !== "starting") throw endedEarly();
      if (Ignore.is(state)) {
        this.end("normal");
        throw new NanoError("ignored", `${this.definition.name} does not want to run now`);
      }
      this.state = state;
      this.#startEnded = undefined;
      this.status = "ready";
      if (this.#suspendWanted) this.#applySuspend();
      this.#armIdle();
      if (this.#afterTurn !== undefined) this.#turnEnded();
    } catch (error) {
      const data = toErrorData(error);
      if (this.status !== "ended") this.end({ crash: data });
      throw new NanoError(data.code, data.message, data.details ?? {});
    }
    this.#host.wake(this);
  }

  #init(options: unknown, former: Former | undefined): unknown {
    const entered = this.#marks?.enter(this.pid.id, "init") ?? 0;
    try {
      return firstState(this.definition, options, this.#host.selfOf(this), former);
    } finally {
      this.#marks?.leave(entered);
    }
  }

  /** An `init` that never settles must not keep whoever starts the process: its end is the start's end. */
  async #inTime(state: Promise<unknown>, timeoutMs: number): Promise<unknown> {
    if (timeoutMs === Number.POSITIVE_INFINITY) return this.#orEnded(state);
    const { clock } = this.#host;
    const timer = clock.setTimer(timeoutMs, () => {
      if (this.status !== "starting") return;
      const message = `${this.definition.name}: init took more than ${timeoutMs} ms`;
      this.end({ crash: { code: "timeout", message } });
    });
    try {
      return await this.#orEnded(state);
    } finally {
      clock.clearTimer(timer);
    }
  }

  #orEnded(state: Promise<unknown>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#startEnded = (reason) => {
        const isCrash = typeof reason === "object" && "crash" in reason;
        const { code, message } = isCrash ? reason.crash : endedEarly();
        reject(new NanoError(code, message, { reason }));
      };
      state.then(resolve, reject);
      // By its first part, before there was anything to wait for.
      if (this.status !== "starting") reject(endedEarly());
    });
  }

  /** Asks it to end after the message in hand, or `now`, without `terminate`. */
  requestExit(reason: ExitReason, now: boolean = reason === "killed"): void {
    if (this.status === "ended") return;
    if (now || this.status === "starting") {
      this.end(reason);
      return;
    }
    this.#exitWanted ??= reason;
    if (this.status === "suspended") this.status = "ready";
    this.#host.wake(this);
  }

  /** Calls `act` between two turns, or once the process has ended. */
  betweenTurns(act: () => void): void {
    if (this.status === "ready" || this.status === "suspended" || this.status === "ended") act();
    else {
      this.#afterTurn ??= [];
      this.#afterTurn.push(act);
    }
  }

  #turnEnded(): void {
    const acts = this.#afterTurn;
    this.#afterTurn = undefined;
    for (const act of acts ?? []) act();
  }

  suspend(): void {
    this.#suspendWanted = true;
    if (this.status === "ready") this.#applySuspend();
  }

  #applySuspend(): void {
    this.#suspendWanted = false;
    this.status = "suspended";
  }

  resume(): void {
    this.#suspendWanted = false;
    if (this.status !== "suspended") return;
    this.status = "ready";
    this.#host.wake(this);
  }

  statistics(): ProcessStatistics {
    const { pid, name, status, waiting, handled, refused, expired } = this;
    const { discarded } = this.#mailbox;
    const definition = this.definition.name;
    return { pid, name, definition, status, waiting, handled, refused, discarded, expired };
  }

  #handle(envelope: Envelope): void {
    this.handled++;
    if (this.#idleTimer !== undefined) this.#clearIdle();
    const { from } = envelope;
    if (from !== undefined && from.deadlineMs > 0 && this.#host.nowMs() > from.deadlineMs) {
      this.expired++;
      this.#host.expired(envelope);
      return;
    }
    this.#inHand = from;
    this.#marks?.begin(this.pid.id, envelope.kind, envelope.method);
    this.trace = envelope.trace;
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
    const { kind, method, message } = envelope;
    if (method === handOverMethod) return handOver(this);
    if (kind === "call") return handlerOf(callbacks.call, method)(this.state, message, envelope.from);
    if (kind === "cast") return handlerOf(callbacks.cast, method)(this.state, message, undefined);
    if (kind === "cancel") {
      const { from, graceMs } = message as Canceled;
      return callbacks.canceled?.(this.state, from, graceMs);
    }
    if (callbacks.info !== undefined) return callbacks.info(this.state, message as Info);
    this.#host.log.warn({ pid: formatPid(this.pid), message }, "unexpected info dropped");
    return undefined;
  }

  #await(envelope: Envelope, result: Promise<unknown>): void {
    this.status = "busy";
    this.#marks?.awaits();
    this.#host.cycles.waits(this);
    this.turn = result.then(
      (value) => this.#resume(() => this.#finished(envelope, value)),
      (error) => this.#resume(() => this.#failed(envelope, error)),
    );
  }

  /** After an asynchronous handler: nothing happens if the process was killed meanwhile. */
  #resume(finish: () => void): void {
    if (this.status !== "busy") return;
    this.#marks?.settled(this.pid.id);
    this.status = "ready";
    this.turn = undefined;
    finish();
    if (this.#suspendWanted && this.status === "ready") this.#applySuspend();
    if (this.#afterTurn !== undefined && (this.status as ProcessStatus) !== "terminating") this.#turnEnded();
    this.#host.wake(this);
  }

  #finished(envelope: Envelope, result: unknown): void {
    const { from } = envelope;
    const owes = this.#inHand !== undefined;
    this.#inHand = undefined;
    if (Stop.is(result)) {
      if (from !== undefined && result.hasReply) this.#host.reply(from, { ok: true, value: result.reply });
      else if (owes) this.#inHand = from;
      if (isCrash(result.reason)) this.#report(envelope, result.reason, undefined);
      this.#terminate(result.reason);
      return;
    }
    if (from !== undefined) {
      if (envelope.kind === "cast") this.#host.reply(from, { ok: true, value: undefined });
      else if (!isNoReply(result)) this.#host.reply(from, { ok: true, value: result });
      else if (owes) this.#host.defer(from, this, this.#signals?.takeTurn());
    }
    this.#signals?.release();
    if (this.#idleWish !== undefined) this.#armIdle();
  }

  #failed(envelope: Envelope, error: unknown): void {
    if (
      envelope.kind === "call" &&
      envelope.from !== undefined &&
      error instanceof NanoError &&
      error.code !== "undef"
    ) {
      this.#inHand = undefined;
      this.#signals?.release();
      this.#host.reply(envelope.from, { ok: false, error: toErrorData(error) });
      return;
    }
    const crash = toErrorData(error);
    this.#report(envelope, { crash }, error instanceof Error ? error.stack : undefined);
    this.#terminate({ crash });
  }

  /** Without an envelope it is `terminate` that crashed: no message plays that again, so there is no capsule. */
  #report(envelope: Envelope | undefined, reason: ExitReason, stack: string | undefined): void {
    const { capsules, log } = this.#host;
    const capsule = envelope === undefined ? undefined : capsules?.crashed(this, { reason, stack, envelope });
    reportCrash(log, this, { reason, stack, envelope, capsule });
  }

  #terminate(reason: ExitReason): void {
    this.status = "terminating";
    const { terminate } = this.definition.callbacks;
    if (terminate === undefined) {
      this.end(reason);
      return;
    }
    let result: void | Promise<void>;
    const entered = this.#marks?.enter(this.pid.id, "terminate") ?? 0;
    try {
      result = terminate(this.state, reason);
    } catch (error) {
      this.#terminateFailed(error);
      return;
    } finally {
      this.#marks?.leave(entered);
    }
    if (!(result instanceof Promise)) {
      this.end(reason);
      return;
    }
    result.then(
      () => this.end(reason),
      (error) => this.#terminateFailed(error),
    );
  }

  /** Nobody may wait for this end, so the log has it. */
  #terminateFailed(error: unknown): void {
    if (this.status === "ended") return;
    const crash = toErrorData(error);
    this.#report(undefined, { crash }, error instanceof Error ? error.stack : undefined);
    this.end({ crash });
  }

  /** The end: callers get an answer at once, links and watchers are told. */
  end(reason: ExitReason): void {
    if (this.status === "ended") return;
    if (this.status === "busy") this.#marks?.settled(this.pid.id);
    this.status = "ended";
    this.#startEnded?.(reason);
    this.#clearIdle();
    const { name } = this.definition;
    const inHand = this.#inHand;
    this.#inHand = undefined;
    this.#signals?.end();
    // What was taken may have been done, whatever the reason; what was not taken was not.
    if (inHand !== undefined) this.#host.reply(inHand, heldAtEnd(name, reason));
    const code = isCrash(reason) && reason !== "noproc" ? "crashed" : "noproc";
    for (const envelope of this.#mailbox.clear()) {
      if (envelope.from === undefined) {
        this.#host.countDeadLetter("noproc");
        continue;
      }
      const message = `${name} ended before it took the request`;
      this.#host.reply(envelope.from, {
        ok: false,
        error: { code, message, details: { reason, untakenBy: formatPid(this.pid) } },
      });
    }
    this.#host.processEnded(this, reason);
    this.state = undefined;
    this.#turnEnded();
  }

  #armIdle(): void {
    const wish = this.#idleWish;
    this.#idleWish = undefined;
    if (wish === undefined || this.#mailbox.length > 0) return;
    const { delayMs, method, message } = wish;
    this.#idleTimer = this.#host.clock.setTimer(delayMs, () => {
      this.#idleTimer = undefined;
      if (this.#mailbox.length === 0) this.#host.castOwn(this, method, message);
    });
  }

  #clearIdle(): void {
    this.#idleWish = undefined;
    if (this.#idleTimer !== undefined) this.#host.clock.clearTimer(this.#idleTimer);
    this.#idleTimer = undefined;
  }
}

function endedEarly(): NanoError {
  return new NanoError("crashed", "ended while it was starting");
}

/** Not by its class: a promise may be another library's, or another realm's. */
function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as Partial<PromiseLike<unknown>> | null | undefined)?.then === "function";
}

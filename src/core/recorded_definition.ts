/**
 * A definition whose process is recorded: the same behaviour, with the recorder between it and its runtime. So
 * processes that are not recorded pay nothing.
 *
 * What goes in is kept at two doors: each message before its handler gets it, and whatever `self` tells (answers,
 * times, draws). What goes out is not: a replay sends nothing.
 */

import type { ErrorData } from "../base/errors.ts";
import type { Clock } from "../seams/clock.ts";
import type { Logger } from "../seams/log.ts";
import type { Random } from "../seams/random.ts";
import type { CapsuleRecorder } from "./capsule_recorder.ts";
import type { ExitReason, From } from "./envelope.ts";
import type { Definition, DefinitionName, Inferred, Info, OptionsOf, Ref } from "./gen_server.ts";
import type { Former } from "./hand_over.ts";
import type { Pid, Target } from "./pid.ts";
import type { Asked, ForwardedRequest, Self, SpawnOptions, TimerRef } from "./self.ts";

type Handlers = Readonly<Record<string, (state: unknown, message: unknown, from: From) => unknown>>;

export class RecordedDefinition implements Definition {
  readonly module: string;
  readonly name: string;
  readonly callbacks: Definition["callbacks"];
  readonly recorder: CapsuleRecorder;

  constructor(definition: Definition, recorder: CapsuleRecorder) {
    const { callbacks } = definition;
    this.module = definition.module;
    this.name = definition.name;
    this.recorder = recorder;
    this.callbacks = {
      ...callbacks,
      init: (options, self) => {
        recorder.begin(options);
        return callbacks.init(options, new RecordingSelf(self, recorder));
      },
      call: recordedHandlers("call", callbacks.call as Handlers | undefined, recorder),
      cast: recordedHandlers("cast", callbacks.cast as Handlers | undefined, recorder),
      ...recordedEvents(callbacks, recorder),
    };
  }
}

function recordedHandlers(
  kind: "call" | "cast",
  handlers: Handlers | undefined,
  recorder: CapsuleRecorder,
): Inferred {
  return Object.fromEntries(
    Object.entries(handlers ?? {}).map(([method, handler]) => [
      method,
      (state: unknown, message: unknown, from: From) => {
        recorder.take(kind, method, message, from, state);
        return handler(state, message, from);
      },
    ]),
  );
}

function recordedEvents(
  { info, canceled, replaceState, codeChange }: Definition["callbacks"],
  recorder: CapsuleRecorder,
): Pick<Definition["callbacks"], "info" | "canceled" | "replaceState" | "codeChange"> {
  return {
    ...(codeChange === undefined
      ? {}
      : {
          codeChange: async (saved: unknown, self: Self, change: Inferred) => {
            const state = await codeChange(saved, new RecordingSelf(self, recorder), change);
            recorder.replaced(state);
            return state;
          },
        }),
    ...(replaceState === undefined
      ? {}
      : {
          replaceState: (state: unknown, change: unknown) => {
            const next = replaceState(state, change);
            recorder.replaced(next);
            return next;
          },
        }),
    ...(info === undefined
      ? {}
      : {
          info: (state: unknown, message: Info) => {
            recorder.take("info", "", message, undefined, state);
            return info(state, message);
          },
        }),
    ...(canceled === undefined
      ? {}
      : {
          canceled: (state: unknown, from: From, graceMs: number) => {
            recorder.take("cancel", "", graceMs, from, state);
            return canceled(state, from, graceMs);
          },
        }),
  };
}

class RecordingSelf implements Self {
  readonly pid: Pid;
  readonly name: string;
  readonly random: Random;
  readonly clock: Pick<Clock, "now" | "monotonicMs">;
  readonly #self: Self;
  readonly #recorder: CapsuleRecorder;
  /** Those that are listened to. */
  readonly #signals = new WeakSet<AbortSignal>();

  constructor(self: Self, recorder: CapsuleRecorder) {
    this.#self = self;
    this.#recorder = recorder;
    this.pid = self.pid;
    this.name = self.name;
    this.random = {
      next: (site) => recorder.value(`random.next ${site}`, self.random.next(site)),
      bytes: (site, count) => recorder.value(`random.bytes ${site}`, self.random.bytes(site, count)),
    };
    this.clock = {
      now: () => recorder.value("clock.now", self.clock.now()),
      monotonicMs: () => recorder.value("clock.monotonicMs", self.clock.monotonicMs()),
    };
    recorder.names.self(this);
  }

  get trace(): string {
    return this.#recorder.value("trace", this.#self.trace);
  }

  get deadlineMs(): number {
    return this.#recorder.value("deadlineMs", this.#self.deadlineMs);
  }

  remainingMs(): number {
    return this.#recorder.value("remainingMs", this.#self.remainingMs());
  }

  /** When it fires is not in a capsule: from then on a replay would be a guess. */
  get signal(): AbortSignal {
    const { signal } = this.#self;
    if (this.#signals.has(signal)) return signal;
    this.#signals.add(signal);
    const fired = (): void => this.#recorder.lose("its signal fired, which a replay can't do");
    if (signal.aborted) fired();
    else signal.addEventListener("abort", fired, { once: true });
    return signal;
  }

  get log(): Logger {
    const { log } = this.#self;
    this.#recorder.names.log(log);
    return log;
  }

  spawn<D extends Definition>(definition: D, options: OptionsOf<D>, spawn?: SpawnOptions): Promise<Pid> {
    return this.#recorder.operation(`spawn ${definition.name}`, this.#self.spawn(definition, options, spawn));
  }

  spawnNamed(definition: DefinitionName, options: unknown, spawn?: SpawnOptions): Promise<Pid> {
    return this.#recorder.operation(
      `spawn ${definition.name}`,
      this.#self.spawnNamed(definition, options, spawn),
    );
  }

  ref<D extends Definition>(definition: D, target: Target): Ref<D> {
    const inner = this.#self.ref(definition, target);
    const call: Record<string, unknown> = {};
    for (const [method, send] of Object.entries(inner.call)) {
      call[method] = (...sent: unknown[]) =>
        this.#recorder.operation(`call ${method}`, (send as Inferred)(...sent) as Promise<unknown>);
    }
    const ref = { target, call: call as Ref<D>["call"], cast: inner.cast };
    this.#recorder.names.ref(ref, definition);
    return ref;
  }

  whereis(name: string): Pid | undefined {
    return this.#recorder.value(`whereis ${name}`, this.#self.whereis(name));
  }

  castAfter(delayMs: number, method: string, message?: unknown): TimerRef {
    return this.#recorder.value("castAfter", this.#self.castAfter(delayMs, method, message));
  }

  sleep(delayMs: number): Promise<void> {
    return this.#recorder.operation("sleep", this.#self.sleep(delayMs));
  }

  monitor(pid: Pid): number {
    return this.#recorder.value("monitor", this.#self.monitor(pid));
  }

  ask(target: Target, request: ForwardedRequest): Promise<unknown> {
    return this.#recorder.operation(`call ${request.method}`, this.#self.ask(target, request));
  }

  askCancelable(target: Target, request: ForwardedRequest): Asked {
    const asked = this.#self.askCancelable(target, request);
    return { ...asked, answer: this.#recorder.operation(`call ${request.method}`, asked.answer) };
  }

  handOver(pid: Pid, timeoutMs: number): Promise<Former> {
    return this.#recorder.operation("handOver", this.#self.handOver(pid, timeoutMs));
  }

  resume(pid: Pid): Promise<void> {
    return this.#recorder.operation("resume", this.#self.resume(pid));
  }

  stop(pid: Pid, options: { readonly reason: ExitReason; readonly timeoutMs: number }): Promise<ExitReason> {
    return this.#recorder.operation("stop", this.#self.stop(pid, options));
  }

  threads(): readonly number[] {
    return this.#recorder.value("threads", this.#self.threads());
  }

  awayThread(placement: SpawnOptions["thread"]): string | undefined {
    return this.#recorder.value("awayThread", this.#self.awayThread(placement));
  }

  // --- what goes out, and comes back, if ever, as a message ---------------------------------------------------

  send(target: Target, message: unknown): void {
    this.#self.send(target, message);
  }

  reply<Reply>(from: From<Reply>, value: Reply): void {
    this.#self.reply(from, value);
  }

  replyError(from: From, error: ErrorData): void {
    this.#self.replyError(from, error);
  }

  pipe<Context>(promise: Promise<unknown>, method: string, context: Context): void {
    this.#self.pipe(promise, method, context);
  }

  cancelTimer(timer: TimerRef): void {
    this.#self.cancelTimer(timer);
  }

  castSelf(method: string, message?: unknown): void {
    this.#self.castSelf(method, message);
  }

  continueWith(method: string, message?: unknown): void {
    this.#self.continueWith(method, message);
  }

  idleAfter(delayMs: number, method: string, message?: unknown): void {
    this.#self.idleAfter(delayMs, method, message);
  }

  trapExit(): void {
    this.#self.trapExit();
  }

  link(pid: Pid): void {
    this.#self.link(pid);
  }

  unlink(pid: Pid): void {
    this.#self.unlink(pid);
  }

  demonitor(ref: number): void {
    this.#self.demonitor(ref);
  }

  giveUp(asked: Asked): void {
    this.#self.giveUp(asked);
  }

  exit(pid: Pid, reason: ExitReason): void {
    this.#self.exit(pid, reason);
  }

  resource<T>(name: string): T {
    return this.#self.resource<T>(name);
  }
}

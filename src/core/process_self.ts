/**
 * The production `Self`: a process's own way into its host. Timers and pipes die with the process. A handler that was
 * killed between two awaits goes on as JavaScript: what it still asks for is refused (`canceled`) or does nothing.
 */

import { type ErrorData, fromErrorData, NanoError, toErrorData } from "../base/errors.ts";
import type { Clock, TimerHandle } from "../seams/clock.ts";
import type { Logger } from "../seams/log.ts";
import type { Random } from "../seams/random.ts";
import { deadlineIn, refusedAsk } from "./call_options.ts";
import type { ExitReason, From } from "./envelope.ts";
import type { Definition, DefinitionName, OptionsOf, Piped, Ref } from "./gen_server.ts";
import { type Former, handOverMethod } from "./hand_over.ts";
import type { Host } from "./host.ts";
import { formatPid, type Pid, type Target } from "./pid.ts";
import type { Process } from "./process.ts";
import { makeRef } from "./ref.ts";
import type { Asked, ForwardedRequest, Self, SpawnOptions, TimerRef } from "./self.ts";

export class ProcessSelf implements Self {
  readonly pid: Pid;
  readonly name: string;
  readonly random: Random;
  readonly clock: Pick<Clock, "now" | "monotonicMs">;
  readonly #host: Host;
  readonly #process: Process;
  /** Made when it is needed, as the log: most processes have neither. */
  #timers: Map<number, TimerHandle> | undefined;
  #log: Logger | undefined;
  #nextTimer = 1;

  constructor(host: Host, process: Process) {
    this.#host = host;
    this.#process = process;
    this.pid = process.pid;
    this.name = process.name;
    this.random = host.random;
    this.clock = host.clock;
  }

  get trace(): string {
    return this.#process.trace;
  }

  get log(): Logger {
    const { pid, name, definition } = this.#process;
    this.#log ??= this.#host.log.child({ pid: formatPid(pid), process: name || definition.name });
    return this.#log;
  }

  spawn<D extends Definition>(definition: D, options: OptionsOf<D>, spawn: SpawnOptions = {}): Promise<Pid> {
    return this.spawnNamed(definition, options, spawn);
  }

  spawnNamed(
    definition: Definition | DefinitionName,
    options: unknown,
    spawn: SpawnOptions = {},
  ): Promise<Pid> {
    if (this.#ended) return Promise.reject(canceled(`${definition.name}: its starter has ended`));
    return this.#host.spawn(definition, options, spawn, this.#process);
  }

  ref<D extends Definition>(definition: D, target: Target): Ref<D> {
    return makeRef(this.#host, this.pid, definition, target, this.#process);
  }

  get deadlineMs(): number {
    return this.#process.deadlineMs;
  }

  remainingMs(): number {
    const { deadlineMs } = this.#process;
    return deadlineMs === 0 ? Number.POSITIVE_INFINITY : Math.max(0, deadlineMs - this.#host.clock.now());
  }

  get signal(): AbortSignal {
    return this.#process.signal;
  }

  get #ended(): boolean {
    return this.#process.status === "ended";
  }

  whereis(name: string): Pid | undefined {
    return this.#host.registry.whereis(name);
  }

  send(target: Target, message: unknown): void {
    if (this.#ended) return;
    this.#host.info(target, message);
  }

  reply<Reply>(from: From<Reply>, value: Reply): void {
    this.#process.answered(from);
    this.#host.reply(from, { ok: true, value });
  }

  replyError(from: From, error: ErrorData): void {
    this.#process.answered(from);
    this.#host.reply(from, {
      ok: false,
      error: { code: error.code, message: error.message, details: error.details ?? {} },
    });
  }

  pipe<Context>(promise: Promise<unknown>, method: string, context: Context): void {
    promise.then(
      (value) => this.castSelf(method, { context, ok: true, value } satisfies Piped<Context, unknown>),
      (error) => {
        const operating = error instanceof NanoError ? error : fromErrorData(toErrorData(error));
        this.castSelf(method, { context, ok: false, error: operating } satisfies Piped<Context, unknown>);
      },
    );
  }

  castAfter(delayMs: number, method: string, message?: unknown): TimerRef {
    const id = this.#nextTimer++;
    if (this.#ended) return { id };
    this.#after(id, delayMs, () => this.castSelf(method, message));
    return { id };
  }

  cancelTimer({ id }: TimerRef): void {
    const handle = this.#timers?.get(id);
    if (handle === undefined) return;
    this.#timers?.delete(id);
    this.#host.clock.clearTimer(handle);
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.#ended) return;
      this.#process.sleeping++;
      this.#after(this.#nextTimer++, delayMs, () => {
        this.#process.sleeping--;
        resolve();
      });
    });
  }

  #after(id: number, delayMs: number, happen: () => void): void {
    const handle = this.#host.clock.setTimer(delayMs, () => {
      this.#timers?.delete(id);
      happen();
    });
    this.#timers ??= new Map();
    this.#timers.set(id, handle);
  }

  castSelf(method: string, message?: unknown): void {
    this.#host.castOwn(this.#process, method, message);
  }

  continueWith(method: string, message?: unknown): void {
    this.#host.castOwn(this.#process, method, message, "first");
  }

  idleAfter(delayMs: number, method: string, message?: unknown): void {
    if (!(delayMs >= 0)) {
      const text = `idleAfter: delayMs must be 0 or more, not ${String(delayMs)}`;
      throw new NanoError("bad_argument", text, { field: "delayMs" });
    }
    this.#process.wishIdle({ delayMs, method, message });
  }

  trapExit(): void {
    this.#process.trapsExit = true;
  }

  link(pid: Pid): void {
    if (!this.#ended) this.#host.links.link(this.pid, pid);
  }

  unlink(pid: Pid): void {
    this.#host.links.unlink(this.pid, pid);
  }

  monitor(pid: Pid): number {
    return this.#host.links.monitor(this.pid, pid);
  }

  demonitor(ref: number): void {
    this.#host.links.demonitor(this.pid, ref);
  }

  exit(pid: Pid, reason: ExitReason): void {
    if (!this.#ended) this.#host.links.exit(pid, this.pid, reason);
  }

  ask(target: Target, request: ForwardedRequest): Promise<unknown> {
    return this.askCancelable(target, request).answer;
  }

  askCancelable(target: Target, request: ForwardedRequest): Asked {
    if (this.#ended) return refusedAsk(canceled(`${request.method}: its asker has ended`));
    return this.#host.ask(this.pid, target, request, this.#process);
  }

  giveUp({ ref, callee }: Asked): void {
    if (this.#ended || callee === undefined) return;
    this.#host.giveUp(callee, { pid: this.pid, ref, deadlineMs: 0 });
  }

  stop(
    pid: Pid,
    { reason, timeoutMs }: { readonly reason: ExitReason; readonly timeoutMs: number },
  ): Promise<ExitReason> {
    if (this.#ended) return Promise.resolve("noproc");
    return this.#host.links.stop(pid, this.pid, reason, timeoutMs);
  }

  async handOver(pid: Pid, timeoutMs: number): Promise<Former> {
    const deadlineMs = deadlineIn(this.#host.clock, timeoutMs);
    const request = { kind: "call", method: handOverMethod, message: undefined, deadlineMs } as const;
    const former = (await this.ask(pid, request)) as Former;
    // From another thread it is a copy already.
    return pid.thread === this.pid.thread ? structuredClone(former) : former;
  }

  async resume(pid: Pid): Promise<void> {
    await this.#host.requests.sys(pid, "resume");
  }

  resource<T>(name: string): T {
    if (!Object.hasOwn(this.#host.resources, name)) {
      const found = Object.keys(this.#host.resources).join(", ");
      const text = `no resource named ${name} on this thread; the set-up returned: ${found}`;
      throw new NanoError("bad_argument", text, { field: name });
    }
    return this.#host.resources[name] as T;
  }

  threads(): readonly number[] {
    return this.#host.peers.threads();
  }

  awayThread(placement: SpawnOptions["thread"]): string | undefined {
    return this.#host.peers.awayFor(placement);
  }

  /** Called as the process ends. */
  release(): void {
    for (const handle of this.#timers?.values() ?? []) this.#host.clock.clearTimer(handle);
    this.#timers = undefined;
  }
}

function canceled(message: string): NanoError {
  return new NanoError("canceled", message);
}

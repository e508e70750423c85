/**
 * What a replayed process has for its `self`: what it is told comes from the capsule, what it sends goes nowhere. Its
 * own casts, timers and pipes do nothing, because what came of them is among the messages of the capsule.
 *
 * State: the answers of the turn in hand, by what is asked; what was asked of others and not settled yet. Where the
 * capsule has no answer (the code was changed, say) it gives one of the simulated world, and notes it.
 */

import type { ErrorData } from "../base/errors.ts";
import type { ExitReason, From } from "../core/envelope.ts";
import type { Definition, DefinitionName, OptionsOf, Ref } from "../core/gen_server.ts";
import type { Former } from "../core/hand_over.ts";
import type { LiveNames } from "../core/live_names.ts";
import type { Pid, Target } from "../core/pid.ts";
import type { Asked, ForwardedRequest, Self, SpawnOptions, TimerRef } from "../core/self.ts";
import type { Clock } from "../seams/clock.ts";
import type { Logger } from "../seams/log.ts";
import type { Random } from "../seams/random.ts";
import type { Image } from "../wire/value_image.ts";

/** What was asked of others. */
interface Operation {
  readonly what: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** What a `ReplaySelf` has of its replay. */
export interface ReplayScript {
  readonly pid: Pid;
  readonly name: string;
  /** How many operations came before. */
  readonly operations: number;
  readonly names: LiveNames;
  valueOf(image: Image): unknown;
  /** Something was not as in the capsule. */
  note(text: string): void;
  /** Something is needed that no capsule has: from here on nothing follows from what happens. */
  unclear(text: string): void;
}

export class ReplaySelf implements Self {
  readonly pid: Pid;
  readonly name: string;
  readonly random: Random;
  readonly clock: Pick<Clock, "now" | "monotonicMs">;
  readonly #world: Self;
  readonly #script: ReplayScript;
  readonly #open = new Map<number, Operation>();
  #values = new Map<string, Image[]>();
  #nextOperation: number;
  #nextTimer = 1;

  /** `world`: the self of the simulated process. */
  constructor(world: Self, script: ReplayScript) {
    this.#world = world;
    this.#script = script;
    this.#nextOperation = script.operations;
    this.pid = script.pid;
    this.name = script.name;
    this.random = {
      next: (site) => this.#told(`random.next ${site}`, () => world.random.next(site)),
      bytes: (site, count) => this.#told(`random.bytes ${site}`, () => world.random.bytes(site, count)),
    };
    this.clock = {
      now: () => this.#told("clock.now", () => world.clock.now()),
      monotonicMs: () => this.#told("clock.monotonicMs", () => world.clock.monotonicMs()),
    };
    script.names.self(this);
  }

  // --- for the replay ------------------------------------------------------------------------------------------

  /** A turn begins: what it will be told. */
  begin(values: Map<string, Image[]>): void {
    this.#values = values;
  }

  /** What it asked is answered. What was asked before the capsule begins has no one left who waits. */
  settle(number: number, what: string, ok: boolean, value: unknown): void {
    const operation = this.#open.get(number);
    this.#open.delete(number);
    if (operation?.what !== what) {
      if (number >= this.#script.operations)
        this.#script.note(
          `${what}: was asked then, and is not asked ${operation === undefined ? "" : "here "}now`,
        );
    } else if (ok) operation.resolve(value);
    else operation.reject(value);
  }

  /** In words, what was asked and never answered. */
  get unanswered(): string[] {
    return [...this.#open.values()].map(({ what }) => what);
  }

  #told<T>(key: string, otherwise: () => T): T {
    const image = this.#values.get(key)?.shift();
    if (image !== undefined) return this.#script.valueOf(image) as T;
    this.#script.note(`${key}: the capsule has no value for it here; one was made up`);
    return otherwise();
  }

  #ask<T>(what: string): Promise<T> {
    const number = this.#nextOperation++;
    return new Promise<unknown>((resolve, reject) => {
      this.#open.set(number, { what, resolve, reject });
    }) as Promise<T>;
  }

  // --- what it is told -----------------------------------------------------------------------------------------

  get trace(): string {
    return this.#told("trace", () => "");
  }

  get deadlineMs(): number {
    return this.#told("deadlineMs", () => 0);
  }

  remainingMs(): number {
    return this.#told("remainingMs", () => Number.POSITIVE_INFINITY);
  }

  get signal(): AbortSignal {
    return this.#world.signal;
  }

  get log(): Logger {
    const { log } = this.#world;
    this.#script.names.log(log);
    return log;
  }

  spawn<D extends Definition>(definition: D, _options: OptionsOf<D>, _spawn?: SpawnOptions): Promise<Pid> {
    return this.#ask(`spawn ${definition.name}`);
  }

  spawnNamed(definition: DefinitionName, _options: unknown, _spawn?: SpawnOptions): Promise<Pid> {
    return this.#ask(`spawn ${definition.name}`);
  }

  ref<D extends Definition>(definition: D, target: Target): Ref<D> {
    const { call = {}, cast = {} } = definition.callbacks as Record<"call" | "cast", object | undefined>;
    const calls = Object.keys(call).map((method) => [method, () => this.#ask(`call ${method}`)]);
    const casts = Object.keys(cast).map((method) => [method, () => undefined]);
    const ref = { target, call: Object.fromEntries(calls), cast: Object.fromEntries(casts) } as Ref<D>;
    this.#script.names.ref(ref, definition);
    return ref;
  }

  whereis(name: string): Pid | undefined {
    return this.#told(`whereis ${name}`, () => undefined);
  }

  castAfter(_delayMs: number, _method: string, _message?: unknown): TimerRef {
    return this.#told("castAfter", () => ({ id: this.#nextTimer++ }));
  }

  sleep(_delayMs: number): Promise<void> {
    return this.#ask("sleep");
  }

  monitor(_pid: Pid): number {
    return this.#told("monitor", () => 0);
  }

  ask(_target: Target, { method }: ForwardedRequest): Promise<unknown> {
    return this.#ask(`call ${method}`);
  }

  askCancelable(target: Target, request: ForwardedRequest): Asked {
    return { ref: 0, callee: undefined, answer: this.ask(target, request) };
  }

  handOver(_pid: Pid, _timeoutMs: number): Promise<Former> {
    return this.#ask("handOver");
  }

  resume(_pid: Pid): Promise<void> {
    return this.#ask("resume");
  }

  stop(
    _pid: Pid,
    _options: { readonly reason: ExitReason; readonly timeoutMs: number },
  ): Promise<ExitReason> {
    return this.#ask("stop");
  }

  threads(): readonly number[] {
    return this.#told("threads", () => [this.pid.thread]);
  }

  awayThread(_placement: SpawnOptions["thread"]): string | undefined {
    return this.#told("awayThread", () => undefined);
  }

  /** Resources are never in a capsule: they are the replay's own. */
  resource<T>(name: string): T {
    try {
      return this.#world.resource<T>(name);
    } catch (error) {
      this.#script.unclear(`it uses the resource ${name}: give one to the replay`);
      throw error;
    }
  }

  // --- what it sends -------------------------------------------------------------------------------------------

  /** Its outcome comes as a message; its error must not end the replay. */
  pipe<Context>(promise: Promise<unknown>, _method: string, _context: Context): void {
    promise.catch(() => undefined);
  }

  send(_target: Target, _message: unknown): void {}
  reply<Reply>(_from: From<Reply>, _value: Reply): void {}
  replyError(_from: From, _error: ErrorData): void {}
  cancelTimer(_timer: TimerRef): void {}
  castSelf(_method: string, _message?: unknown): void {}
  continueWith(_method: string, _message?: unknown): void {}
  idleAfter(_delayMs: number, _method: string, _message?: unknown): void {}
  trapExit(): void {}
  link(_pid: Pid): void {}
  unlink(_pid: Pid): void {}
  demonitor(_ref: number): void {}
  giveUp(_asked: Asked): void {}
  exit(_pid: Pid, _reason: ExitReason): void {}
}

/**
 * gen_server: what an actor's module declares. One module is one behaviour: a thread imports it by its URL, so no
 * closure crosses a thread. State is the process's own and may be mutated in a turn.
 *
 * A call handler's return value is the reply; `noReply` defers it (answer later by `self.reply(from, value)`);
 * `stop(reason)` ends the process. A thrown NanoError is answered to the caller and the process lives on;
 * anything else that is thrown is a crash. Source of the behaviour: OTP's gen_server.
 */

import { NanoError } from "../base/errors.ts";
import type { Sendable } from "../wire/sendable.ts";
import type { ExitReason, From } from "./envelope.ts";
import type { CodeChange } from "./hand_over.ts";
import type { Pid, Target } from "./pid.ts";
import type { Self } from "./self.ts";

/** The one alias for `any`: positions where TypeScript infers from a constraint. */
// biome-ignore lint/suspicious/noExplicitAny: a constraint in an inference position accepts every function
export type Inferred = any;

class NoReply {
  readonly #brand = true;
  static is(value: unknown): boolean {
    return typeof value === "object" && value !== null && #brand in value && value.#brand;
  }
}

export type { NoReply };

/** Returned by a call handler that will answer later. */
export const noReply = new NoReply();

/** Returned by an `init` that does not want its process to run. */
export class Ignore {
  readonly #brand = true;

  static is(value: unknown): value is Ignore {
    return typeof value === "object" && value !== null && #brand in value && value.#brand;
  }
}

/**
 * Returned by `init`: the process ends as `normal`, its starter gets the error `ignored`. A supervisor keeps the
 * child's spec without a pid (a temporary child's is dropped) and goes on.
 */
export const ignore = new Ignore();

/** Returned by a handler to end its process after this turn. */
export class Stop {
  readonly reason: ExitReason;
  readonly reply: unknown;
  readonly hasReply: boolean;
  readonly #brand = true;

  constructor(reason: ExitReason, hasReply: boolean, reply: unknown) {
    this.reason = reason;
    this.hasReply = hasReply;
    this.reply = reply;
  }

  static is(value: unknown): value is Stop {
    return typeof value === "object" && value !== null && #brand in value && value.#brand;
  }
}

/** Ends the process after this turn, with `reason` (default `normal`). */
export function stop(reason: ExitReason = "normal"): Stop {
  return new Stop(reason, false, undefined);
}

/** Answers the caller and ends the process. The reply's type is not checked. */
export function stopWith(reply: unknown, reason: ExitReason = "normal"): Stop {
  return new Stop(reason, true, reply);
}

/** What a process hears that is neither call nor cast. */
export type Info =
  | { readonly type: "exit"; readonly pid: Pid; readonly reason: ExitReason }
  | { readonly type: "down"; readonly ref: number; readonly pid: Pid; readonly reason: ExitReason }
  | { readonly type: "message"; readonly message: unknown };

/** How a piped promise ended; see `Self.pipe`. */
export type Piped<Context, Value> =
  | { readonly context: Context; readonly ok: true; readonly value: Value }
  | { readonly context: Context; readonly ok: false; readonly error: NanoError };

type MaybePromise<T> = T | Promise<T>;

export type CallHandler<State> = (state: State, message: Inferred, from: Inferred) => unknown;
/** What ends a turn that answers nobody: usually nothing. */
export type TurnEnd = Stop | undefined | void | Promise<Stop | undefined> | Promise<void>;
export type CastHandler<State> = (state: State, message: Inferred) => TurnEnd;

export interface Callbacks<
  Options,
  State,
  Calls extends Record<string, CallHandler<State>>,
  Casts extends Record<string, CastHandler<State>>,
  Refusal = never,
  Saved = Inferred,
  Former = Inferred,
> {
  /** Makes the first state, or `ignore`. A throw fails the start; NanoError codes reach whoever started it. */
  init(this: void, options: Options, self: Self): MaybePromise<State | Refusal>;
  readonly call?: Calls;
  readonly cast?: Casts;
  /**
   * Whether the calls that this process makes inherit the deadline of the request in hand. `own`: they don't, unless
   * one says so; for a process that serves many requests by one call, or works beside its turns. Default: `inherited`.
   */
  readonly deadlines?: "inherited" | "own";
  info?(this: void, state: State, message: Info): TurnEnd;
  /**
   * The caller of a call that was taken and deferred gave up (its AbortSignal fired): no answer is awaited. `graceMs`
   * is the call's `cancelGraceMs`; who deferred is not killed after it, because it holds up nobody.
   */
  canceled?(this: void, state: State, from: From, graceMs: number): TurnEnd;
  /** Runs when the process ends by `stop`, by its supervisor or by a crash; not when it is killed. */
  terminate?(this: void, state: State, reason: ExitReason): MaybePromise<void>;
  /** What `sys` and crash reports may show of the state. */
  formatStatus?(this: void, state: State): unknown;
  /**
   * What `System.replaceState` does, between two turns: returns the state from then on, and leaves the one it was
   * given as it is. If it throws, nothing has changed. Without it nobody replaces the state from outside.
   */
  replaceState?(this: void, state: State, change: Inferred): State;
  /** Told to the `codeChange` of whoever takes over from this version. Default: "". */
  readonly version?: string;
  /**
   * Makes plain data of the state for a process of the next version, which takes over: docs/guides/hot-upgrade.md.
   * Leaves the state as it is: if the next version can't, this one goes on. It is the last word of one that is taken
   * over from: there is no `terminate`. Default: the state itself.
   */
  handOver?(this: void, state: State): Saved;
  /**
   * Runs instead of `init` where a process takes over from another version's: makes the first state of what that one
   * handed over, and starts anew what can't be handed over, as timers. If it throws, the other one goes on.
   */
  codeChange?(this: void, saved: Former, self: Self, change: CodeChange<Options>): MaybePromise<State>;
  /**
   * Methods whose messages and answers never leave their thread, because they hold what can't: live objects, functions.
   * Development's wire check leaves them alone. Type such a message `unknown`.
   */
  readonly local?: readonly string[];
  /** What crash capsules may hold; false: there are none of this definition, whoever asks for one. */
  readonly capsule?: false | CapsuleRules;
}

/**
 * Crash capsules of a definition's processes: docs/guides/crash-capsules.md. A definition that has a `formatStatus`
 * shows that its state is not for everybody: it is recorded only if it has rules, too.
 */
export interface CapsuleRules {
  /** Records every process of this definition: its last messages, so many at least. 1 to 100,000. */
  readonly messages?: number;
  /**
   * What is written instead of a value of states, messages and answers, as with the replacer of JSON.stringify: asked
   * for each value and, with its key, for each in it. Must not change what it gets.
   */
  readonly redact?: (key: string, value: unknown) => unknown;
  /** Makes plain data of a state that is none (instances of classes, resources); `restore` makes the state of it. */
  readonly save?: (state: Inferred) => unknown;
  readonly restore?: (saved: Inferred, self: Self) => unknown;
}

/** A behaviour: how to find its module from any thread, and its callbacks. */
export interface Definition<
  Options = Inferred,
  State = Inferred,
  Calls = Inferred,
  Casts = Inferred,
  Saved = Inferred,
  Former = Inferred,
> {
  readonly module: string;
  readonly name: string;
  readonly callbacks: Callbacks<Options, State, Inferred, Inferred>;
  /** Never set: they carry types. */
  readonly callTypes?: Calls;
  readonly castTypes?: Casts;
  readonly savedType?: Saved;
  readonly takesType?: Former;
}

/** `New`, if its `codeChange` takes what `Old` hands over, across threads; else words that no definition fits. */
export type TakesOver<Old extends Definition, New extends Definition> =
  Old extends Definition<Inferred, Inferred, Inferred, Inferred, infer Saved, Inferred>
    ? New extends Definition<Inferred, Inferred, Inferred, Inferred, Inferred, infer Former>
      ? Sendable<Saved> extends Former
        ? New
        : "its codeChange does not take what the other version's handOver gives"
      : never
    : never;

/** How a definition is named across threads. */
export interface DefinitionName {
  readonly module: string;
  readonly name: string;
}

/**
 * Declares a behaviour. `module` is `import.meta.url`; `name` is the export under which the module offers it.
 * Errors: `bad_argument` when the name is empty, `undef` when there is no `init`.
 */
export function genServer<
  Options,
  State,
  Calls extends Record<string, CallHandler<State>>,
  Casts extends Record<string, CastHandler<State>>,
  Saved = State,
  Former = never,
>(
  module: string,
  name: string,
  callbacks: Callbacks<Options, State, Calls, Casts, Ignore, Saved, Former>,
): Definition<Options, State, Calls, Casts, Saved, Former> {
  if (name === "") throw new NanoError("bad_argument", "genServer: name is empty; give the export's name");
  if (typeof callbacks.init !== "function")
    throw new NanoError("undef", `genServer ${name}: there is no init`, { field: "init" });
  // The process looks for `ignore` before it takes anything for its state.
  return {
    module,
    name,
    callbacks: callbacks as Callbacks<Options, State, Calls, Casts, never, Saved, Former>,
  };
}

export interface CallOptions {
  /** How long to wait, ms. Default: `limits.callTimeoutMs`. Infinity waits for ever. */
  readonly timeoutMs?: number;
  /**
   * Withdraws the call when it fires: the caller gets `canceled`; a request that waits is never taken; one that is in
   * hand has its `Self.signal` fired.
   */
  readonly signal?: AbortSignal;
  /**
   * With `signal`: how long the handler may go on after it fired, ms; then its process is killed. Default: Infinity,
   * nobody is killed, because a process that serves many must not die of one caller's change of mind.
   */
  readonly cancelGraceMs?: number;
  /**
   * For a call that a process makes: whose deadline holds for it beside its own. `true`: that of the request in hand;
   * `false`: nobody's; a `From`: that of a request whose answer was deferred. Default: see `Callbacks.deadlines`.
   */
  readonly inherit?: boolean | From;
  /** W3C traceparent that travels in the envelope. */
  readonly trace?: string;
}

type FromReply<F> = F extends (state: Inferred, message: Inferred, from: From<infer Reply>) => unknown
  ? Reply
  : never;

/** `From<number>` as third parameter names the reply of a handler that only defers. */
type ReplyOf<F> = F extends (...args: Inferred) => infer Returned
  ? Exclude<Awaited<Returned>, NoReply | Stop> extends infer Direct
    ? [Direct] extends [never]
      ? FromReply<F>
      : Direct
    : never
  : never;

type MessageOf<F> = F extends (...args: infer Arguments) => unknown
  ? Arguments["length"] extends 0 | 1
    ? undefined
    : Arguments[1]
  : never;

type CallFunction<F> =
  undefined extends MessageOf<F>
    ? (message?: Sendable<MessageOf<F>>, options?: CallOptions) => Promise<Sendable<ReplyOf<F>>>
    : (message: Sendable<MessageOf<F>>, options?: CallOptions) => Promise<Sendable<ReplyOf<F>>>;

type CastFunction<F> =
  undefined extends MessageOf<F>
    ? (message?: Sendable<MessageOf<F>>) => void
    : (message: Sendable<MessageOf<F>>) => void;

/** A missing `call` or `cast` infers its constraint, whose keys are `string`: it has no methods. */
type Methods<Handlers> = string extends keyof Handlers ? Record<never, never> : Handlers;

export type CallsOf<D> =
  D extends Definition<Inferred, Inferred, infer Calls, Inferred>
    ? { readonly [K in keyof Methods<Calls>]: CallFunction<Methods<Calls>[K]> }
    : never;

export type CastsOf<D> =
  D extends Definition<Inferred, Inferred, Inferred, infer Casts>
    ? { readonly [K in keyof Methods<Casts>]: CastFunction<Methods<Casts>[K]> }
    : never;

export type OptionsOf<D> =
  D extends Definition<infer Options, Inferred, Inferred, Inferred> ? Options : never;

/** A typed way to a process, by pid or by name. */
export interface Ref<D extends Definition> {
  readonly target: Target;
  readonly call: CallsOf<D>;
  readonly cast: CastsOf<D>;
}

/** True for the value that defers a reply. */
export function isNoReply(value: unknown): boolean {
  return NoReply.is(value);
}

/** Errors: `undef`. */
export function handlerOf(
  handlers: Record<string, (state: unknown, message: unknown, from: unknown) => unknown> | undefined,
  method: string,
): (state: unknown, message: unknown, from: unknown) => unknown {
  const handler = handlers !== undefined && Object.hasOwn(handlers, method) ? handlers[method] : undefined;
  if (handler === undefined) throw new NanoError("undef", `no handler named ${method}`);
  return handler;
}

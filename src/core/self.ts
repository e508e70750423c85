/** What a process may do: its view of the runtime, given to `init` and kept in its state. */

import type { ErrorData } from "../base/errors.ts";
import type { Clock } from "../seams/clock.ts";
import type { Logger } from "../seams/log.ts";
import type { Random } from "../seams/random.ts";
import type { CapsuleWish } from "./capsules.ts";
import type { ExitReason, From } from "./envelope.ts";
import type { Definition, DefinitionName, OptionsOf, Ref } from "./gen_server.ts";
import type { Former } from "./hand_over.ts";
import type { Pid, Target } from "./pid.ts";

export interface MailboxLimits {
  /** Messages that may wait. */
  readonly max: number;
  /** Estimated bytes that may wait; Infinity: not counted. */
  readonly bytesMax: number;
  /**
   * `refuse` (the default): a call is answered `overloaded`, a cast or message is dropped. `discard`: the oldest that
   * waits makes room, counted as a dead letter, a call among them answered `overloaded`. Ends of linked and watched
   * processes, timers and what a process sends itself always find room. There is no policy that blocks the sender: a
   * caller waits anyway, and a cast returns nothing that could be waited for.
   */
  readonly whenFull?: "refuse" | "discard";
}

export interface SpawnOptions {
  /** Registered system-wide; `already_started` if taken. */
  readonly name?: string;
  /** A thread's number, `"any"`, or the thread of another process. Default: the starter's thread. */
  readonly thread?: number | "any" | { readonly with: Pid };
  readonly link?: boolean;
  readonly mailbox?: MailboxLimits;
  /** How long `init` may take, ms; Infinity waits for ever. Default: 30,000. */
  readonly initTimeoutMs?: number;
  /** Keeps its last messages for a crash capsule, if the system has a folder for them. Default: the definition's. */
  readonly capsule?: CapsuleWish;
  /** It takes over from a process of another version, by what `Self.handOver` gave: `codeChange` runs, not `init`. */
  readonly former?: Former;
}

export interface ForwardedRequest {
  readonly kind: "call" | "cast";
  readonly method: string;
  readonly message: unknown;
  readonly deadlineMs: number;
  /**
   * The callee sees the deadline; who asks waits past it, until the callee is done with the request. Default: false.
   */
  readonly untilDone?: boolean;
  /** Default: "". */
  readonly trace?: string;
}

/** A request under way. */
export interface Asked {
  readonly ref: number;
  readonly callee: Pid | undefined;
  readonly answer: Promise<unknown>;
}

export interface TimerRef {
  readonly id: number;
}

export interface Self {
  readonly pid: Pid;
  /** The registered name, or "". */
  readonly name: string;
  /**
   * The W3C traceparent that came with the message in hand, or "". A handler gives it on with what it calls:
   * `{ trace: self.trace }`.
   */
  readonly trace: string;
  readonly log: Logger;
  readonly random: Random;
  readonly clock: Pick<Clock, "now" | "monotonicMs">;
  /** Of the request in hand, wall-clock ms; 0: it has none, no request is in hand, or it has been answered. */
  readonly deadlineMs: number;
  /** How long the caller of the request in hand still waits, ms, 0 at least; Infinity: there is no deadline. */
  remainingMs(): number;
  /**
   * Fires when the caller of the request in hand gives up or its deadline passes, or when this process ends; the
   * reason is a NanoError, `canceled` or `timeout`. It goes on to hold for a request whose answer is deferred in the
   * turn in which this was read. Where no request is in hand it fires at the end of the process only.
   */
  readonly signal: AbortSignal;

  /** Starts a process; resolves when its `init` is done. Errors: what `init` threw, `already_started`, `timeout`. */
  spawn<D extends Definition>(definition: D, options: OptionsOf<D>, spawn?: SpawnOptions): Promise<Pid>;
  /** The same by the definition's name: for supervisors, whose children are data. */
  spawnNamed(definition: DefinitionName, options: unknown, spawn?: SpawnOptions): Promise<Pid>;
  ref<D extends Definition>(definition: D, target: Target): Ref<D>;
  /** The same, bound to no definition: for messages whose receiver is chosen by configuration. */
  whereis(name: string): Pid | undefined;
  send(target: Target, message: unknown): void;

  /** Answers a deferred call, from any process; a late answer is dropped and counted. */
  reply<Reply>(from: From<Reply>, value: Reply): void;
  replyError(from: From, error: ErrorData): void;

  /**
   * When `promise` settles, this process gets the cast `method` with `{ context, ok, value | error }`: so that what
   * follows an await happens in a turn of its own.
   */
  pipe<Context>(promise: Promise<unknown>, method: string, context: Context): void;
  /** This process gets the cast `method` after at least `delayMs`; cancelled when it ends. */
  castAfter(delayMs: number, method: string, message?: unknown): TimerRef;
  cancelTimer(timer: TimerRef): void;
  /**
   * For a procedure of several awaits beside the turns (see `pipe`): resolves after at least `delayMs`; never,
   * if this process has ended by then.
   */
  sleep(delayMs: number): Promise<void>;
  /** This process gets the cast `method` after what is already in its mailbox. */
  castSelf(method: string, message?: unknown): void;
  /**
   * This process gets the cast `method` next, before anything that is in its mailbox; several in the order in which
   * they were asked for. From `init` it comes before the first message. OTP's `{continue, _}`.
   */
  continueWith(method: string, message?: unknown): void;
  /**
   * This process gets the cast `method` if nothing comes for `delayMs` after this turn (or `init`); any message
   * interrupts, and the wish has to be renewed. OTP's time-out of a gen_server's return value.
   */
  idleAfter(delayMs: number, method: string, message?: unknown): void;

  /**
   * From now on, ends of linked processes arrive as `info` instead of ending this one; but the end of the process that
   * started it (with a link) ends it as ever.
   */
  trapExit(): void;
  link(pid: Pid): void;
  unlink(pid: Pid): void;
  /** `info` hears `down` once when `pid` ends; at once if it has. Returns the reference of that message. */
  monitor(pid: Pid): number;
  demonitor(ref: number): void;
  /** Asks a process to end. `killed` ends it without `terminate`. */
  exit(pid: Pid, reason: ExitReason): void;

  /**
   * Sends any call, or a cast that is answered when it has run. For dispatchers, which forward what they don't know.
   * `deadlineMs` is absolute; 0 is never; no other deadline is inherited.
   */
  ask(target: Target, request: ForwardedRequest): Promise<unknown>;
  /** The same, for who may have to give it up. */
  askCancelable(target: Target, request: ForwardedRequest): Asked;
  /** Whoever has it in hand is told by its signal; who has not taken it answers `canceled`. The answer still comes. */
  giveUp(asked: Asked): void;

  /**
   * Asks a process for what a process of another version needs to take over (`SpawnOptions.former`). It is behind what
   * waits in its mailbox; then it takes no more, until `resume`. Errors: `noproc`, `crashed`, `timeout` after
   * `timeoutMs`: then it may still hand over, and stand until it is resumed.
   */
  handOver(pid: Pid, timeoutMs: number): Promise<Former>;
  /** As `System.resume`. Errors: `noproc`. */
  resume(pid: Pid): Promise<void>;

  /** Asks a process to end, waits for it, and kills it when it takes longer than `timeoutMs`. Returns why it ended. */
  stop(pid: Pid, options: { readonly reason: ExitReason; readonly timeoutMs: number }): Promise<ExitReason>;

  /** What the thread's set-up opened under this name. Errors: `bad_argument` if there is nothing. */
  resource<T>(name: string): T;
  /** All live threads of the system, the main one (0) included. */
  threads(): readonly number[];
  /** In words, which thread a process that is placed so has to wait for; undefined if it can start. */
  awayThread(placement: SpawnOptions["thread"]): string | undefined;
}

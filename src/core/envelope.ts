/**
 * The envelope: what every message between processes carries. Plain data; between threads it is msgpack.
 * Fields that a message does not need are left at their zero, so that all envelopes have one shape.
 */

import type { ErrorData } from "../base/errors.ts";
import type { Pid } from "./pid.ts";

/** Names a waiting call. May be stored, sent on, and answered later from any process. */
export interface From<Reply = unknown> {
  readonly pid: Pid;
  /** Unique within the caller's thread and incarnation. */
  readonly ref: number;
  /** Absolute wall-clock ms after which the caller no longer waits; 0 is never. */
  readonly deadlineMs: number;
  /** Never set: it only carries the reply's type. */
  readonly replyType?: Reply;
}

/** Why a process ended. `normal` and `shutdown` are not crashes. */
export type ExitReason =
  | "normal"
  | "shutdown"
  | "killed"
  | "noproc"
  | { readonly shutdown: unknown }
  /** `reason`: how its thread ended, see docs/guides/when-a-thread-hangs-or-dies.md. Not known in the simulator. */
  | { readonly thread: "down"; readonly reason?: string }
  | { readonly crash: ErrorData };

/** How a reply ends: a value, or an error. */
export type Outcome =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: ErrorData };

/** Callers of one thread's life are told apart by reference. */
export function isSameCall(one: From | undefined, other: From): boolean {
  return (
    one?.ref === other.ref &&
    one.pid.thread === other.pid.thread &&
    one.pid.incarnation === other.pid.incarnation
  );
}

/** What a `cancel` says. */
export interface Cancel {
  /** `timeout`: the caller's own deadline has passed. */
  readonly code: "canceled" | "timeout";
  /** How long the handler may go on; then its process is killed. Infinity: it is not. */
  readonly graceMs: number;
  /** Whether an answer is awaited all the same: a dispatcher's, which must know when its worker is free. */
  readonly answer: boolean;
}

/** What whoever deferred the answer hears of it. */
export interface Canceled {
  readonly from: From;
  readonly graceMs: number;
}

export type EnvelopeKind =
  | "call"
  | "cast"
  | "info"
  | "reply"
  | "cancel" // the caller of `from` gave up
  | "exit" // a linked process ended, or somebody asked this one to
  | "down" // a monitored process ended
  | "link"
  | "unlink"
  | "monitor"
  | "demonitor"
  | "system"; // sys requests, spawn requests and the registry: handled by the host

export interface Envelope {
  readonly kind: EnvelopeKind;
  /** Process id on the receiving thread; 0 is the host itself. */
  readonly to: number;
  /** The handler's name for call and cast, the request's name for system. */
  readonly method: string;
  readonly message: unknown;
  /** The waiting caller of call and cancel, with its deadline; the call that is answered for reply. */
  readonly from: From | undefined;
  /** W3C traceparent, or "". */
  readonly trace: string;
  /** Incarnation of the receiving thread that the sender meant: an older one is dropped. */
  readonly incarnation: number;
}

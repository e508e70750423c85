/**
 * All errors of nanoactor, in one place.
 *
 * An *operating* error (time-out, refused, full disk) is a `NanoError` with a stable code: it is part of a
 * function's signature, it crosses threads and processes as plain data, and a handler may throw it to answer
 * its caller without dying. Anything else that is thrown is a *programmer* error: the process crashes and its
 * supervisor acts. Codes are listed in docs/reference/errors.md.
 */

/** Codes of the runtime. */
export type RuntimeErrorCode =
  | "timeout" // the deadline of a call passed; the outcome is unknown
  | "noproc" // nobody lives under that pid or name
  | "crashed" // the callee died while it held the request; the outcome is unknown
  | "call_cycle" // the call would wait for itself through others (details.chain); it was not taken
  | "overloaded" // a mailbox or a queue is full; nothing was done
  | "discarded" // a factory dropped the job before it ran (details.reason)
  | "canceled" // the caller's AbortSignal fired, or the caller has ended
  | "already_started" // the name is taken (details.pid)
  | "already_present" // a stopped child has this id; restart or delete it
  | "not_found" // the supervisor has no such child
  | "running" // the child is running; terminate it first
  | "restarting" // the restart of the child failed and is being tried again; terminate it first
  | "ignored" // `init` returned `ignore`: nothing was started
  | "undef" // the definition has no such handler
  | "bad_argument" // a value is outside its range (details.field)
  | "rolled_back" // an upgrade failed, the former version is back (details.cause, details.kept)
  | "wire" // bytes from outside are not what the protocol allows
  | "shutdown"; // the system is stopping

/** Codes of the data layer. */
export type DataErrorCode =
  | "blocked" // the cohort is read-only while a failover runs; retry soon
  | "moved" // another site is the authority (details.site, details.term)
  | "held" // the key waits in db_perror for reconciliation after a swap
  | "fenced" // a newer term is in force; nothing was written
  | "rejected" // the store refuses this row for good (details.reason)
  | "conflict" // the row is not in the state the operation needs (details.reason)
  | "lost" // the store is below what others remember of it
  | "unavailable" // the store or the log can't serve now; nothing was acknowledged
  | "closed" // the store or log was closed
  | "locked" // another process, or an earlier opening, has the data directory (details.holder)
  | "newer_format" // written by a newer version (details.found, details.known, details.cure); nothing was changed
  | "unreadable" // what stands on the disk is no format of ours (details.path, details.cure); nothing was changed
  | "unsafe" // a configuration that can't keep the promises (details.hazard)
  | "config"; // a wrong configuration (details.field, details.cure)

export type ErrorCode = RuntimeErrorCode | DataErrorCode | (string & {});

/** An error as it travels in a message. */
export interface ErrorData {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** An operating error: expected, typed by its code, answered to the caller. */
export class NanoError extends Error {
  override readonly name = "NanoError";
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, details: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.code = code;
    this.details = details;
  }
}

/** Makes plain data of anything that was thrown. */
export function toErrorData(error: unknown): ErrorData {
  if (error instanceof NanoError) return { code: error.code, message: error.message, details: error.details };
  if (error instanceof Error) return { code: "crashed", message: `${error.name}: ${error.message}` };
  return { code: "crashed", message: String(error) };
}

/** Makes an error of what travelled. */
export function fromErrorData(data: ErrorData): NanoError {
  return new NanoError(data.code, data.message, data.details ?? {});
}

/** True when `error` is an operating error with this code. */
export function hasCode(error: unknown, code: ErrorCode): error is NanoError {
  return error instanceof NanoError && error.code === code;
}

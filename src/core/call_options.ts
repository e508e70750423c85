/**
 * What a call's options may be, and which deadline holds for a call that a process makes while it answers another:
 * the earlier of its own and of that of the request on whose behalf it is made. Pure.
 */

import { type ErrorData, NanoError } from "../base/errors.ts";
import type { Clock } from "../seams/clock.ts";
import type { From } from "./envelope.ts";
import type { CallOptions } from "./gen_server.ts";
import { coreLimits } from "./limits.ts";
import { formatPid, type Pid } from "./pid.ts";
import type { Process } from "./process.ts";
import type { Asked } from "./self.ts";

/** What is wrong with a call's options: `bad_argument` naming the field, or `canceled`; undefined if nothing is. */
export function refusedOptions(method: string, timeoutMs: number, options: CallOptions) {
  const { signal, inherit, cancelGraceMs } = options;
  if (!(timeoutMs >= 0)) {
    const text = `${method}: timeoutMs must be 0 or more, not ${String(timeoutMs)}`;
    return new NanoError("bad_argument", text, { field: "timeoutMs" });
  }
  if (inherit !== undefined && typeof inherit !== "boolean" && !hasDeadline(inherit)) {
    const text = `${method}: inherit must be true, false, or the From of a request`;
    return new NanoError("bad_argument", text, { field: "inherit" });
  }
  if (cancelGraceMs !== undefined && !isGrace(cancelGraceMs)) {
    const range = `0 to ${coreLimits.cancelGraceMaxMs}, or Infinity to kill nobody`;
    const text = `${method}: cancelGraceMs must be ${range}, not ${String(cancelGraceMs)}`;
    return new NanoError("bad_argument", text, { field: "cancelGraceMs" });
  }
  if (signal === undefined) return undefined;
  if (typeof (signal as Partial<AbortSignal> | null)?.addEventListener !== "function") {
    return new NanoError("bad_argument", `${method}: signal must be an AbortSignal`, { field: "signal" });
  }
  if (!signal.aborted) return undefined;
  return new NanoError("canceled", `${method}: the signal had fired before the call`);
}

/** Whose deadline holds for a call that `asker` makes now, beside its own, wall-clock ms; 0: nobody's. */
export function inheritedDeadline(asker: Process, inherit: CallOptions["inherit"]): number {
  if (typeof inherit === "object") return inherit.deadlineMs;
  const inherits = inherit ?? asker.definition.callbacks.deadlines !== "own";
  return inherits ? asker.deadlineMs : 0;
}

/** The error of a call whose inherited deadline passed. `sent`: whether it had been sent by then. */
export function inheritedTimeout(method: string, sent: boolean): NanoError {
  const text = `${method}: no answer before the deadline of the request that it was made for`;
  return new NanoError("timeout", text, sent ? { inherited: true } : { inherited: true, sent });
}

/** The error of a call with an inherited deadline, as its callee tells it: it may have been too late there. */
export function ofInherited({ code, message, details = {} }: ErrorData, callee: Pid): NanoError {
  const isLate = code === "timeout" && details.untakenBy === formatPid(callee);
  return new NanoError(code, message, isLate ? { ...details, inherited: true } : details);
}

/** A request that was not sent. */
export function refusedAsk(error: NanoError): Asked {
  return { ref: 0, callee: undefined, answer: Promise.reject(error) };
}

function hasDeadline(inherit: From | null): boolean {
  return typeof inherit?.deadlineMs === "number";
}

function isGrace(graceMs: number): boolean {
  if (typeof graceMs !== "number") return false;
  return graceMs === Number.POSITIVE_INFINITY || (graceMs >= 0 && graceMs <= coreLimits.cancelGraceMaxMs);
}

/** Monotonic ms, for a deadline that came with a request. */
export function dueMs(clock: Clock, deadlineMs: number): number {
  return deadlineMs === 0 ? Number.POSITIVE_INFINITY : clock.monotonicMs() + deadlineMs - clock.now();
}

/** Wall-clock ms, for it crosses threads and nodes; 0 is never. */
export function deadlineIn(clock: Pick<Clock, "now">, timeoutMs: number): number {
  return timeoutMs === Number.POSITIVE_INFINITY ? 0 : clock.now() + timeoutMs;
}

/**
 * How a call is given up. At its caller: the signal fires, the call fails with `canceled`, the callee's host is told.
 * There a request that waits is withdrawn; the handler that has it in hand hears of it by its signal, and its process
 * is killed after the grace; who deferred the answer hears of it by the signal of that turn and by `canceled`.
 */

import { hasCode, NanoError } from "../base/errors.ts";
import { inheritedTimeout } from "./call_options.ts";
import type { DeferredCalls } from "./deferred_calls.ts";
import type { Cancel, From } from "./envelope.ts";
import type { CallOptions } from "./gen_server.ts";
import type { Host } from "./host.ts";
import type { Pid } from "./pid.ts";
import type { Process } from "./process.ts";

/** Gives the open call up when the signal of its options fires. */
export function cancelOn(host: Host, options: CallOptions, callee: Pid, method: string, from: From): void {
  const { signal, cancelGraceMs: graceMs = Number.POSITIVE_INFINITY } = options;
  if (signal === undefined) return;
  const canceled = (): void => {
    // By the deadline of the request that it was made for, not by anybody's wish.
    const code = hasCode(signal.reason, "timeout") ? "timeout" : "canceled";
    const error = code === "timeout" ? inheritedTimeout(method, true) : gaveUp(method);
    if (!host.pending.fail(from.ref, error)) return;
    host.post("cancel", callee, method, { code, graceMs, answer: false } satisfies Cancel, from);
  };
  signal.addEventListener("abort", canceled, { once: true });
  // A signal may outlive a million calls.
  host.pending.onSettled(from.ref, () => signal.removeEventListener("abort", canceled));
}

function gaveUp(method: string): NanoError {
  return new NanoError("canceled", `${method}: the caller gave up`);
}

/** At the callee's host. `callee` is undefined if it has ended. False: nobody had to be told. */
export function cancelHere(
  host: Host,
  deferred: DeferredCalls,
  callee: Process | undefined,
  from: From,
  cancel: Cancel,
): boolean {
  const { code, graceMs, answer } = cancel;
  const why = code === "timeout" ? "the caller's deadline has passed" : "the caller gave up";
  const canceled = new NanoError(code, why);
  if (callee?.withdraw(from) === true) {
    if (answer) host.reply(from, { ok: false, error: { code: canceled.code, message: canceled.message } });
    return true;
  }
  if (callee?.cancelInHand(from, canceled, cancel) === true) return true;
  const owed = answer ? deferred.find(from) : deferred.take(from);
  if (owed === undefined) return false;
  owed.signal?.fire(canceled);
  if (owed.process.definition.callbacks.canceled === undefined) return false;
  host.signal(owed.process, { from, graceMs }, "cancel");
  return true;
}

/**
 * How a call is given up. At its caller: the signal fires, the caller is answered `canceled`, the callee's host is told.
 * There: a request that waits is withdrawn; the handler that has it in hand hears of it by its signal, and its process
 * is killed after the grace; a process that deferred the answer hears of it by the same signal and by `canceled`.
 */

import { NanoError } from "../base/errors.ts";
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
    if (!host.pending.fail(from.ref, new NanoError("canceled", `${method}: the caller gave up`))) return;
    host.post("cancel", callee, method, { graceMs, answer: false } satisfies Cancel, from);
  };
  signal.addEventListener("abort", canceled, { once: true });
  // A signal may outlive a million calls.
  host.pending.onSettled(from.ref, () => signal.removeEventListener("abort", canceled));
}

/** At the callee's host. `callee` is undefined if it has ended. False: nobody had to be told. */
export function cancelHere(
  host: Host,
  deferred: DeferredCalls,
  callee: Process | undefined,
  from: From,
  cancel: Cancel,
): boolean {
  const { graceMs, answer } = cancel;
  const canceled = new NanoError("canceled", "the caller gave up");
  if (callee?.withdraw(from) === true) {
    if (answer) host.reply(from, { ok: false, error: { code: canceled.code, message: canceled.message } });
    return true;
  }
  if (callee?.cancelInHand(from, canceled, cancel) === true) return true;
  const owed = answer ? deferred.find(from) : deferred.take(from);
  if (owed === undefined) return false;
  owed.signal?.fire(canceled);
  if (owed.process.definition.callbacks.canceled === undefined) return false;
  host.tell(owed.process, "cancel", { from, graceMs });
  return true;
}

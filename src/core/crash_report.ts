/** What a process's crash tells the log, and those whose requests it had taken. */

import type { Logger } from "../seams/log.ts";
import type { Envelope, ExitReason, Outcome } from "./envelope.ts";
import { formatPid } from "./pid.ts";
import type { Process } from "./process.ts";

export function isCrash(reason: ExitReason): boolean {
  if (typeof reason === "string") return reason === "killed" || reason === "noproc";
  return !("shutdown" in reason);
}

export interface CrashReport {
  readonly reason: ExitReason;
  readonly stack: string | undefined;
  /** What it died of; undefined: `terminate` crashed. */
  readonly envelope: Envelope | undefined;
  /** The file of its crash capsule. */
  readonly capsule: string | undefined;
}

/** The state is shown as `formatStatus` shows it, or not at all. */
export function reportCrash(
  log: Logger,
  { pid, name, definition, state: held }: Process,
  { reason, stack, envelope, capsule }: CrashReport,
): void {
  const { formatStatus } = definition.callbacks;
  let state: unknown;
  try {
    state = formatStatus?.(held);
  } catch (error) {
    state = `formatStatus threw: ${String(error)}`;
  }
  const what =
    typeof reason === "object" && "crash" in reason ? reason.crash.message : JSON.stringify(reason);
  log.error(
    {
      pid: formatPid(pid),
      name,
      definition: definition.name,
      reason,
      lastMessage: { kind: envelope?.kind ?? "terminate", method: envelope?.method ?? "" },
      client: envelope?.from === undefined ? undefined : formatPid(envelope.from.pid),
      state,
      stack,
      capsule,
    },
    `process crashed: ${what}`,
  );
}

/** The answer to a request that its process had taken and not answered when it ended. */
export function heldAtEnd(definition: string, reason: ExitReason): Outcome {
  const cause = typeof reason === "object" && "crash" in reason ? `: ${reason.crash.message}` : "";
  const message = `${definition} ended while it held the request${cause}`;
  return { ok: false, error: { code: "crashed", message, details: { reason } } };
}

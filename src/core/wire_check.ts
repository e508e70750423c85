/**
 * Development's check of messages between processes of one thread. Across threads a message is packed; on one thread it
 * is handed over as it is. A program that works on one thread only, because a message holds what can't be packed or is
 * changed after it was sent, is found here, at the sender's or the handler's line.
 *
 * Always true: what passes arrives on another thread as it is here. A message is frozen, for its sender as well; an
 * answer is handed over as a copy, for it may be a part of its process's state.
 */

import { NanoError } from "../base/errors.ts";
import { type Crossed, cross, freezeDeep } from "../wire/crossing.ts";
import type { Envelope, From, Outcome } from "./envelope.ts";
import type { Host } from "./host.ts";
import type { Process } from "./process.ts";

export class WireCheck {
  readonly #host: Pick<Host, "process" | "pending">;

  constructor(host: Pick<Host, "process" | "pending">) {
    this.#host = host;
  }

  /** Errors: `bad_argument`, with process, method and `details.path`. What a process sends itself never crosses. */
  message({ kind, to, method, message }: Envelope): void {
    if (kind !== "call" && kind !== "cast" && kind !== "info") return;
    const receiver = this.#host.process(to);
    if (isLocal(receiver, method)) return;
    const what =
      method === "" ? `a message to ${nameOf(receiver)}` : `${kind} ${method} of ${nameOf(receiver)}`;
    const sent = kind === "info" ? (message as { readonly message?: unknown }).message : message;
    const crossed = cross(sent);
    if ("fault" in crossed) throw refusal(what, "message", receiver, method, crossed);
    freezeDeep(sent);
  }

  /** What the caller gets: the answer as it would arrive, or the error that it can't. */
  reply(from: From, outcome: Outcome): Outcome {
    const asked = this.#host.pending.asked(from.ref);
    // Nobody waits any more.
    if (asked === undefined) return outcome;
    const { callee: place, method } = asked;
    const callee = place.id === undefined ? undefined : this.#host.process(place.id);
    if (isLocal(callee, method)) return outcome;
    const crossed = cross(outcome.ok ? outcome.value : outcome.error);
    if (!("fault" in crossed)) return outcome.ok ? { ok: true, value: crossed.arrived } : outcome;
    const what = `the answer to ${method} of ${nameOf(callee)}`;
    const { code, message, details } = refusal(what, "reply", callee, method, crossed);
    return { ok: false, error: { code, message, details } };
  }
}

function isLocal(process: Process | undefined, method: string): boolean {
  return process?.definition.callbacks.local?.includes(method) === true;
}

function nameOf(process: Process | undefined): string {
  return process === undefined ? "a process that has ended" : process.name || process.definition.name;
}

function refusal(
  what: string,
  field: string,
  process: Process | undefined,
  method: string,
  { fault: { path, why } }: Extract<Crossed, { readonly fault: unknown }>,
): NanoError {
  const at = path === "" ? "" : ` at ${path}`;
  const text = `${what} would not be the same on another thread${at}: ${why}`;
  return new NanoError("bad_argument", text, { field, path, process: nameOf(process), method });
}

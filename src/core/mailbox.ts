/**
 * What waits for one process, oldest first, bounded by count and by estimated bytes. When it is full it refuses, or
 * drops the oldest that may be dropped; never what the runtime owes the process.
 */

import { RingBuffer } from "../base/ring_buffer.ts";
import { type Envelope, type From, isSameCall } from "./envelope.ts";
import type { MailboxLimits } from "./self.ts";

export class Mailbox {
  readonly #limits: MailboxLimits;
  readonly #onDiscard: (dropped: Envelope) => void;
  readonly #waiting = new RingBuffer<Envelope>();
  /** What is taken before all that waits. */
  #first: RingBuffer<Envelope> | undefined;
  /** Sizes of what waits, if bytes are bounded. */
  readonly #sizes: Map<Envelope, number> | undefined;
  /** What may not be dropped, if anything may. */
  readonly #owed: Set<Envelope> | undefined;
  #bytes = 0;
  discarded = 0;

  constructor(limits: MailboxLimits, onDiscard: (dropped: Envelope) => void) {
    this.#limits = limits;
    this.#onDiscard = onDiscard;
    if (limits.bytesMax !== Number.POSITIVE_INFINITY) this.#sizes = new Map();
    if (limits.whenFull === "discard") this.#owed = new Set();
  }

  get length(): number {
    return this.#waiting.length + (this.#first?.length ?? 0);
  }

  /** False if it is full: nothing was stored. */
  offer(envelope: Envelope): boolean {
    const bytes = this.#sizes === undefined ? 0 : estimateBytes(envelope.message);
    while (this.#waiting.length >= this.#limits.max || this.#bytes + bytes > this.#limits.bytesMax) {
      if (bytes > this.#limits.bytesMax || !this.#discardOldest()) return false;
    }
    if (this.#sizes !== undefined) {
      this.#sizes.set(envelope, bytes);
      this.#bytes += bytes;
    }
    this.#waiting.push(envelope);
    return true;
  }

  /** Whatever the bounds. */
  accept(envelope: Envelope): void {
    this.#owed?.add(envelope);
    this.#waiting.push(envelope);
  }

  /** Whatever the bounds, and before all that waits; several in their order. */
  acceptFirst(envelope: Envelope): void {
    this.#first ??= new RingBuffer();
    this.#first.push(envelope);
  }

  shift(): Envelope | undefined {
    if (this.#first !== undefined && this.#first.length > 0) return this.#first.shift();
    const envelope = this.#waiting.shift();
    if (envelope !== undefined) this.#forget(envelope);
    return envelope;
  }

  /** Takes a call out before it runs; linear. */
  withdraw(from: From): boolean {
    const found = this.#waiting.remove(
      ({ kind, from: caller }) => (kind === "call" || kind === "cast") && isSameCall(caller, from),
    );
    if (found === undefined) return false;
    this.#forget(found);
    return true;
  }

  /** Whether a call waits here; linear. */
  has(from: From): boolean {
    for (let place = 0; place < this.#waiting.length; place++)
      if (isSameCall(this.#waiting.at(place)?.from, from)) return true;
    return false;
  }

  clear(): Envelope[] {
    this.#sizes?.clear();
    this.#owed?.clear();
    this.#bytes = 0;
    return [...(this.#first?.clear() ?? []), ...this.#waiting.clear()];
  }

  #forget(envelope: Envelope): void {
    this.#owed?.delete(envelope);
    if (this.#sizes === undefined) return;
    this.#bytes -= this.#sizes.get(envelope) ?? 0;
    this.#sizes.delete(envelope);
  }

  /** False if nothing may be dropped. */
  #discardOldest(): boolean {
    const owed = this.#owed;
    if (owed === undefined) return false;
    const oldest = this.#waiting.peek();
    const dropped =
      oldest !== undefined && !owed.has(oldest)
        ? this.#waiting.shift()
        : this.#waiting.remove((envelope) => !owed.has(envelope));
    if (dropped === undefined) return false;
    this.#forget(dropped);
    this.discarded++;
    this.#onDiscard(dropped);
    return true;
  }
}

/** A cheap, shallow-biased estimate of what a message keeps alive. */
export function estimateBytes(message: unknown, depth = 0): number {
  if (typeof message === "string") return 24 + message.length;
  if (typeof message !== "object" || message === null) return 8;
  if (message instanceof Uint8Array) return 64 + message.byteLength;
  if (depth >= 4) return 64;
  let bytes = 32;
  if (Array.isArray(message)) for (const item of message) bytes += estimateBytes(item, depth + 1);
  else for (const value of Object.values(message)) bytes += 16 + estimateBytes(value, depth + 1);
  return bytes;
}

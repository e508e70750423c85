/**
 * The calls that processes of this thread have taken and not answered yet: caller -> the process that owes the answer.
 * When that process ends, its callers are answered at once.
 */

import { NanoError } from "../base/errors.ts";
import type { Clock } from "../seams/clock.ts";
import type { From } from "./envelope.ts";
import { coreLimits } from "./limits.ts";
import type { Process } from "./process.ts";
import type { TurnSignal } from "./turn_signal.ts";

export interface Deferred {
  readonly from: From;
  readonly process: Process;
  /** What its handler had asked for in the turn that deferred it. */
  readonly signal: TurnSignal | undefined;
}

export class DeferredCalls {
  readonly #calls = new Map<number, Deferred>();
  #sweepAt: number = coreLimits.deferredSweepAt;

  add(from: From, process: Process, clock: Clock, signal?: TurnSignal): void {
    if (this.#calls.size >= this.#sweepAt) this.#sweep(clock.now());
    const key = keyOf(from);
    this.#calls.set(key, { from, process, signal });
    process.owed ??= new Set();
    process.owed.add(key);
  }

  /** Who owes the answer, if anybody does. */
  find(from: From): Deferred | undefined {
    return this.#calls.size === 0 ? undefined : this.#calls.get(keyOf(from));
  }

  /** It was answered, or nobody waits any more. Returns what was owed. */
  take(from: From): Deferred | undefined {
    const call = this.find(from);
    if (call === undefined) return undefined;
    const key = keyOf(from);
    this.#calls.delete(key);
    call.process.owed?.delete(key);
    return call;
  }

  /** All that a process owes, as it ends. */
  takeAll(process: Process): Deferred[] {
    const taken: Deferred[] = [];
    for (const key of process.owed ?? []) {
      const call = this.#calls.get(key);
      if (call === undefined) continue;
      this.#calls.delete(key);
      taken.push(call);
    }
    process.owed = undefined;
    return taken;
  }

  /** A thread's life ended: nobody waits there any more, and its next life counts its references anew. */
  forgetThread(thread: number, incarnation: number): void {
    for (const { from } of [...this.#calls.values()])
      if (from.pid.thread === thread && from.pid.incarnation === incarnation) {
        const signal = this.take(from)?.signal;
        signal?.fire(new NanoError("canceled", "the caller's thread is down"));
        signal?.release();
      }
  }

  /** A caller on another thread that was answered from a third one is only forgotten here. */
  #sweep(nowMs: number): void {
    for (const { from } of [...this.#calls.values()])
      if (from.deadlineMs > 0 && from.deadlineMs < nowMs) this.take(from)?.signal?.release();
    this.#sweepAt = Math.max(coreLimits.deferredSweepAt, this.#calls.size * 2);
  }
}

/** Callers of one thread are told apart by reference; 4,096 threads fit beside 2^41 references. */
function keyOf(from: From): number {
  return from.ref * 4_096 + from.pid.thread;
}

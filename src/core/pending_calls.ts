/**
 * The calls of one thread that wait for an answer: reference -> how to settle it. Deadlines lie in coarse buckets
 * behind a single timer, because a timer for each call costs three times the call (bench/runtime). A bucket is one of
 * monotonic time: a wall clock that jumps back must not make anybody wait.
 */

import { fromErrorData, NanoError } from "../base/errors.ts";
import type { Clock, TimerHandle } from "../seams/clock.ts";
import type { Outcome } from "./envelope.ts";
import { coreLimits } from "./limits.ts";

interface PendingCall {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: NanoError) => void;
  /** Where the callee lives, to fail the call when that thread dies. */
  readonly thread: number;
  readonly incarnation: number;
  readonly method: string;
  /** Runs once, when the call is settled. */
  settled?: () => void;
}

export class PendingCalls {
  readonly #clock: Clock;
  readonly #calls = new Map<number, PendingCall>();
  /** Bucket number -> references; a bucket is due at its number times the bucket's width. */
  readonly #buckets = new Map<number, number[]>();
  #timer: TimerHandle | undefined;
  #timerBucket = Number.POSITIVE_INFINITY;
  #nextRef = 1;
  /** Answers that came after their call was settled. */
  lateReplies = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  has(ref: number): boolean {
    return this.#calls.has(ref);
  }

  get size(): number {
    return this.#calls.size;
  }

  /** Remembers a call until `settle`, `fail` or `deadlineMs` (wall-clock; 0: never). Returns its reference. */
  open(call: PendingCall, deadlineMs: number): number {
    const ref = this.#nextRef++;
    this.#calls.set(ref, call);
    if (deadlineMs > 0) this.#schedule(ref, this.#clock.monotonicMs() + deadlineMs - this.#clock.now());
    return ref;
  }

  /** Calls `settled` when the call is; at once if it has been. */
  onSettled(ref: number, settled: () => void): void {
    const call = this.#calls.get(ref);
    if (call === undefined) settled();
    else call.settled = settled;
  }

  settle(ref: number, outcome: Outcome): void {
    const call = this.#calls.get(ref);
    if (call === undefined) {
      this.lateReplies++;
      return;
    }
    this.#calls.delete(ref);
    call.settled?.();
    if (outcome.ok) call.resolve(outcome.value);
    else call.reject(fromErrorData(outcome.error));
  }

  fail(ref: number, error: NanoError): boolean {
    const call = this.#calls.get(ref);
    if (call === undefined) return false;
    this.#calls.delete(ref);
    call.settled?.();
    call.reject(error);
    return true;
  }

  /** A thread's life ended: its callees may or may not have done their work. */
  failThread(thread: number, incarnation: number): void {
    for (const [ref, call] of this.#calls) {
      if (call.thread !== thread || call.incarnation !== incarnation) continue;
      this.fail(ref, new NanoError("crashed", `${call.method}: its thread ${thread} went down`));
    }
  }

  failAll(error: NanoError): void {
    for (const ref of [...this.#calls.keys()]) this.fail(ref, error);
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer);
    this.#timer = undefined;
    this.#timerBucket = Number.POSITIVE_INFINITY;
    this.#buckets.clear();
  }

  #schedule(ref: number, dueMs: number): void {
    const bucket = Math.ceil(dueMs / coreLimits.deadlineBucketMs);
    const refs = this.#buckets.get(bucket);
    if (refs === undefined) this.#buckets.set(bucket, [ref]);
    else refs.push(ref);
    if (bucket < this.#timerBucket) this.#arm(bucket);
  }

  #arm(bucket: number): void {
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer);
    this.#timerBucket = bucket;
    const delayMs = Math.max(0, bucket * coreLimits.deadlineBucketMs - this.#clock.monotonicMs());
    this.#timer = this.#clock.setTimer(delayMs, () => this.#expire());
  }

  #expire(): void {
    this.#timer = undefined;
    this.#timerBucket = Number.POSITIVE_INFINITY;
    const nowBucket = Math.floor(this.#clock.monotonicMs() / coreLimits.deadlineBucketMs);
    let next = Number.POSITIVE_INFINITY;
    for (const [bucket, refs] of this.#buckets) {
      if (bucket > nowBucket) {
        next = Math.min(next, bucket);
        continue;
      }
      this.#buckets.delete(bucket);
      for (const ref of refs) this.#timeOut(ref);
    }
    if (next !== Number.POSITIVE_INFINITY) this.#arm(next);
  }

  #timeOut(ref: number): void {
    const method = this.#calls.get(ref)?.method;
    if (method === undefined) return;
    this.fail(ref, new NanoError("timeout", `${method}: no answer before its deadline`));
  }
}

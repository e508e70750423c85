/**
 * The calls of one thread that wait for an answer: reference -> how to settle it. Deadlines lie in coarse buckets
 * behind a single timer, because a timer for each call costs three times the call (bench/runtime). A bucket is one of
 * monotonic time: a wall clock that jumps back must not make anybody wait.
 *
 * Most calls are settled soon after they were opened: the latest lie in a ring by their reference, without hashing;
 * a call whose place is needed again before it is settled moves to a map.
 */

import { fromErrorData, NanoError } from "../base/errors.ts";
import type { Clock, TimerHandle } from "../seams/clock.ts";
import { inheritedTimeout, ofInherited } from "./call_options.ts";
import type { Outcome } from "./envelope.ts";
import { coreLimits } from "./limits.ts";
import type { Pid } from "./pid.ts";
import type { Process } from "./process.ts";

type Resolve = (value: unknown) => void;
type Reject = (error: NanoError) => void;

let [resolveLast, rejectLast]: [Resolve | undefined, Reject | undefined] = [undefined, undefined];

/** One function for all promises: a closure for each would cost a twentieth of a call. */
function remember(resolve: Resolve, reject: Reject): void {
  resolveLast = resolve;
  rejectLast = reject;
}

/** Of a call that a process made. */
export interface CallOrigin {
  readonly process: Process;
  /** When, wall-clock ms. */
  readonly atMs: number;
  /** Its deadline is that of the request that it was made for. */
  readonly inherits: boolean;
}

/** A call in its place, and in the list of its bucket. */
export class PendingCall {
  readonly ref: number;
  /** When its thread dies, the call fails. */
  readonly callee: Pid;
  readonly method: string;
  readonly answer = new Promise<unknown>(remember);
  resolve = resolveLast as Resolve;
  reject = rejectLast as Reject;
  /** If a process made it. */
  origin: CallOrigin | undefined;
  /** Runs once, when the call is settled. */
  settled: (() => void) | undefined;
  bucket: Bucket | undefined;
  before: PendingCall | undefined;
  after: PendingCall | undefined;

  constructor(ref: number, callee: Pid, method: string) {
    this.ref = ref;
    this.callee = callee;
    this.method = method;
    resolveLast = undefined;
    rejectLast = undefined;
  }

  /** Puts a promise between the answer and whoever awaits it: what `through` makes of the answer. */
  relay(through: (answer: Promise<unknown>) => Promise<unknown>): void {
    const { resolve } = this;
    const answer = new Promise<unknown>(remember);
    this.resolve = resolveLast as Resolve;
    this.reject = rejectLast as Reject;
    resolve(through(answer));
  }
}

/** The calls that time out together. */
class Bucket {
  /** Due at this times the bucket's width. */
  readonly number: number;
  first: PendingCall | undefined;

  constructor(number: number) {
    this.number = number;
  }

  add(pending: PendingCall): void {
    pending.bucket = this;
    pending.after = this.first;
    if (this.first !== undefined) this.first.before = pending;
    this.first = pending;
  }

  remove(pending: PendingCall): void {
    const { before, after } = pending;
    if (before === undefined) this.first = after;
    else before.after = after;
    if (after !== undefined) after.before = before;
    // A settled call that has grown old must not keep its neighbours.
    pending.bucket = undefined;
    pending.before = undefined;
    pending.after = undefined;
  }
}

const placeMask = coreLimits.recentCalls - 1;

export class PendingCalls {
  readonly #clock: Clock;
  readonly #recent = new Array<PendingCall | undefined>(coreLimits.recentCalls).fill(undefined);
  readonly #older = new Map<number, PendingCall>();
  readonly #buckets = new Map<number, Bucket>();
  /** The one that got a call last. */
  #bucket: Bucket | undefined;
  #timer: TimerHandle | undefined;
  #timerBucket = Number.POSITIVE_INFINITY;
  #nextRef = 1;
  #size = 0;
  /** Answers that came after their call was settled. */
  lateReplies = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  has(ref: number): boolean {
    return this.#find(ref) !== undefined;
  }

  /** Whom a call that waits has asked, and what; for messages of errors. */
  asked(ref: number): { readonly callee: Pid; readonly method: string } | undefined {
    return this.#find(ref);
  }

  get size(): number {
    return this.#size;
  }

  /** Remembers a call until `settle`, `fail` or `dueMs` (monotonic; Infinity: never). */
  open(callee: Pid, method: string, dueMs: number): PendingCall {
    const ref = this.#nextRef++;
    const pending = new PendingCall(ref, callee, method);
    const place = ref & placeMask;
    const earlier = this.#recent[place];
    if (earlier !== undefined) this.#older.set(earlier.ref, earlier);
    this.#recent[place] = pending;
    this.#size++;
    if (dueMs !== Number.POSITIVE_INFINITY) this.#schedule(pending, dueMs);
    return pending;
  }

  /** The open calls that `fits` holds for. */
  of(fits: (call: PendingCall) => boolean): PendingCall[] {
    const found = [...this.#older.values()].filter(fits);
    for (const call of this.#recent) if (call !== undefined && fits(call)) found.push(call);
    return found;
  }

  /** Calls `settled` when the call is; at once if it has been. */
  onSettled(ref: number, settled: () => void): void {
    const pending = this.#find(ref);
    if (pending === undefined) settled();
    else pending.settled = settled;
  }

  settle(ref: number, outcome: Outcome): void {
    const call = this.#take(ref);
    if (call === undefined) {
      // That it was not taken in time is no answer: where it was refused, it is a dead letter.
      if (outcome.ok || outcome.error.details?.untakenBy === undefined) this.lateReplies++;
    } else if (outcome.ok) call.resolve(outcome.value);
    else if (call.origin?.inherits === true) call.reject(ofInherited(outcome.error, call.callee));
    else call.reject(fromErrorData(outcome.error));
  }

  /** False if it had been settled. */
  fail(ref: number, error: NanoError): boolean {
    const call = this.#take(ref);
    call?.reject(error);
    return call !== undefined;
  }

  /** A thread's life ended, `reason` says how: its callees may or may not have done their work. */
  failThread(thread: number, incarnation: number, reason?: string): void {
    const [why, details] = reason === undefined ? ["", {}] : [`: ${reason}`, { reason }];
    for (const { ref, callee, method } of this.#all()) {
      if (callee.thread !== thread || callee.incarnation !== incarnation) continue;
      this.fail(ref, new NanoError("crashed", `${method}: its thread ${thread} went down${why}`, details));
    }
  }

  failAll(error: NanoError): void {
    for (const { ref } of this.#all()) this.fail(ref, error);
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer);
    this.#timer = undefined;
    this.#timerBucket = Number.POSITIVE_INFINITY;
    this.#buckets.clear();
    this.#bucket = undefined;
  }

  // --- places --------------------------------------------------------------------------------------------------

  #find(ref: number): PendingCall | undefined {
    const recent = this.#recent[ref & placeMask];
    return recent?.ref === ref ? recent : this.#older.get(ref);
  }

  #take(ref: number): PendingCall | undefined {
    const pending = this.#find(ref);
    if (pending === undefined) return undefined;
    const place = ref & placeMask;
    if (this.#recent[place] === pending) this.#recent[place] = undefined;
    else this.#older.delete(ref);
    this.#size--;
    pending.bucket?.remove(pending);
    pending.settled?.();
    return pending;
  }

  /** A copy, the oldest first. */
  #all(): PendingCall[] {
    const all = [...this.#older.values(), ...this.#recent.filter((each) => each !== undefined)];
    return all.sort((a, b) => a.ref - b.ref);
  }

  // --- deadlines -----------------------------------------------------------------------------------------------

  #schedule(pending: PendingCall, dueMs: number): void {
    const number = Math.ceil(dueMs / coreLimits.deadlineBucketMs);
    const bucket = this.#bucket?.number === number ? this.#bucket : this.#bucketAt(number);
    bucket.add(pending);
    if (number < this.#timerBucket) this.#arm(number);
  }

  #bucketAt(number: number): Bucket {
    let bucket = this.#buckets.get(number);
    if (bucket === undefined) {
      bucket = new Bucket(number);
      this.#buckets.set(number, bucket);
    }
    this.#bucket = bucket;
    return bucket;
  }

  #arm(bucket: number): void {
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer);
    this.#timerBucket = bucket;
    const delayMs = Math.max(0, bucket * coreLimits.deadlineBucketMs - this.#clock.monotonicMs());
    this.#timer = this.#clock.setTimer(delayMs, () => this.#expire());
  }

  /** Times out what is due, and waits for the next bucket that still has a call. */
  #expire(): void {
    this.#timer = undefined;
    this.#timerBucket = Number.POSITIVE_INFINITY;
    this.#bucket = undefined;
    const nowBucket = Math.floor(this.#clock.monotonicMs() / coreLimits.deadlineBucketMs);
    let next = Number.POSITIVE_INFINITY;
    for (const [number, bucket] of this.#buckets) {
      if (number > nowBucket && bucket.first !== undefined) next = Math.min(next, number);
      else this.#end(bucket);
    }
    if (next < this.#timerBucket) this.#arm(next);
  }

  #end(bucket: Bucket): void {
    this.#buckets.delete(bucket.number);
    for (let each = bucket.first; each !== undefined; each = bucket.first) {
      const text = `${each.method}: no answer before its deadline`;
      this.fail(
        each.ref,
        each.origin?.inherits === true ? inheritedTimeout(each.method, true) : new NanoError("timeout", text),
      );
    }
  }
}

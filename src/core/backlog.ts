/**
 * The jobs of a factory that wait, and which worker may take which next. Pure; the dispatcher asks and acts.
 *
 * A lane holds the jobs that must run one after the other: those of a key (sticky_queue), of a partition
 * (consistent_hash, bound to one worker), or a single job (queue). A lane is ready while it has a job waiting and
 * none running; ready lanes are served in the order in which they became ready.
 *
 * Always true: at most one job of a lane runs; a job never overtakes an earlier one of its lane, resize included.
 */

import { assert } from "../base/assert.ts";
import { RingBuffer } from "../base/ring_buffer.ts";
import type { Routing } from "./routing.ts";
import { partitionOf, routingTable } from "./routing_table.ts";
import type { KeyQueue } from "./shedding.ts";

export interface Waiting {
  readonly key: string;
  readonly bytes: number;
  /** When it came, monotonic ms; 0 if nothing depends on it. */
  readonly atMs: number;
}

/** What stands before a job of a key. Jobs of lanes that are held back are not counted: nobody knows for how long. */
export interface Ahead {
  /** Jobs that begin before one that comes now, as far as they wait already. */
  readonly ahead: number;
  /** Of these the ones of its lane. */
  readonly own: number;
  /** Lanes of others that are ready. */
  readonly others: number;
  /** Jobs of this very key. */
  readonly waiting: number;
  /** Of the oldest of these, from 1. */
  readonly place: number | undefined;
  /** Its lane is held back. */
  readonly postponed: boolean;
}

interface Lane<Job> extends KeyQueue {
  readonly id: string;
  readonly waiting: RingBuffer<Job>;
  running: boolean;
  /** Is taken before all that waits. */
  first: Job | undefined;
  /** Among the ready lanes; it may have been emptied since. */
  queued: boolean;
  /** The only worker that may run it; undefined: any. */
  worker: number | undefined;
}

export interface Taken<Job> {
  readonly job: Job;
  readonly lane: string;
  readonly queue: KeyQueue;
  /** Jobs of its lane that wait behind it. */
  readonly behind: number;
}

export class Backlog<Job extends Waiting> {
  readonly #routing: Routing;
  #table: Uint16Array;
  readonly #lanes = new Map<string, Lane<Job>>();
  /** Ready lanes that any worker may run. */
  readonly #anyone = new RingBuffer<Lane<Job>>();
  /** Ready lanes of each worker. */
  #bound: RingBuffer<Lane<Job>>[];
  /** Workers with a ready lane of their own. */
  readonly #called = new Set<number>();
  #serial = 0;
  #length = 0;
  #bytes = 0;

  constructor(routing: Routing, workers: number) {
    this.#routing = routing;
    this.#table = routingTable(workers);
    this.#bound = Array.from({ length: workers }, () => new RingBuffer());
  }

  get length(): number {
    return this.#length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Which worker a key is bound to; undefined: whoever is free. */
  workerOf(key: string): number | undefined {
    return this.#routing.type === "consistent_hash" ? this.#table[partitionOf(key)] : undefined;
  }

  /** Whether this key's next job would not have to wait. */
  runsAtOnce(key: string, idle: ReadonlySet<number>): boolean {
    if (idle.size === 0) return false;
    const id = this.#idOf(key);
    if (id !== undefined && this.#lanes.has(id)) return false;
    const worker = this.workerOf(key);
    return worker === undefined || idle.has(worker);
  }

  /** Returns its lane. */
  push(job: Job): string {
    const lane = this.#laneOf(job.key);
    lane.waiting.push(job);
    this.#length++;
    this.#bytes += job.bytes;
    if (!lane.running) this.#ready(lane);
    return lane.id;
  }

  /** Jobs that wait in a lane and have not been taken. */
  waitingIn(id: string): number {
    return this.#lanes.get(id)?.waiting.length ?? 0;
  }

  /** Takes a job out that has not been taken. */
  withdraw(id: string, job: Job): void {
    const waiting = this.#lanes.get(id)?.waiting;
    const found = waiting?.peek() === job ? waiting.shift() : waiting?.remove((each) => each === job);
    assert(found === job, "a job that is withdrawn waits");
    this.#forget(job);
  }

  /** One of the idle workers that could take a job now. */
  wanted(idle: ReadonlySet<number>): number | undefined {
    if (this.#anyone.length > 0) for (const worker of idle) return worker;
    for (const worker of this.#called) if (idle.has(worker)) return worker;
    return undefined;
  }

  /** Looks at every lane. */
  ahead(key: string): Ahead {
    const id = this.#idOf(key);
    if (id === undefined) return this.#aheadInQueue(key);
    const lane = this.#lanes.get(id);
    const worker = this.workerOf(key);
    const ready = (worker === undefined ? undefined : this.#bound[worker]) ?? this.#anyone;
    // Lanes are served in turn: of a ready one before this one job more than of a later one.
    const before: number[] = [];
    const behind: number[] = [];
    let list = before;
    for (let i = 0; i < ready.length; i++) {
      const other = ready.at(i);
      if (other === lane) list = behind;
      else if (other !== undefined && jobsIn(other) > 0) list.push(jobsIn(other));
    }
    const others = before.length + behind.length;
    for (const other of this.#lanes.values()) {
      const comesBack = other.running && other.first === undefined && other.worker === worker;
      if (comesBack && other !== lane) behind.push(other.waiting.length);
    }
    const aheadOf = (index: number): number =>
      index +
      before.reduce((sum, jobs) => sum + Math.min(jobs, index + 1), 0) +
      behind.reduce((sum, jobs) => sum + Math.min(jobs, index), 0);
    const mine = lane === undefined ? [] : placesIn(lane, key);
    const own = lane === undefined ? 0 : jobsIn(lane);
    return {
      ahead: aheadOf(own),
      own,
      others,
      waiting: mine.length,
      place: mine[0] === undefined ? undefined : aheadOf(mine[0]) + 1,
      postponed: lane?.running === true && lane.first !== undefined,
    };
  }

  /** A lane has one job there. */
  #aheadInQueue(key: string): Ahead {
    let ready = 0;
    let waiting = 0;
    let place: number | undefined;
    for (let i = 0; i < this.#anyone.length; i++) {
      const lane = this.#anyone.at(i);
      if (lane === undefined || jobsIn(lane) === 0) continue;
      ready++;
      if (placesIn(lane, key).length > 0) place ??= ready;
    }
    for (const lane of this.#lanes.values()) waiting += placesIn(lane, key).length;
    return { ahead: ready, own: 0, others: ready, waiting, place, postponed: false };
  }

  /** The next job for a free worker, and the lane to hand back when it has run. */
  take(worker: number): Taken<Job> | undefined {
    const bound = this.#bound[worker];
    for (;;) {
      const lane = bound?.shift() ?? this.#anyone.shift();
      if (bound?.length === 0) this.#called.delete(worker);
      if (lane === undefined) return undefined;
      lane.queued = false;
      const job = lane.first ?? lane.waiting.shift();
      lane.first = undefined;
      if (job === undefined) {
        this.#lanes.delete(lane.id);
        continue;
      }
      lane.running = true;
      this.#forget(job);
      return { job, lane: lane.id, queue: lane, behind: lane.waiting.length };
    }
  }

  /** The job that ran in this lane ended, however; at that time, if anything depends on it. */
  finished(id: string, nowMs?: number): void {
    const lane = this.#lanes.get(id);
    if (lane === undefined) return;
    lane.running = false;
    if (nowMs !== undefined) lane.readyMs = nowMs;
    if (lane.waiting.length > 0) this.#ready(lane);
    else this.#lanes.delete(id);
  }

  /** The job that was taken did not run: it is the next of its lane again; at once, or after `goOn`. */
  putBack(id: string, job: Job, when: "now" | "later" = "now"): void {
    const lane = this.#lanes.get(id);
    assert(lane?.running === true, "a job that comes back had been taken");
    lane.first = job;
    this.#length++;
    this.#bytes += job.bytes;
    if (when === "now") this.goOn(id);
  }

  /** The lane may be taken again. */
  goOn(id: string): void {
    const lane = this.#lanes.get(id);
    if (lane === undefined) return;
    lane.running = false;
    this.#ready(lane);
  }

  /** Lanes that wait follow the new table at once; one that runs, after its job: the old worker finishes it first. */
  resize(workers: number): void {
    this.#table = routingTable(workers);
    const ready = [...this.#bound.flatMap((lanes) => lanes.clear())];
    this.#called.clear();
    this.#bound = Array.from({ length: workers }, () => new RingBuffer());
    for (const lane of this.#lanes.values())
      if (lane.worker !== undefined) lane.worker = this.#table[Number(lane.id)];
    for (const lane of ready) {
      lane.queued = false;
      this.#ready(lane);
    }
  }

  /** Takes out all jobs that there is a reason against, and tells it; linear. The order of the others stays. */
  sweep<Reason>(against: (job: Job) => Reason | undefined): { readonly job: Job; readonly reason: Reason }[] {
    const dead: { readonly job: Job; readonly reason: Reason }[] = [];
    const stays = (job: Job): boolean => {
      const reason = against(job);
      if (reason !== undefined) dead.push({ job, reason });
      return reason === undefined;
    };
    for (const lane of this.#lanes.values()) {
      if (lane.first !== undefined && !stays(lane.first)) lane.first = undefined;
      for (const job of lane.waiting.clear()) if (stays(job)) lane.waiting.push(job);
    }
    for (const { job } of dead) this.#forget(job);
    return dead;
  }

  #forget(job: Job): void {
    this.#length--;
    this.#bytes -= job.bytes;
  }

  /** Empties it. */
  clear(): Job[] {
    const jobs: Job[] = [];
    for (const lane of this.#lanes.values()) {
      if (lane.first !== undefined) jobs.push(lane.first);
      lane.first = undefined;
      jobs.push(...lane.waiting.clear());
    }
    this.#length = 0;
    this.#bytes = 0;
    return jobs;
  }

  /** undefined: each job has a lane of its own. */
  #idOf(key: string): string | undefined {
    const { type } = this.#routing;
    if (type === "sticky_queue") return key;
    return type === "consistent_hash" ? String(partitionOf(key)) : undefined;
  }

  #laneOf(key: string): Lane<Job> {
    const id = this.#idOf(key) ?? String(this.#serial++);
    let lane = this.#lanes.get(id);
    if (lane === undefined) {
      const worker = this.#routing.type === "consistent_hash" ? this.#table[Number(id)] : undefined;
      lane = {
        id,
        waiting: new RingBuffer(),
        running: false,
        first: undefined,
        queued: false,
        worker,
        readyMs: 0,
        control: undefined,
      };
      this.#lanes.set(id, lane);
    }
    return lane;
  }

  #ready(lane: Lane<Job>): void {
    if (lane.queued) return;
    lane.queued = true;
    if (lane.worker === undefined) {
      this.#anyone.push(lane);
      return;
    }
    this.#bound[lane.worker]?.push(lane);
    this.#called.add(lane.worker);
  }
}

function jobsIn({ waiting, first }: Lane<unknown>): number {
  return waiting.length + (first === undefined ? 0 : 1);
}

/** Places of a key's jobs in its lane, from 0. */
function placesIn({ waiting, first }: Lane<Waiting>, key: string): number[] {
  const places: number[] = [];
  if (first?.key === key) places.push(0);
  const shift = first === undefined ? 0 : 1;
  for (let i = 0; i < waiting.length; i++) if (waiting.at(i)?.key === key) places.push(i + shift);
  return places;
}

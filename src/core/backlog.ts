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

export interface Waiting {
  readonly key: string;
  readonly bytes: number;
  /** When it came, monotonic ms; 0 if nothing depends on it. */
  readonly atMs: number;
}

interface Lane<Job> {
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

  push(job: Job): void {
    const lane = this.#laneOf(job.key);
    lane.waiting.push(job);
    this.#length++;
    this.#bytes += job.bytes;
    if (!lane.running) this.#ready(lane);
  }

  /** One of the idle workers that could take a job now. */
  wanted(idle: ReadonlySet<number>): number | undefined {
    if (this.#anyone.length > 0) for (const worker of idle) return worker;
    for (const worker of this.#called) if (idle.has(worker)) return worker;
    return undefined;
  }

  /** The next job for a free worker, and the lane to hand back when it has run. */
  take(worker: number): { readonly job: Job; readonly lane: string } | undefined {
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
      return { job, lane: lane.id };
    }
  }

  /** The job that ran in this lane ended, however. */
  finished(id: string): void {
    const lane = this.#lanes.get(id);
    if (lane === undefined) return;
    lane.running = false;
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

  /** Takes out all jobs for which `isDead` holds; linear. The order of the others stays. */
  sweep(isDead: (job: Job) => boolean): Job[] {
    const dead: Job[] = [];
    for (const lane of this.#lanes.values()) {
      if (lane.first !== undefined && isDead(lane.first)) {
        dead.push(lane.first);
        lane.first = undefined;
      }
      for (const job of lane.waiting.clear()) {
        if (isDead(job)) dead.push(job);
        else lane.waiting.push(job);
      }
    }
    for (const job of dead) this.#forget(job);
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

  #laneOf(key: string): Lane<Job> {
    const { type } = this.#routing;
    const partition = partitionOf(key);
    const id =
      type === "consistent_hash" ? String(partition) : type === "queue" ? String(this.#serial++) : key;
    let lane = this.#lanes.get(id);
    if (lane === undefined) {
      const worker = type === "consistent_hash" ? this.#table[partition] : undefined;
      lane = { id, waiting: new RingBuffer(), running: false, first: undefined, queued: false, worker };
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

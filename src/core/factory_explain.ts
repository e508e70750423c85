/**
 * What a factory says of itself: where a key's next job goes, why, and after how long; and what a resize would move.
 * Reads the dispatcher's state and changes nothing.
 */

import type { Ahead } from "./backlog.ts";
import { checkWorkers } from "./factory_limits.ts";
import type { State, Worker } from "./factory_state.ts";
import { coreLimits } from "./limits.ts";
import { partitionOf, partitions, routingTable } from "./routing_table.ts";

/** A worker's number is its place in the group, from 0; a worker that is started again keeps it. */
export interface KeyExplanation {
  /** Where a job of this key that is sent now will run, as far as it is settled; undefined: whoever is free first. */
  readonly worker: number | undefined;
  /** The reason, in words. */
  readonly why: string;
  /** consistent_hash: the slot of the routing table that the key falls into. */
  readonly partition: number | undefined;
  /** sticky_queue: who has a job of the key in hand, and what ends the key's stay there. */
  readonly holder:
    | { readonly worker: number; readonly until: "end of job" | "another key waits" }
    | undefined;
  /** The key's next job was handed back by its worker and waits to be tried again. */
  readonly postponed: boolean;
  readonly running: boolean;
  /** Jobs of this key that wait. */
  readonly waiting: number;
  /** Of the oldest of them among all jobs that wait for the same workers, from 1; undefined if none waits. */
  readonly place: number | undefined;
  /**
   * Jobs that will begin before one of this key that is sent now, if no other comes. Among several workers of a sticky
   * queue it is counted as if keys took strict turns: which of two jobs ends first is not known.
   */
  readonly ahead: number;
  /**
   * How long that one will wait, ms, if all jobs take `serviceMs` and nothing else happens: the jobs ahead of it shared
   * by the workers, or the key's own one after the other, whichever is longer; what is in hand counts half. undefined:
   * no job has been measured, or the key's next one is postponed.
   */
  readonly waitMs: number | undefined;
  /** How long a job keeps its worker on average, ms. */
  readonly serviceMs: number | undefined;
}

export interface ResizeExplanation {
  readonly from: number;
  readonly to: number;
  /** consistent_hash: what changes hands. */
  readonly partitions: readonly { readonly partition: number; readonly from: number; readonly to: number }[];
  /** Of all keys, those whose worker changes. */
  readonly share: number;
  /** Keys with jobs in the factory whose worker changes; `to` is undefined where any worker may follow. */
  readonly keys: readonly MovingKey[];
  /** How many there are; `keys` has the first thousand. */
  readonly keysTotal: number;
  /** Jobs in hand on workers that would leave; they end there. */
  readonly finishing: number;
}

export interface MovingKey {
  readonly key: string;
  readonly from: number;
  readonly to: number | undefined;
  /** It moves when the job in hand has ended; else at once. */
  readonly running: boolean;
  readonly waiting: number;
}

export function explainKey(state: State, key: string): KeyExplanation {
  const { type } = state.options.routing;
  const inHand = workersOf(state).find(({ job }) => job?.key === key);
  const ahead = state.backlog.ahead(key);
  const bound = state.backlog.workerOf(key);
  const holder = type === "sticky_queue" && inHand !== undefined ? holding(state, inHand, ahead) : undefined;
  const stays = holder?.until === "another key waits" ? holder.worker : undefined;
  return {
    worker: bound ?? stays,
    why: whyOf(state, inHand, holder),
    partition: bound === undefined ? undefined : partitionOf(key),
    holder,
    postponed: ahead.postponed,
    running: inHand !== undefined,
    waiting: ahead.waiting,
    place: ahead.place,
    ahead: ahead.ahead,
    waitMs: ahead.postponed ? undefined : waitOf(state, ahead, inHand, bound),
    serviceMs: state.service.meanMs,
  };
}

function workersOf({ workers, leaving }: State): Worker[] {
  return [...workers, ...leaving];
}

/** Undefined for a worker that was resized away: nothing follows on it. */
function holding(state: State, worker: Worker, { others }: Ahead): KeyExplanation["holder"] {
  if (state.workers[worker.index] !== worker) return undefined;
  return { worker: worker.index, until: others > 0 ? "end of job" : "another key waits" };
}

function whyOf(state: State, inHand: Worker | undefined, holder: KeyExplanation["holder"]): string {
  switch (state.options.routing.type) {
    case "consistent_hash":
      return inHand === undefined || state.workers[inHand.index] === inHand
        ? "consistent_hash: its partition"
        : "consistent_hash: its partition, once the worker that leaves has done the job in hand";
    case "queue":
      return "queue: whoever is free";
    case "sticky_queue":
      if (inHand === undefined) return "sticky_queue: whoever is free";
      if (holder === undefined)
        return "sticky_queue: whoever is free when the worker that leaves has done its job";
      return holder.until === "end of job"
        ? "sticky_queue: whoever is free when its job in hand has ended, because others have waited longer"
        : "sticky_queue: it stays where its job in hand is, because no other key waits";
  }
}

function waitOf(
  state: State,
  { ahead, own }: Ahead,
  inHand: Worker | undefined,
  bound: number | undefined,
): number | undefined {
  const { meanMs } = state.service;
  if (meanMs === undefined) return undefined;
  const half = inHand !== undefined && state.order !== undefined ? 0.5 : 0;
  if (bound !== undefined) return (ahead + (state.idle.has(bound) ? 0 : 0.5)) * meanMs;
  const free = state.idle.size;
  const byWorkers = ahead < free ? 0 : (ahead - free + 0.5) / state.workers.length;
  return Math.max(byWorkers, own + half) * meanMs;
}

/** Errors: `bad_argument`. */
export function explainResize(state: State, to: number): ResizeExplanation {
  checkWorkers(to);
  const from = state.workers.length;
  const hashed = state.options.routing.type === "consistent_hash";
  const moved = hashed ? changes(from, to) : [];
  const moving = hashed ? movingPartitions(state, to) : leavingKeys(state, to);
  return {
    from,
    to,
    partitions: moved,
    share: moved.length / partitions,
    keys: moving.slice(0, coreLimits.explainedKeysMax),
    keysTotal: moving.length,
    finishing: state.workers.slice(to).filter(({ job }) => job !== undefined).length,
  };
}

function changes(from: number, to: number): ResizeExplanation["partitions"] {
  const [before, after] = [routingTable(from), routingTable(to)];
  return [...before]
    .map((worker, partition) => ({ partition, from: worker, to: after[partition] ?? worker }))
    .filter((each) => each.from !== each.to);
}

function movingPartitions(state: State, to: number): MovingKey[] {
  const after = routingTable(to);
  const busy = new Set(workersOf(state).map(({ job }) => job?.key));
  const moving: MovingKey[] = [];
  for (const key of state.order?.keys() ?? []) {
    const from = state.backlog.workerOf(key) ?? 0;
    const worker = after[partitionOf(key)];
    if (worker === from) continue;
    const running = busy.has(key);
    const jobs = state.order?.jobsOf(key).length ?? 0;
    moving.push({ key, from, to: worker, running, waiting: jobs - (running ? 1 : 0) });
  }
  return moving;
}

/** Any worker may take any key: those that a leaving worker has in hand stay until it has done that. */
function leavingKeys(state: State, to: number): MovingKey[] {
  if (state.order === undefined) return [];
  const moving: MovingKey[] = [];
  for (const { index, job } of state.workers.slice(to)) {
    if (job === undefined) continue;
    const waiting = state.order.jobsOf(job.key).length - 1;
    moving.push({ key: job.key, from: index, to: undefined, running: true, waiting });
  }
  return moving;
}

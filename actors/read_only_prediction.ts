/**
 * How long a prefix will take no writes if it fails over now, from what was measured a moment ago: barriers, round
 * trips, how fast each shard's batches are answered, how fast keys are compared. Pure.
 */

import { dataLimits } from "./limits.ts";
import type { Pace } from "./send_pace.ts";
import type { Tuning } from "./shard_options.ts";

/** What one shard has to send before a swap. */
export interface ShardLoad {
  readonly shard: number;
  /** Keys of the move's cohorts with a mark that is not db_perror's. */
  readonly dirty: number;
  readonly perror: number;
  /** The same of all cohorts: they are sent in turn. */
  readonly dirtyOfAll: number;
  /** Of these, those that the queuer has; the others are replay's. */
  readonly queued: number;
  /** Keys that wait out a backoff. */
  readonly parked: number;
  /** Not while replay's breaker is open. */
  readonly remoteAnswers: boolean;
  /** Replay's rate. */
  readonly repairsPerSecond: number;
  /** Undefined before the first batch was answered. */
  readonly pace: Pace | undefined;
}

export interface Measured {
  readonly loads: readonly ShardLoad[];
  /** The comparison under the block of what changed since the last one. */
  readonly verifyMs: number;
  /** A barrier through all shards of the old and of the new side. */
  readonly barrierMs: { readonly from: number; readonly to: number };
  /** One question to all shards of the old side: under load it waits behind their other work. */
  readonly messageMs: number;
  /** One write of control: what a durable commit takes here. */
  readonly controlMs: number;
  readonly sending: Pick<Tuning, "sendBatchMax" | "sendsInFlightMax">;
}

export interface Prediction {
  /** Infinity while the remote does not answer or repairs are stopped. */
  readonly readOnlyMs: number;
  /** Of these, until everything is sent. */
  readonly drainMs: number;
}

/**
 * Durable commits between the block and its end, one after the other: the block, three entries of the decision log and
 * the swap in control; and on either side the fences of a new term, which share about two.
 */
const commits = 5 + 2 * 2;

/** Questions one after the other: what is dirty, what is in db_perror, and the new side remembers from now on. */
const questions = 3;

/** Block, drain, verify, swap and both sides' barriers after it. */
export function predictReadOnly(measured: Measured): Prediction {
  const { loads, verifyMs, barrierMs, messageMs, controlMs, sending } = measured;
  const drainMs = Math.max(0, ...loads.map((load) => shardDrainMs(load, sending)));
  const barriersMs = 2 * barrierMs.from + barrierMs.to;
  const fixedMs = commits * controlMs + barriersMs + questions * messageMs + dataLimits.drainPollMs;
  return { readOnlyMs: Math.ceil(fixedMs + drainMs + verifyMs), drainMs };
}

/** Queuer and replay send beside each other; the repair rate bounds only replay. */
export function shardDrainMs(load: ShardLoad, sending: Measured["sending"]): number {
  const { dirty, dirtyOfAll, queued, remoteAnswers, repairsPerSecond } = load;
  if (dirty === 0) return 0;
  if (!remoteAnswers) return Number.POSITIVE_INFINITY;
  const pace = load.pace ?? { roundTripMs: 0, perRowMs: dataLimits.unmeasuredRowMs };
  const repairs = Math.max(0, dirtyOfAll - queued);
  const queueMs = sendMs(Math.min(queued, dirtyOfAll), pace, sending);
  if (repairs === 0) return queueMs;
  const rateMs = (repairs * 1_000) / repairsPerSecond;
  return Math.max(queueMs, sendMs(repairs, pace, sending), rateMs);
}

function sendMs(
  rows: number,
  { roundTripMs, perRowMs }: Pace,
  { sendBatchMax, sendsInFlightMax }: Measured["sending"],
): number {
  if (rows === 0) return 0;
  const batches = Math.ceil(rows / sendBatchMax);
  const batchMs = roundTripMs + perRowMs * Math.min(rows, sendBatchMax);
  return Math.ceil(batches / sendsInFlightMax) * batchMs;
}

/** What every process of a shard is started with, and how its neighbours are named. Plain data. */

import type { Site } from "./records.ts";

export interface ShardOptions {
  readonly site: Site;
  readonly peerSite: Site;
  readonly shard: number;
  readonly shards: number;
  /** Registered name of what speaks the store contract for the other side. */
  readonly peer: string;
  /** Registered name of the log that this shard writes. */
  readonly log: string;
  /** Phone prefixes of the plan, e.g. `+49`: they divide keys into cohorts. */
  readonly prefixes: readonly string[];
  readonly tuning: Tuning;
  /** Others write this site's store: db_feed follows its changes. Default: false. */
  readonly followed?: boolean;
}

/** What may differ between deployments; `defaultTuning` has the reasons. */
export interface Tuning {
  /** Bytes that the marks of one shard may take; beyond it a write widens a range instead. */
  readonly ledgerBytesMax: number;
  /** Keys that may wait for their first send; beyond it they go to db_replay. */
  readonly queueMax: number;
  readonly sendBatchMax: number;
  readonly sendsInFlightMax: number;
  /** How long the peer may take to answer, ms; after that the outcome is unknown. */
  readonly peerTimeoutMs: number;
  /** Repairs per second of this shard. */
  readonly repairsPerSecond: number;
  /** Rows per second that the crawler may read and send in this shard. */
  readonly crawlRowsPerSecond: number;
  readonly crawlBatchMax: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** Rejections after which a key goes to db_perror. */
  readonly rejectionsMax: number;
  /** The breaker opens when this many sends in a row had no answer. */
  readonly breakerFailures: number;
  /** A half-open breaker lets one probe pass in this time. */
  readonly probeIntervalMs: number;
  /** db_compare looks again after these pauses. */
  readonly recheckMs: readonly number[];
  /** How long an owner serves by what it last read of control, ms; 0: for ever, with control in the same process. */
  readonly leaseMs: number;
  /** Share of the time that a comparison may take, above 0 and up to 1; the rest is live traffic's. */
  readonly compareShare: number;
  /** Rows that only the peer has, beyond which a range's repair stops and asks. */
  readonly deletesPerRangeMax: number;
}

export const defaultTuning: Tuning = {
  // 200,000 marks of about 160 bytes: an hour of a remote that is down at 50 writes/s per shard.
  ledgerBytesMax: 32 * 1024 * 1024,
  queueMax: 10_000,
  // LMDB commits 100 rows in 1.5 ms and 10 in 0.5 ms: larger batches gain little and hold lanes longer.
  sendBatchMax: 128,
  sendsInFlightMax: 2,
  peerTimeoutMs: 2_000,
  repairsPerSecond: 5_000,
  crawlRowsPerSecond: 20_000,
  crawlBatchMax: 512,
  backoffMinMs: 50,
  backoffMaxMs: 30_000,
  rejectionsMax: 3,
  breakerFailures: 5,
  probeIntervalMs: 250,
  // The talk's rechecks.
  recheckMs: [1_000, 5_000, 30_000],
  leaseMs: 0,
  compareShare: 0.5,
  deletesPerRangeMax: 10_000,
};

/** What every shard has; one of a source that others write has a db_feed, too. */
export const shardProcesses = [
  "db_store",
  "db_dirty_keys",
  "db_perror",
  "db_replay",
  "db_queuer",
  "db_compare",
  "db_crawler",
  "db_switch",
] as const;

export type ShardProcess = (typeof shardProcesses)[number] | "db_feed";

/** The registered name of a shard's process, e.g. `A/3/db_switch`. */
export function shardProcess(site: Site, shard: number, process: ShardProcess): string {
  return `${site}/${shard}/${process}`;
}

/** The registered name of a site's log on a thread. */
export function logProcess(site: Site, thread: number): string {
  return `${site}/db_dirty_log/${thread}`;
}

/** The registered name of the mirror of a site's log on a thread, where the mirror is `local`. */
export function mirrorProcess(site: Site, thread: number): string {
  return `${site}/db_log_mirror/${thread}`;
}

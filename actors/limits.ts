/** Bounds of the data layer that are not tuned per deployment, each with its reason. */
export const dataLimits = {
  /** One frame of the dirty log: far above a commit's records, far below what a torn length could ask for. */
  logFrame: { bytesMax: 16 * 1024 * 1024, depthMax: 8, countMax: 1_000_000, stringBytesMax: 4_096 },
  logRecordsPerFrame: 4_096,
  /** Bytes after which a log is compacted: live marks (200,000 of 60 bytes) are written once for five times that. */
  logCompactionBytes: 64 * 1024 * 1024,
  /** Keys that a failover remembers as changed in one cohort and shard; beyond it verify reads the whole cohort. */
  watchedKeysMax: 50_000,
  /** Entries of one shard's db_perror: a human is expected to look at them. */
  perrorPerShardMax: 100_000,
  /** Rows of one commit: keeps a shard's turn below about 5 ms with LMDB. */
  admitBatchMax: 256,
  /** Rows of one key that an amend reads: one-time keys and members are thousands at most. */
  rowsPerKeyMax: 10_000,
  /** Suspects that db_compare holds; beyond it a validation waits. */
  suspectsMax: 50_000,
  /** Batches of a shard between admission and local commit: one in the log, one in the store; more would be smaller. */
  admitBatchesInFlightMax: 2,
  /** db_perror's keys of one move: each is refused on the new side until somebody reconciles it. */
  perrorPerMoveMax: 1_000,
  /** A decision whose coordinator is silent for longer may be ended by anyone. */
  decisionLeaseMs: 30_000,
  /** A prefix is read-only for at most this long, then the move is aborted. */
  readOnlyMsMax: 10_000,
  /** Between two looks at the ledgers while a prefix drains: a tenth of what a user notices. */
  drainPollMs: 10,
  /** Verify finds, drain repairs, verify again: a rogue writer does not keep a prefix blocked. */
  verifyRoundsMax: 3,
  verifyBatchMax: 500,
  /** For the prediction only: repairs per second that one site sustains, measured with LMDB on two cores. */
  drainRatePerSecond: 10_000,
  /** All shards of a site acknowledge, a restart of one included. */
  barrierTimeoutMs: 15_000,
  /** What is dirty when a migration ends is sent within this, a remote that was down for a while included. */
  finishTimeoutMs: 60_000,
  retryPauseMs: 50,
  /** Whoever waits for a token looks again after this: with a rate of 0 it never comes, and timers end at 24 days. */
  tokenWaitMsMax: 60_000,
  /** A client's write waits this long before it asks a blocked prefix again. */
  blockedPauseMs: 10,
  /** A whole move, comparison before the block included. */
  moveTimeoutMs: 600_000,
  /** Between two stretches of a comparison: a peer that is slow must not slow it to half of that again. */
  comparePauseMsMax: 20,
  /** One shard's full comparison. */
  validateTimeoutMs: 600_000,
} as const;

/** Bounds of the data layer that are not tuned per deployment, each with its reason. */
export const dataLimits = {
  /** One frame of the dirty log: far above a commit's records, far below what a torn length could ask for. */
  logFrame: { bytesMax: 16 * 1024 * 1024, depthMax: 8, countMax: 1_000_000, stringBytesMax: 4_096 },
  logRecordsPerFrame: 4_096,
  /** Bytes after which a log is compacted: live marks (200,000 of 60 bytes) are written once for five times that. */
  logCompactionBytes: 64 * 1024 * 1024,
  /** Keys remembered as changed since a comparison, of one cohort and shard; beyond it all of the cohort is read. */
  changedKeysPerCohortMax: 50_000,
  /** The same for all cohorts of a shard: 20 MB of keys, as much as half a million rows in doubt are worth. */
  changedKeysPerShardMax: 200_000,
  /** Changed keys above which a move compares them once more before it blocks: under the block each costs its users. */
  changedBeforeBlockMax: 5_000,
  /** Such rounds; each is as long as the writes of the one before need, so they shrink unless all is overloaded. */
  roundsBeforeBlockMax: 3,
  /** A log that can't be written tries again after this: a supervisor allows 20 restarts of a shard in 10 s. */
  logProbeMs: 1_000,
  /** A mirror that takes longer is down. */
  mirrorTimeoutMs: 2_000,
  /** One shard's account from a mirror, which may read all of its log for it. */
  mirrorLoadTimeoutMs: 60_000,
  /** Entries of one shard's db_perror: a human is expected to look at them. */
  perrorPerShardMax: 100_000,
  /** Rows of one commit: keeps a shard's turn below about 5 ms with LMDB. */
  admitBatchMax: 256,
  /** Rows of one key that an amend reads: one-time keys and members are thousands at most. */
  rowsPerKeyMax: 10_000,
  /** Suspects that db_compare holds, key and versions of each: 20 MB. Beyond it a pass waits, a sample is skipped. */
  suspectsMax: 50_000,
  /** Mismatches that one pass quarantines one by one; a side with more is suspect as a whole, and becomes a range. */
  mismatchesPerPassMax: 10_000,
  /** Of these, how many a pass names in its answer. */
  mismatchesNamedMax: 100,
  /** Attempts to write a coverage record that the other site writes too; it does so once for each of its passes. */
  coverageAttemptsMax: 10,
  /** Bytes of one side's stretch that a comparison aims at; rows of 64 KiB would make 32 MiB of 512. */
  stretchBytesMax: 4 * 1024 * 1024,
  /** Batches of a shard between admission and local commit: one in the log, one in the store; more would be smaller. */
  admitBatchesInFlightMax: 2,
  /** db_perror's keys of one move: each is refused on the new side until somebody reconciles it. */
  perrorPerMoveMax: 1_000,
  /** A decision whose coordinator is silent for longer may be ended by anyone: half of what a prefix is read-only. */
  decisionLeaseMs: 5_000,
  /** Renewals, and looks at other coordinators' leases: three may fail before one runs out. */
  decisionBeatMs: 1_250,
  /** A move is refused when the last comparison of everything is older: a day's corruption is found before it. */
  comparisonAgeMsMax: 24 * 60 * 60 * 1_000,
  /** A prefix is read-only for at most this long, then the move is aborted. */
  readOnlyMsMax: 10_000,
  /** Between two looks at the ledgers while a prefix drains: a tenth of what a user notices. */
  drainPollMs: 10,
  /** Verify finds, drain repairs, verify again: a rogue writer does not keep a prefix blocked. */
  verifyRoundsMax: 3,
  verifyBatchMax: 500,
  /** For the prediction, until a shard has sent batches of different sizes: ms for a row, measured with LMDB. */
  unmeasuredRowMs: 0.1,
  /** All shards of a site acknowledge, a restart of one included. */
  barrierTimeoutMs: 15_000,
  /** Who asks what a move lacks is told after this that a shard does not answer. */
  gateTimeoutMs: 5_000,
  /** What is dirty when a migration ends is sent within this, a remote that was down for a while included. */
  finishTimeoutMs: 60_000,
  retryPauseMs: 50,
  /** A lost store is tried again after this: its peer may be restarting, or an operator at work. */
  takeBackPauseMs: 200,
  /** Whoever waits for a token looks again after this: with a rate of 0 it never comes, and timers end at 24 days. */
  tokenWaitMsMax: 60_000,
  /** A lookup asks both sites, and goes without one that does not answer within this: half of what users notice. */
  lookupTimeoutMs: 500,
  /** Reads of one backend under way at once on one thread: as many as jobs may wait in a factory. */
  readsMax: 10_000,
  /** A client's write waits this long before it asks a blocked prefix again. */
  blockedPauseMs: 10,
  /** A whole move, comparison before the block included. */
  moveTimeoutMs: 600_000,
  /** Events of one round of db_feed: as many marks as one frame of the log takes well. */
  feedBatchMax: 1_000,
  /** Between two looks at a feed that had nothing: beside its own delay, a change waits this long for its mark. */
  feedPollMs: 20,
  /** A feed that is silent for longer is given a watermark: within this the loss of a last event is noticed. */
  feedSilenceMsMax: 1_000,
  /** Between two stretches of a comparison: a peer that is slow must not slow it to half of that again. */
  comparePauseMsMax: 20,
  /** One shard's full comparison. */
  validateTimeoutMs: 600_000,
} as const;

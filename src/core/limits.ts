/** Bounds of the actor core, each with its reason. */

import { MiB } from "../base/limits.ts";

export const coreLimits = {
  /** OTP's default for gen_server:call. */
  callTimeoutMs: 5_000,
  /** OTP's supervisors wait for ever; a thread's set-up may open a large store. */
  initTimeoutMs: 30_000,
  /** Messages that wait in one mailbox: far above any steady state, far below what exhausts a heap. */
  mailboxMax: 100_000,
  /** Messages that one process takes before the next one has its turn. */
  processBudget: 128,
  /** Messages that a thread takes in microtasks before timers and I/O have their turn. */
  threadBudget: 1_024,
  /** Deadlines are kept in buckets of this width: a time-out is late by at most this. */
  deadlineBucketMs: 16,
  /** How long a canceled call may be given to end before its process is killed: who waits longer kills nobody. */
  cancelGraceMaxMs: 3_600_000,
  /** A call that a handler awaits is asked about after this: far above an answer's time, far below time-outs. */
  cycleProbeMs: 50,
  /** Between two questions about the same call, which double; then it is asked about no more. */
  cycleProbeMaxMs: 60_000,
  /** Processes that a thread asks about at once: a look into its waiting calls for each, together about a ms. */
  cycleProbesMax: 64,
  /** Calls that are looked at for one question: what hangs together by more ends by a time-out, as all did before. */
  cycleCallsMax: 256,
  /** Asynchronous functions of a handler that wait for one another. */
  awaitsMax: 200,
  /** Calls found without hashing, a power of two: more than a thread has in flight unless it floods others. */
  recentCalls: 4_096,
  /** A dead thread is replaced in about 50 ms; one that opens large stores takes longer. */
  threadWaitMs: 15_000,
  threadPollMs: 5,
  /** A call to another node that takes longer is asked after: a request that was lost is noticed within twice this. */
  clusterPingMs: 500,
  /** A node that answers nothing for so long is taken for cut off: four questions were lost. */
  clusterSilentMs: 2_000,
  /** CoDel's interval: a burst of jobs that is worked off within it is none of its business (RFC 8289: 100 ms). */
  delayIntervalMs: 100,
  /** Keys that a dry run of a resize names: what a person reads, and a message of 100 KB. */
  explainedKeysMax: 1_000,
  /** Discarded jobs on their way to `onDiscard` of another thread: as much as may wait in a factory. */
  discardsBytesMax: 64 * MiB,
  /** Between two tries of a restart that failed. */
  restartRetryMs: 50,
  /** Deferred calls remembered for their callers before those whose deadline passed are swept. */
  deferredSweepAt: 10_000,
} as const;

/** Every bound and pace of the driver, with its reason. */

export const driverLimits = {
  /** Below this a unit's members could not be told apart; a smaller job has no distribution to speak of. */
  usersMin: 100,
  /** Three more bits of a row's state word are flags (model.ts). */
  operationsMax: 2 ** 29 - 1,
  /** A request without an answer for so long is unknown. Longer than any deadline inside the system. */
  requestTimeoutMs: 10_000,
  expireEveryMs: 1_000,
  /**
   * An unknown write may still land while the system that took it runs. After this time no deadline inside
   * the system lets it, so a write sent later and acknowledged supersedes it.
   */
  unknownSettleMs: 15_000,
  reconnectMinMs: 20,
  reconnectMaxMs: 1_000,
  /** Refused operations that wait for another try; more are given up (the traffic makes new ones anyway). */
  retriesMax: 2_000,
  retryMinMs: 20,
  retryMaxMs: 500,
  /** A take reads all keys of its user: what one user may have bounds its cost. */
  oneTimeKeysPerUserMax: 128,
  /** Time between two random samples, and their size: often enough to see a key that is unaccounted for a second. */
  sampleEveryMs: 250,
  sampleKeys: 1_000,
  /** A row that contradicts the model is looked at again after this, with a fresh model. */
  recheckMs: 200,
  /** Rows that keep moving between looks are left to the next sample. */
  rechecksMax: 10,
  /** Rows of each side that one slice of a full audit reads in one turn: 1 to 3 ms. */
  sliceRows: 500,
  /** A full audit rests this many times as long as its last slice took: the traffic has the first call. */
  sliceRestFactor: 2,
  progressEveryMs: 1_000,
  examplesMax: 20,
  /** Different keys of one kind of finding that are counted: enough to know that everything is wrong. */
  findingsMax: 100_000,
  /** Rows of one `apply` when the population is loaded; each shard collects a batch of its own. */
  loadBatchRows: 1_000,
  /** Bytes of the journal read at once during recovery. */
  recoveryChunkBytes: 4 * 1024 * 1024,
} as const;

/** How the traffic presses. */
export interface TrafficSettings {
  /** Operations that wait for an answer, at most. */
  readonly inFlightMax: number;
  /** Of these, writes under one calling code: the others go on while it is read-only. */
  readonly codeWritesMax: number;
  /** Operations issued in a second, at most. */
  readonly operationsPerSecond: number;
  /** Share of operations that write, 0 to 1. */
  readonly writeShare: number;
  /** Exponent of the Zipf distribution over users. */
  readonly skew: number;
  /** Share of writes that go to a poison key. */
  readonly poisonShare: number;
}

/**
 * 13,500 operations a second with three writes in four are 10,100 writes: a tenth more than the 9,000 that a
 * 90 s run needs for its 500,000. The skew is YCSB's.
 */
export const defaultTraffic: TrafficSettings = {
  inFlightMax: 1_024,
  codeWritesMax: 192,
  operationsPerSecond: 13_500,
  writeShare: 0.75,
  skew: 0.99,
  poisonShare: 0.0005,
};

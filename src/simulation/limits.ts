/** Bounds of one simulation, each with its reason. */
export const simulationLimits = {
  /** A run that needs more is a loop, or wants to be several runs: at 300,000 events/s this is half a minute. */
  eventsMax: 10_000_000,
  /** Events between two turns of the real event loop: about 50 ms, so that whoever runs the simulation may stop it. */
  eventsPerTurn: 10_000,
  /** Events without time moving on: production would starve its timers and I/O. */
  eventsPerInstantMax: 1_000_000,
  /** Virtual time: whoever waits longer waits for something that can't come. */
  virtualMsMax: 7 * 24 * 60 * 60 * 1_000,
  /** Lines of the trace that are kept for the report of a failure. */
  traceLinesMax: 60,
  /** What a replay notes at most: once it goes another way, every message differs. */
  replayNotesMax: 50,
  /** Log records that are kept, the newest. */
  logRecordsMax: 1_000,
  /** Between two threads of one process, ms: a wake-up of a sleeping thread at least, a busy one's turn at most. */
  linkDelayMs: [0.03, 1] as readonly [number, number],
  /** Between two nodes, ms: within a data centre and to the next one. */
  networkDelayMs: [0.2, 3] as readonly [number, number],
  /** One write or sync of a file, ms: an SSD's fdatasync, p50 to far beyond p99. */
  diskDelayMs: [0.1, 2] as readonly [number, number],
  /** What a disk writes whole. Real ones have 512 or 4,096; records are small, and shall be torn. */
  diskSectorBytes: 64,
  /** A dead thread is back after this, ms: what production takes to start one. */
  threadRestartMs: 50,
  /** Seeds of `simulate`, unless told. A small scenario takes a few ms for each. */
  seeds: 100,
  /** Of these, how many are played twice. */
  twiceShare: 0.05,
  /** Priority-based order: most bugs need at most so many of a run's steps in a certain order (Burckhardt, 2010). */
  pctDepthMax: 4,
  /** Choices between ready processes after which priorities are drawn anew, at least and at most. */
  pctWindow: [8, 1_024] as readonly [number, number],
  /** Steps of the model that one search for a linearization tries: a hundred times what an ordinary history needs. */
  linearizationStepsMax: 200_000,
} as const;

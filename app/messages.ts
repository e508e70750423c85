/**
 * What the three processes of the main job say to each other over Node's IPC: the command (parent), the system
 * (the two sites) and the driver (traffic, journal, shadow model). Small and rare; the traffic itself goes over a
 * loopback socket (protocol.ts).
 */

import type { Coverage, SitesCoverage } from "../actors/coverage.ts";
import type { Site } from "../actors/records.ts";

/** What both children are started with; validated by config.ts before. */
export interface JobSettings {
  readonly dataDirectory: string;
  readonly users: number;
  /** Length of the traffic's part with migration, in seconds. */
  readonly seconds: number;
  readonly seed: number;
  readonly threads: number;
  readonly shards: number;
  readonly backends: readonly string[];
  /** Per backend: `consistent_hash`, `queue` or `sticky_queue`. */
  readonly routing: Readonly<Record<string, string>>;
  readonly durability: "group" | "sync" | "os";
  readonly faults: boolean;
  /** Phone prefixes that are failed over, one by one, e.g. `+49`. */
  readonly prefixes: readonly string[];
  /** The prefix that is reversed and moved again. */
  readonly reversedPrefix: string;
  /** Row keys that the remote always rejects; drawn by the driver's population from the seed. */
  readonly poisonKeys: number;
}

export type MigrationPhase =
  | "off"
  | "live"
  | "copy"
  | "validate"
  | "ready"
  | "failing_over"
  | "swapped"
  | "finished";

export interface PrefixReport {
  readonly prefix: string;
  readonly state: "local" | "swapped";
  /** `swapped`, `reversed`, `aborted` in order. */
  readonly history: readonly string[];
  readonly readOnlyMs: readonly number[];
  readonly predictedReadOnlyMs: readonly number[];
  /** For each swap, in order: what it rested on. */
  readonly compared: readonly Pick<Coverage, "rows" | "againRows" | "fullAgeMs" | "againAgeMs">[];
}

export interface FaultReport {
  readonly name: string;
  readonly fired: number;
}

export interface SystemProgress {
  readonly phase: MigrationPhase;
  readonly detail: string;
  /** Share of the phase's work that is done, 0 to 1. */
  readonly share: number;
  readonly dirty: number;
  readonly inFlight: number;
  readonly perror: number;
  readonly queued: number;
  /** Age of the oldest unreplicated mark, ms. */
  readonly lagMs: number;
  readonly swappedPrefixes: number;
}

export interface SystemResult {
  readonly prefixes: readonly PrefixReport[];
  readonly faults: readonly FaultReport[];
  readonly perror: readonly { readonly key: string; readonly reason: string; readonly site: Site }[];
  /** Keys and ranges that were still dirty when the wait for them ended; 0 if all is well. */
  readonly dirty: number;
  /** What the sites' own comparisons covered, after a last one of what had changed. */
  readonly compared: Omit<SitesCoverage, "cohorts">;
  readonly rssAnonBytesMax: number;
}

export type ToSystem =
  | { readonly type: "traffic_started" }
  | { readonly type: "settle" }
  | { readonly type: "stop" };

export type FromSystem =
  | { readonly type: "ready"; readonly port: number; readonly resumed: boolean }
  | { readonly type: "phase"; readonly phase: MigrationPhase }
  | { readonly type: "progress"; readonly progress: SystemProgress }
  /** All prefixes have reached their final state; traffic may end. */
  | { readonly type: "migrated" }
  /** After `settle`: the ledgers hold nothing but db_perror's marks, or `dirty` says how much. */
  | { readonly type: "settled"; readonly result: SystemResult }
  | { readonly type: "failed"; readonly code: string; readonly message: string };

export type ToDriver =
  | { readonly type: "connect"; readonly port: number }
  | { readonly type: "phase"; readonly phase: MigrationPhase }
  /** End the traffic: wait for what is in flight, then say `idle`. */
  | { readonly type: "finish" }
  /** The system has settled: read both stores afresh, compare every row, then send `result`. */
  | { readonly type: "compare"; readonly perrorKeys: readonly string[] };

export interface DriverProgress {
  readonly writesPerSecond: number;
  readonly readsPerSecond: number;
  readonly acknowledgedWrites: number;
  readonly inFlight: number;
  readonly unaccounted: number;
  readonly lost: number;
  readonly auditedKeys: number;
}

export interface LatencySummary {
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface DriverResult {
  readonly users: number;
  readonly rows: number;
  readonly valueBytes: { readonly mean: number; readonly max: number; readonly total: number };
  readonly acknowledged: {
    readonly writes: number;
    readonly lost: number;
    readonly lostKeys: readonly string[];
  };
  readonly unaccounted: {
    readonly max: number;
    readonly samples: number;
    /** Keys audited over all samples, and the share of all rows seen at least once. */
    readonly keys: number;
    readonly coverage: number;
    readonly examples: readonly string[];
  };
  /** From the final comparison: rows that differ between the sides and are not in db_perror. */
  readonly unequal: { readonly count: number; readonly examples: readonly string[] };
  readonly operations: {
    readonly reads: number;
    readonly writes: number;
    readonly refused: Readonly<Record<string, number>>;
    readonly unknown: number;
  };
  readonly writesPerSecondMedian: number;
  /** Longest time in which no operation at all was acknowledged, ms. */
  readonly longestPauseMs: number;
  readonly latency: { readonly read: LatencySummary; readonly write: LatencySummary };
}

export type FromDriver =
  /** The population's rows stand in site A's store (or the journal was read, after a restart). */
  | {
      readonly type: "loaded";
      readonly users: number;
      readonly rows: number;
      readonly poisonKeys: readonly string[];
    }
  | { readonly type: "traffic_started" }
  | { readonly type: "audited"; readonly phase: MigrationPhase; readonly keys: number }
  | { readonly type: "progress"; readonly progress: DriverProgress }
  | { readonly type: "idle" }
  | { readonly type: "result"; readonly result: DriverResult }
  | { readonly type: "failed"; readonly code: string; readonly message: string };

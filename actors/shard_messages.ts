/** What db_module asks of a shard's db_switch, and what it gets. All plain data. */

import type { CohortId, RowKey, Version } from "./records.ts";
import type { ScanRange } from "./store_messages.ts";

/** A row as a client writes it: its version is given at admission. */
export interface RowWrite {
  readonly key: RowKey;
  /** null deletes. */
  readonly value: Uint8Array | null;
  /** Absolute ms since 1970; 0 is never. */
  readonly expiresAtMs: number;
}

export interface WriteRequest {
  readonly cohort: CohortId;
  /** Admitted one by one; a batch is not atomic. */
  readonly rows: readonly RowWrite[];
}

export type WriteResult =
  | { readonly ok: true; readonly version: Version }
  | { readonly ok: false; readonly code: string; readonly message: string };

/** Reads through the authority: rows that are live (no tombstone, not expired) or undefined. */
export interface GetRequest {
  readonly cohort: CohortId;
  readonly keys: readonly RowKey[];
}

export interface ScanRequest {
  readonly cohort: CohortId;
  readonly range: ScanRange;
  readonly limit: number;
}

export interface LiveRow {
  readonly key: RowKey;
  readonly value: Uint8Array;
  readonly expiresAtMs: number;
}

/**
 * An amend: the rows of one key are read with nothing pending, a pure function of the kind (by name) turns them
 * into writes and an answer, and the writes are admitted only if nothing was admitted since.
 */
export interface AmendRequest {
  readonly cohort: CohortId;
  readonly backend: string;
  readonly key: string;
  /** `<kind>.<operation>`, e.g. `one_time_keys.take`. */
  readonly operation: string;
  readonly message: unknown;
}

export interface AmendDecision {
  readonly writes: readonly RowWrite[];
  readonly answer: unknown;
}

/** Pure. `rows` are all live rows of the key in key order. Throws NanoError `conflict` to refuse. */
export type AmendFunction = (
  rows: readonly LiveRow[],
  message: unknown,
  context: { readonly nowMs: number; readonly rowKeyOf: (sub: string) => RowKey },
) => AmendDecision;

/** To db_switch from a sender: versions alone can't repair these keys, admit their current rows anew. */
export interface RenewMessage {
  readonly type: "renew";
  readonly keys: readonly RowKey[];
}

/** To db_queuer from db_replay. */
export interface BreakerMessage {
  readonly type: "breaker";
  readonly open: boolean;
}

function hasType(message: unknown, type: string): boolean {
  return typeof message === "object" && message !== null && "type" in message && message.type === type;
}

export function isRenewMessage(message: unknown): message is RenewMessage {
  return hasType(message, "renew");
}

export function isBreakerMessage(message: unknown): message is BreakerMessage {
  return hasType(message, "breaker");
}

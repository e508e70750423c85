/** The shapes that cross between a shard's processes, its peer and a store. */

import type { Grants, Row, RowKey, Version } from "./records.ts";

/** Rows that share their grants. */
export interface ApplyGroup {
  readonly grants: Grants;
  readonly rows: readonly Row[];
}

export type ApplyResult =
  | { readonly status: "applied" }
  | { readonly status: "same" }
  | { readonly status: "stale"; readonly current: Version }
  | { readonly status: "fenced"; readonly scope: string; readonly term: number }
  | { readonly status: "rejected"; readonly code: string };

/** [from, to); `to` "" is the end. */
export interface ScanRange {
  readonly from: RowKey;
  readonly to: RowKey;
}

/** `incarnation` rises each time the store is opened; a store below what others remember of it is lost. */
export interface Identity {
  readonly storeId: string;
  readonly incarnation: number;
}

/** A row whose bytes nobody has read yet: most of what is compared never is. */
export interface EncodedRow {
  readonly key: RowKey;
  readonly value: Uint8Array;
}

/** The decision that every adapter makes for one row, and for one group's grants. Pure; see contract.ts. */

import { compareVersions, type Grants, type Row, type Scope } from "../records.ts";
import type { ApplyResult } from "../store_messages.ts";
import { decodeVersion, sameRow } from "./row_codec.ts";

/** LMDB's keys end at 1,978 bytes; the contract's are the same for all adapters. */
export const storeLimits = { keyBytesMax: 1_024, valueBytesMax: 1024 * 1024 } as const;

const loneSurrogate = /\p{Surrogate}/u;

/** `applied` means: write `encoded`. */
export function decideRow(stored: Uint8Array | undefined, row: Row, encoded: Uint8Array): ApplyResult {
  if (isTooLong(row.key)) return { status: "rejected", code: "key_too_long" };
  // Half a surrogate pair has no bytes of its own: as UTF-8 all such keys would be one.
  if (loneSurrogate.test(row.key)) return { status: "rejected", code: "key_malformed" };
  if (encoded.byteLength > storeLimits.valueBytesMax) return { status: "rejected", code: "value_too_long" };
  if (stored === undefined) return { status: "applied" };
  const current = decodeVersion(stored);
  const order = compareVersions(row.version, current);
  if (order > 0) return { status: "applied" };
  if (order === 0 && sameRow(stored, encoded)) return { status: "same" };
  return { status: "stale", current };
}

/** The first grant below its fence, or undefined. */
export function fencedBy(grants: Grants, fenceOf: (scope: Scope) => number): ApplyResult | undefined {
  for (const { scope, term } of grants) {
    const inForce = fenceOf(scope);
    if (term < inForce) return { status: "fenced", scope, term: inForce };
  }
  return undefined;
}

/** True for a key that no store takes. A UTF-16 unit is at most three bytes, so short keys are not measured. */
export function isTooLong(key: string): boolean {
  return (
    key.length * 3 > storeLimits.keyBytesMax &&
    new TextEncoder().encode(key).byteLength > storeLimits.keyBytesMax
  );
}

/** Which cohort a key belongs to: the plan's longest prefix of the key, `*` for the rest. Pure. */

import { type CohortId, cohortId, compareKeys, type RowKey, rowKey, splitRowKey } from "./records.ts";
import type { ScanRange } from "./store_messages.ts";

/** The group of all keys that no prefix of the plan matches. */
export const restPrefix = "*";

export interface CohortFinder {
  (backend: string, key: string): CohortId;
  /**
   * The smallest key range that holds the cohort. It may hold keys of a longer prefix too, and for `*` all keys of
   * the backend.
   */
  bounds(cohort: CohortId): ScanRange;
  /** The row's cohort, and a key up to which all rows from this one on are of the same. */
  run(row: RowKey): CohortRun;
}

export interface CohortRun {
  readonly cohort: CohortId;
  readonly until: RowKey;
}

/** A look-up costs one set probe for each length that some prefix has. */
export function cohortFinder(prefixes: readonly string[]): CohortFinder {
  const lengths = [...new Set(prefixes.map((prefix) => prefix.length))].sort((a, b) => b - a);
  // Ids are made once: one that is put together for each look-up is hashed again for each.
  const ids = new Map<string, ReadonlyMap<string, CohortId>>();
  const idsOf = (backend: string): ReadonlyMap<string, CohortId> => {
    const made = new Map([...prefixes, restPrefix].map((prefix) => [prefix, cohortId(backend, prefix)]));
    ids.set(backend, made);
    return made;
  };
  const find = (backend: string, key: string): CohortId => {
    const known = ids.get(backend) ?? idsOf(backend);
    for (const length of lengths) {
      const id = known.get(key.slice(0, length));
      if (id !== undefined) return id;
    }
    return known.get(restPrefix) ?? cohortId(backend, restPrefix);
  };
  return Object.assign(find, { bounds, run: runFinder(prefixes, find) });
}

/** Cohorts change only where the keys of some prefix begin or end. */
function runFinder(prefixes: readonly string[], find: (backend: string, key: string) => CohortId) {
  const edges = prefixes
    .flatMap((prefix) => [prefix, endOf(prefix)])
    .filter((edge) => edge !== "")
    .sort(compareKeys);
  return (row: RowKey): CohortRun => {
    const { backend, key } = splitRowKey(row);
    const next = edges.find((edge) => compareKeys(edge, key) > 0);
    const until = next === undefined ? endOf(startOf(backend, "")) : startOf(backend, next);
    return { cohort: find(backend, key), until };
  };
}

function bounds(cohort: CohortId): ScanRange {
  const slash = cohort.indexOf("/");
  const backend = cohort.slice(0, slash);
  const prefix = cohort.slice(slash + 1);
  const from = startOf(backend, prefix === restPrefix ? "" : prefix);
  return { from, to: endOf(from) };
}

/** Where the rows of keys with this prefix begin. */
function startOf(backend: string, prefix: string): RowKey {
  return rowKey(backend, prefix).slice(0, -1);
}

/** The smallest text above all that begin with `start`: its last character that has a successor, replaced by that. */
function endOf(start: RowKey): RowKey {
  const characters = Array.from(start);
  for (let last = characters.pop(); last !== undefined; last = characters.pop()) {
    const code = last.codePointAt(0) ?? 0;
    // No text has a code point between the halves of surrogate pairs.
    if (code < 0x10ffff)
      return characters.join("") + String.fromCodePoint(code === 0xd7ff ? 0xe000 : code + 1);
  }
  return "";
}

export function cohortOfRow(cohortOf: CohortFinder, row: RowKey): CohortId {
  const { backend, key } = splitRowKey(row);
  return cohortOf(backend, key);
}

/** Which cohort a key belongs to: the plan's longest prefix of the key, `*` for the rest. Pure. */

import { type CohortId, cohortId, type RowKey, rowKey } from "./records.ts";
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
  return Object.assign(find, { bounds });
}

function bounds(cohort: CohortId): ScanRange {
  const slash = cohort.indexOf("/");
  const backend = cohort.slice(0, slash);
  const prefix = cohort.slice(slash + 1);
  return prefix === restPrefix
    ? { from: after(backend, ""), to: `${backend}\u0001` }
    : { from: after(backend, prefix), to: after(backend, prefix + lastCharacter) };
}

/** Above every character that a key may go on with. */
const lastCharacter = "\u{10ffff}";

function after(backend: string, prefix: string): RowKey {
  return rowKey(backend, prefix).slice(0, -1);
}

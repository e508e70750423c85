/**
 * Which cohort a key belongs to: the plan's longest prefix of the key, `*` for the rest. Of a prefix with a canary
 * (`+49%5` beside `+49`), five in a hundred keys, by their hash, are the canary's: it moves by itself, before the rest.
 * Pure.
 */

import { NanoError } from "../src/index.ts";
import {
  type CohortId,
  cohortId,
  compareKeys,
  hashKey,
  type RowKey,
  rowKey,
  splitRowKey,
} from "./records.ts";
import type { ScanRange } from "./store_messages.ts";

/** The group of all keys that no prefix of the plan matches. */
export const restPrefix = "*";

export interface CohortFinder {
  (backend: string, key: string): CohortId;
  /**
   * The smallest key range that holds the cohort. It may hold keys of a longer prefix too, of a canary or of what it is
   * taken from, and for `*` all keys of the backend.
   */
  bounds(cohort: CohortId): ScanRange;
  /** The row's cohort, and a key up to which all rows from this one on are of the same. */
  run(row: RowKey): CohortRun;
}

export interface CohortRun {
  readonly cohort: CohortId;
  readonly until: RowKey;
}

/** A canary's part of the plan: five in a hundred keys of `+49` are `+49%5`. */
export interface Canary {
  /** Of which prefix it takes a share; `*` for the rest. */
  readonly of: string;
  readonly percent: number;
}

/** Undefined for what is no canary. */
export function canaryOf(prefix: string): Canary | undefined {
  const found = /^(.+)%(\d+)$/.exec(prefix);
  return found === null ? undefined : { of: found[1] ?? "", percent: Number(found[2]) };
}

/** Errors: `config` for a share that is none, a prefix with two canaries, and a canary of a prefix without a plan. */
export function checkPrefixes(prefixes: readonly string[]): void {
  const shares = prefixes.flatMap((prefix) => canaryOf(prefix) ?? []);
  shares.forEach(({ of, percent }, i) => {
    const refuse = (message: string, cure: string): never => {
      throw new NanoError("config", `${of}%${percent}: ${message}; ${cure}`, { field: "prefixes", cure });
    };
    if (percent < 1 || percent > 99) refuse("a canary is 1 to 99 in a hundred keys", "give such a share");
    if (of !== restPrefix && !prefixes.includes(of)) refuse(`${of} is no prefix of the plan`, `add ${of}`);
    if (shares.findIndex((each) => each.of === of) !== i) refuse(`${of} has two canaries`, "leave one out");
  });
}

/** A look-up costs one set probe for each length that some prefix has, and a hash where there is a canary. */
export function cohortFinder(prefixes: readonly string[]): CohortFinder {
  const plain = prefixes.filter((prefix) => canaryOf(prefix) === undefined);
  const lengths = [...new Set(plain.map((prefix) => prefix.length))].sort((a, b) => b - a);
  // Ids are made once: one that is put together for each look-up is hashed again for each.
  const ids = new Map<string, ReadonlyMap<string, Group>>();
  const groupsOf = (backend: string): ReadonlyMap<string, Group> => {
    const made = new Map(
      [...plain, restPrefix].map((prefix) => [prefix, groupOf(backend, prefix, prefixes)]),
    );
    ids.set(backend, made);
    return made;
  };
  const find = (backend: string, key: string): CohortId => {
    const known = ids.get(backend) ?? groupsOf(backend);
    for (const length of lengths) {
      const group = known.get(key.slice(0, length));
      if (group !== undefined) return group.canary === undefined ? group.id : share(group, key);
    }
    const rest = known.get(restPrefix);
    return rest === undefined ? cohortId(backend, restPrefix) : share(rest, key);
  };
  return Object.assign(find, { bounds, run: runFinder(plain, prefixes, find) });
}

/** Cohorts change only where the keys of some prefix begin or end, and with each key where there is a canary. */
function runFinder(
  plain: readonly string[],
  prefixes: readonly string[],
  find: (backend: string, key: string) => CohortId,
) {
  const mixed = new Set(prefixes.flatMap((prefix) => canaryOf(prefix)?.of ?? []));
  const isMixed = (cohort: CohortId): boolean => {
    const prefix = cohort.slice(cohort.indexOf("/") + 1);
    return mixed.has(canaryOf(prefix)?.of ?? prefix);
  };
  const edges = plain
    .flatMap((prefix) => [prefix, endOf(prefix)])
    .filter((edge) => edge !== "")
    .sort(compareKeys);
  return (row: RowKey): CohortRun => {
    const { backend, key } = splitRowKey(row);
    const cohort = find(backend, key);
    if (isMixed(cohort)) return { cohort, until: `${startOf(backend, key)}\u0001` };
    const next = edges.find((edge) => compareKeys(edge, key) > 0);
    const until = next === undefined ? endOf(startOf(backend, "")) : startOf(backend, next);
    return { cohort, until };
  };
}

/** The keys that one prefix matches. */
interface Group {
  readonly id: CohortId;
  readonly canary: { readonly id: CohortId; readonly percent: number } | undefined;
}

function groupOf(backend: string, prefix: string, prefixes: readonly string[]): Group {
  const name = prefixes.find((each) => canaryOf(each)?.of === prefix);
  const percent = name === undefined ? undefined : canaryOf(name)?.percent;
  const canary =
    name === undefined || percent === undefined ? undefined : { id: cohortId(backend, name), percent };
  return { id: cohortId(backend, prefix), canary };
}

/** A user is in the canary of every backend or of none: the hash is the key's alone, and not the one of the shards. */
function share({ id, canary }: Group, key: string): CohortId {
  return canary !== undefined && hashKey(`canary ${key}`) % 100 < canary.percent ? canary.id : id;
}

function bounds(cohort: CohortId): ScanRange {
  const slash = cohort.indexOf("/");
  const backend = cohort.slice(0, slash);
  const name = cohort.slice(slash + 1);
  const prefix = canaryOf(name)?.of ?? name;
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

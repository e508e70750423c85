/**
 * The words of the data layer as data: rows, versions, grants, marks, ranges. No process, no I/O.
 * They travel between threads and sites as msgpack, so they are arrays and plain objects only.
 */

/** `(cohort term, shard term, n)`, compared left to right; n restarts with each shard term. */
export type Version = readonly [cohortTerm: number, shardTerm: number, n: number];

/** The version of a row that nanoactor did not write. */
export const versionZero: Version = [0, 0, 0];

/** Negative, 0 or positive, as `Array.prototype.sort` expects. */
export function compareVersions(a: Version, b: Version): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}

/**
 * A row's key: `backend NUL key NUL sub`; sub is "" for a kind with one row a key. No part contains NUL.
 * Ordered as UTF-8 bytes, so the rows of a backend, of a key prefix and of a key are each one contiguous range.
 */
export type RowKey = string;

const separator = "\u0000";

export function rowKey(backend: string, key: string, sub = ""): RowKey {
  return `${backend}${separator}${key}${separator}${sub}`;
}

export interface RowKeyParts {
  readonly backend: string;
  readonly key: string;
  readonly sub: string;
}

export function splitRowKey(row: RowKey): RowKeyParts {
  const first = row.indexOf(separator);
  const second = row.indexOf(separator, first + 1);
  return { backend: row.slice(0, first), key: row.slice(first + 1, second), sub: row.slice(second + 1) };
}

export interface Row {
  readonly key: RowKey;
  readonly version: Version;
  /** null is a tombstone. */
  readonly value: Uint8Array | null;
  /** Absolute, ms since 1970; 0 is never. */
  readonly expiresAtMs: number;
}

/** What a fence names: a cohort (`groups/+49`) or a site's shard (`A/3`). Opaque to stores. */
export type Scope = string;

export interface Grant {
  readonly scope: Scope;
  readonly term: number;
}

/** The terms under which an operation was admitted or its row was read; captured once, never refreshed. */
export type Grants = readonly Grant[];

/** A site's name. Two sites share a migration. */
export type Site = string;

/** One backend and one group of keys, e.g. `groups/+49`; `groups/*` for the rest. */
export type CohortId = string;

/** A range's cohort when it spans them all. */
export const everyCohort: CohortId = "*";

export function cohortId(backend: string, prefix: string): CohortId {
  return `${backend}/${prefix}`;
}

export function shardScope(site: Site, shard: number): Scope {
  return `${site}/${shard}`;
}

export type MarkOwner = "queuer" | "replay" | "perror";

/** A key that differs, or may differ, from its peer. */
export interface Mark {
  readonly key: RowKey;
  readonly version: Version;
  readonly owner: MarkOwner;
  /** How many admitted versions wait for their local commit. */
  readonly pending: number;
}

/** Every key in [from, to) is suspect, but those before `cursor` (`from` at first) are done. `to` "" is the end. */
export interface DirtyRange {
  readonly id: string;
  readonly cohort: CohortId;
  readonly from: RowKey;
  readonly to: RowKey;
  readonly cursor: RowKey;
  readonly state: "collecting" | "scanning";
  readonly reason: "copy" | "overflow" | "log_lost" | "mirror_stale" | "peer_lost" | "feed_gap" | "operator";
}

/** Compares as UTF-8 bytes do (JavaScript compares UTF-16 units, which differs only above the BMP). */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) {
      const xSurrogate = x >= 0xd800 && x <= 0xdfff;
      const ySurrogate = y >= 0xd800 && y <= 0xdfff;
      return xSurrogate === ySurrogate ? x - y : xSurrogate ? 1 : -1;
    }
  }
  return a.length - b.length;
}

/** FNV-1a with a finalizer: even over short, similar keys. */
export function hashKey(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** The shard of a key, whatever its cohort: all rows of one key of one backend lie in one shard. */
export function shardOf(backend: string, key: string, shards: number): number {
  return hashKey(`${backend}${separator}${key}`) % shards;
}

/**
 * The store contract: what every adapter promises, proved by one suite (test/contract/store_contract.ts).
 * A store is opened by exactly one db_store process of one site; its peers reach it through messages.
 */

import type { Row, RowKey, Scope, Version } from "../records.ts";
import type { ApplyGroup, ApplyResult, EncodedRow, Identity, ScanRange } from "../store_messages.ts";

export interface Capabilities {
  /** A row is written only if its version is newer, checked in the writing transaction. */
  readonly conditionalWrite: boolean;
  /** All rows of one `apply` become visible at once. */
  readonly atomicBatch: boolean;
  readonly orderedScan: boolean;
  readonly changeFeed: boolean;
  readonly expiry: boolean;
  /** `sync`: durable when `apply` resolves; `os`: survives the process only. */
  readonly durability: "sync" | "os" | "memory";
}

/**
 * Operating errors of every method: `unavailable` (try again; the outcome of a write is unknown), `closed`.
 * Calls are served in order: a fence that resolved is seen by every later apply.
 */
export interface Store {
  readonly capabilities: Capabilities;
  identity(): Promise<Identity>;
  get(keys: readonly RowKey[]): Promise<(Row | undefined)[]>;
  /**
   * Per group: the grants are checked against the fences, in the transaction that writes its rows; a group below
   * a fence is `fenced` for each row. Per row: `applied` if its version is newer than the stored one (absent =
   * older than everything, even versionZero), `same` if version and bytes are equal, else `stale` with the stored
   * version (equal version and unequal bytes is `stale` with an equal version: the caller amends). `rejected` for a
   * row that the store will never take. One row's result never depends on another row's.
   */
  apply(groups: readonly ApplyGroup[]): Promise<ApplyResult[][]>;
  /** Raises the fence of a scope to `term` if it is lower, durably; returns the term then in force. */
  fence(scope: Scope, term: number): Promise<number>;
  /** The terms in force for these scopes, 0 where none was set. */
  fences(scopes: readonly Scope[]): Promise<number[]>;
  /** Removes a tombstone, if the row is still this tombstone with this version. True if it was removed. */
  collect(key: RowKey, version: Version): Promise<boolean>;
  /** Rows with from <= key < to in key order, tombstones included, at most `limit`. */
  scan(range: ScanRange, limit: number): Promise<Row[]>;
  /**
   * As `scan`, but at once: of what is visible now, which may not be durable yet. For comparisons: whatever is not
   * durable has a mark, or lies in a range whose cursor waits for it.
   */
  peek(range: ScanRange, limit: number): Promise<Row[]>;
  /** The same without reading the rows: their bytes as row_codec.ts writes them. Left out where `peek` is as fast. */
  peekEncoded?(range: ScanRange, limit: number): Promise<EncodedRow[]>;
  /**
   * The first keys of live rows of an indexed backend whose sub equals `sub`, in key order, at most `limit`:
   * the reverse direction of a relation, kept in the rows' own transaction and rebuilt by `rebuildIndex`.
   */
  lookup(backend: string, sub: string, limit: number): Promise<string[]>;
  rebuildIndex(): Promise<void>;
  /** Resolves when everything applied before is as durable as `capabilities.durability` says. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** What an adapter's open function is given. */
export interface StoreOptions {
  /** Where it lives: a folder, or a name. */
  readonly path: string;
  /** Backends whose rows are indexed by sub. */
  readonly indexedBackends: readonly string[];
  readonly durability: "group" | "sync" | "os";
  /** A fresh identifier, used if the store has none yet. */
  readonly newStoreId: string;
}

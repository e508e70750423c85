/**
 * A source that others write, in memory, with its feed: for tests and the simulator, and the pattern for an adapter of
 * a real one. Its writers know no versions, so a version is drawn when a changed row is first read: reads happen in
 * one order, hence a later version never carries an older state. It is `(cohort's fence, shard's fence, n)`, as an
 * admission's would be, and kept beside the row until others change that again.
 *
 * A row that this site's own db_switch admits (a renewal) writes nothing: the source's state is the truth, its version
 * is renewed if it is what was admitted, else it is refused. What the peer applies after a swap is written, and its
 * event says who wrote it.
 */

import { NanoError } from "../../src/index.ts";
import { type ChangeEvent, type ChangeFeed, ownOrigin, type Position } from "../change_feed.ts";
import { type CohortFinder, cohortFinder } from "../cohorts.ts";
import {
  type CohortId,
  compareVersions,
  type Row,
  type RowKey,
  shardOf,
  shardScope,
  splitRowKey,
  type Version,
  versionZero,
} from "../records.ts";
import type { ApplyGroup, ApplyResult } from "../store_messages.ts";
import { fencedBy } from "./apply_row.ts";
import type { Store, StoreOptions } from "./contract.ts";
import { MemoryFiles, openMemoryStore } from "./memory.ts";
import { decodeRow, encodeRow } from "./row_codec.ts";

export interface MemorySourceOptions {
  readonly shards: number;
  readonly prefixes: readonly string[];
}

export class MemorySource {
  readonly cohortOf: CohortFinder;
  /** Hears of each key that was changed, by whomever. */
  onChange: ((key: RowKey) => void) | undefined;
  readonly #options: MemorySourceOptions;
  readonly #files: readonly MemoryFiles[];
  readonly #stopped = new Set<CohortId>();
  /** The log that its feed reads. */
  #events: ChangeEvent[] = [];
  #position = 0;

  constructor(options: MemorySourceOptions) {
    this.#options = options;
    this.cohortOf = cohortFinder(options.prefixes);
    this.#files = Array.from({ length: options.shards }, () => new MemoryFiles());
  }

  // --- its writers ---------------------------------------------------------------------------------------------

  /** null deletes. Errors: `blocked` while writes of the key's cohort are stopped. */
  write(key: RowKey, value: Uint8Array | null): void {
    const { backend, key: plain } = splitRowKey(key);
    const cohort = this.cohortOf(backend, plain);
    if (this.#stopped.has(cohort)) throw new NanoError("blocked", `writes of ${cohort} are stopped`);
    const files = this.files(shardOf(backend, plain, this.#options.shards));
    if (files.rows.has(key) !== (value !== null)) files.keyChanges++;
    if (value === null) files.rows.delete(key);
    else files.rows.set(key, encodeRow({ version: versionZero, value, expiresAtMs: 0 }));
    this.changed(key, "application");
  }

  /** A write stop that the server enforces: nobody but nanoactor writes these from now on. */
  async stopWrites(cohorts: readonly CohortId[]): Promise<void> {
    for (const cohort of cohorts) this.#stopped.add(cohort);
  }

  async allowWrites(cohorts: readonly CohortId[]): Promise<void> {
    for (const cohort of cohorts) this.#stopped.delete(cohort);
  }

  // --- its feed ------------------------------------------------------------------------------------------------

  readonly feed: ChangeFeed = {
    from: async (position, limit) => {
      const index = this.#events.findIndex((event) => event.position === position);
      return this.#events.slice(index + 1, index + 1 + limit);
    },
    watermark: async () => this.changed(undefined, ownOrigin),
  };

  /** Whether its log has a change of this key behind a position: what a follower at that position will hear of. */
  changedAfter(position: Position, key: RowKey): boolean {
    const index = this.#events.findIndex((event) => event.position === position);
    return this.#events.some((event, i) => i > index && event.key === key);
  }

  /** Faults: events that the feed will never show. */
  lose(which: (event: ChangeEvent) => boolean): void {
    this.#events = this.#events.filter((event) => !which(event));
  }

  changed(key: RowKey | undefined, origin: string): Position {
    const previous = String(this.#position);
    const position = String(++this.#position);
    this.#events.push({ position, previous, key, origin });
    if (key !== undefined) this.onChange?.(key);
    return position;
  }

  // --- its stores ----------------------------------------------------------------------------------------------

  files(shard: number): MemoryFiles {
    const files = this.#files[shard];
    if (files === undefined) throw new NanoError("bad_argument", `no shard ${shard}`, { field: "shard" });
    return files;
  }

  async open(
    site: string,
    shard: number,
    options: Pick<StoreOptions, "newStoreId" | "indexedBackends">,
  ): Promise<Store> {
    const files = this.files(shard);
    const rows = new SourceRows(this, files, shardScope(site, shard));
    const inner = await openMemoryStore(files, options);
    return {
      capabilities: { ...inner.capabilities, changeFeed: true },
      identity: () => inner.identity(),
      get: async (keys) => rows.versioned(await inner.get(keys)),
      scan: async (range, limit) => rows.versionedAll(await inner.scan(range, limit)),
      peek: async (range, limit) => rows.versionedAll(await inner.peek(range, limit)),
      apply: (groups) => rows.apply(inner, groups),
      fence: (scope, term) => inner.fence(scope, term),
      fences: (scopes) => inner.fences(scopes),
      collect: (key, version) => inner.collect(key, version),
      lookup: (backend, sub, limit) => inner.lookup(backend, sub, limit),
      rebuildIndex: () => inner.rebuildIndex(),
      sync: () => inner.sync(),
      close: () => inner.close(),
    };
  }
}

/** Opens of a store and reads of one open share the version's counter: 2 million opens of 4 billion reads each. */
const readsPerOpenMax = 2 ** 32;

/** The rows of one shard as one open store shows them. */
class SourceRows {
  readonly #source: MemorySource;
  readonly #files: MemoryFiles;
  readonly #shardScope: string;
  #reads = 0;

  constructor(source: MemorySource, files: MemoryFiles, scope: string) {
    this.#source = source;
    this.#files = files;
    this.#shardScope = scope;
  }

  versioned(rows: readonly (Row | undefined)[]): (Row | undefined)[] {
    return rows.map((row) => (row === undefined ? undefined : this.#withVersion(row)));
  }

  versionedAll(rows: readonly Row[]): Row[] {
    return rows.map((row) => this.#withVersion(row));
  }

  async apply(inner: Store, groups: readonly ApplyGroup[]): Promise<ApplyResult[][]> {
    const results: ApplyResult[][] = [];
    for (const group of groups) {
      const own = group.grants.some(({ scope }) => scope === this.#shardScope);
      results.push(own ? this.#renewAll(group) : await this.#applyOfPeer(inner, group));
    }
    return results;
  }

  async #applyOfPeer(inner: Store, group: ApplyGroup): Promise<ApplyResult[]> {
    const [results = []] = await inner.apply([group]);
    results.forEach(({ status }, i) => {
      if (status === "applied") this.#source.changed(group.rows[i]?.key, ownOrigin);
    });
    return results;
  }

  #renewAll({ grants, rows }: ApplyGroup): ApplyResult[] {
    const fenced = fencedBy(grants, (scope) => this.#files.fences.get(scope) ?? 0);
    return rows.map((row) => fenced ?? this.#renew(row));
  }

  /** A tombstone of what is absent is kept, so that it can be sent. */
  #renew(row: Row): ApplyResult {
    const bytes = this.#files.rows.get(row.key);
    const current = bytes === undefined ? undefined : decodeRow(row.key, bytes);
    if (!sameContent(current, row)) return { status: "rejected", code: "foreign_source" };
    if (current === undefined) this.#files.keyChanges++;
    this.#withVersion({ ...row, version: versionZero });
    return { status: "applied" };
  }

  #withVersion(row: Row): Row {
    if (compareVersions(row.version, versionZero) !== 0) return row;
    const fences = this.#files.fences;
    const { backend, key } = splitRowKey(row.key);
    const n = this.#files.incarnation * readsPerOpenMax + ++this.#reads;
    const version: Version = [
      fences.get(this.#source.cohortOf(backend, key)) ?? 0,
      fences.get(this.#shardScope) ?? 0,
      n,
    ];
    const stamped: Row = { ...row, version };
    this.#files.rows.set(row.key, encodeRow(stamped));
    return stamped;
  }
}

function sameContent(current: Row | undefined, row: Row): boolean {
  const value = current?.value ?? null;
  if (value === null || row.value === null) return value === row.value;
  if (current?.expiresAtMs !== row.expiresAtMs || value.byteLength !== row.value.byteLength) return false;
  return value.every((byte, i) => byte === row.value?.[i]);
}

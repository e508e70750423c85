/**
 * The memory adapter: for tests, the simulator and small tools. Its contents outlive the open store in a
 * `MemoryFiles` that the caller holds, as a disk's would.
 */

import { NanoError } from "../../src/index.ts";
import { compareKeys, type Row, type RowKey, type Scope, splitRowKey, type Version } from "../records.ts";
import type { ApplyGroup, ApplyResult, Identity, ScanRange } from "../store_messages.ts";
import { decideRow, fencedBy } from "./apply_row.ts";
import type { Capabilities, Store, StoreOptions } from "./contract.ts";
import { decodeRow, encodeRow } from "./row_codec.ts";

/** What a memory store leaves behind when it closes. */
export class MemoryFiles {
  readonly rows = new Map<RowKey, Uint8Array>();
  readonly fences = new Map<Scope, number>();
  storeId = "";
  incarnation = 0;
  /** Rises when a key comes or goes: who keeps the keys in order looks at it. */
  keyChanges = 0;

  /** All of it is gone, as with a disk that was replaced. */
  lose(): void {
    this.rows.clear();
    this.fences.clear();
    this.storeId = "";
    this.incarnation = 0;
    this.keyChanges++;
  }
}

const capabilities: Capabilities = {
  conditionalWrite: true,
  atomicBatch: true,
  orderedScan: true,
  changeFeed: false,
  expiry: true,
  durability: "memory",
};

export async function openMemoryStore(
  files: MemoryFiles,
  options: Pick<StoreOptions, "newStoreId" | "indexedBackends">,
): Promise<Store> {
  if (files.storeId === "") files.storeId = options.newStoreId;
  files.incarnation++;
  return new MemoryStore(files, new Set(options.indexedBackends));
}

class MemoryStore implements Store {
  readonly capabilities = capabilities;
  readonly #files: MemoryFiles;
  readonly #indexed: ReadonlySet<string>;
  /** Keys in order, as of `#sortedAt` changes of them. */
  #sorted: RowKey[] = [];
  #sortedAt = -1;
  #closed = false;

  constructor(files: MemoryFiles, indexed: ReadonlySet<string>) {
    this.#files = files;
    this.#indexed = indexed;
  }

  async identity(): Promise<Identity> {
    this.#check();
    return { storeId: this.#files.storeId, incarnation: this.#files.incarnation };
  }

  async get(keys: readonly RowKey[]): Promise<(Row | undefined)[]> {
    this.#check();
    return keys.map((key) => this.#read(key));
  }

  async apply(groups: readonly ApplyGroup[]): Promise<ApplyResult[][]> {
    this.#check();
    return groups.map(({ grants, rows }) => {
      const fenced = fencedBy(grants, (scope) => this.#files.fences.get(scope) ?? 0);
      return rows.map((row) => fenced ?? this.#applyRow(row));
    });
  }

  async fence(scope: Scope, term: number): Promise<number> {
    this.#check();
    const inForce = Math.max(this.#files.fences.get(scope) ?? 0, term);
    this.#files.fences.set(scope, inForce);
    return inForce;
  }

  async fences(scopes: readonly Scope[]): Promise<number[]> {
    this.#check();
    return scopes.map((scope) => this.#files.fences.get(scope) ?? 0);
  }

  async collect(key: RowKey, version: Version): Promise<boolean> {
    this.#check();
    const stored = this.#read(key);
    if (stored === undefined || stored.value !== null || !sameVersion(stored.version, version)) return false;
    this.#files.keyChanges++;
    return this.#files.rows.delete(key);
  }

  async scan({ from, to }: ScanRange, limit: number): Promise<Row[]> {
    this.#check();
    const sorted = this.#inOrder();
    const found: Row[] = [];
    for (let i = firstAtLeast(sorted, from); i < sorted.length && found.length < limit; i++) {
      const key = sorted[i];
      if (key === undefined || (to !== "" && compareKeys(key, to) >= 0)) break;
      const row = this.#read(key);
      if (row !== undefined) found.push(row);
    }
    return found;
  }

  peek(range: ScanRange, limit: number): Promise<Row[]> {
    return this.scan(range, limit);
  }

  async lookup(backend: string, sub: string, limit: number): Promise<string[]> {
    this.#check();
    if (!this.#indexed.has(backend))
      throw new NanoError("bad_argument", `${backend} has no index`, { field: "backend" });
    const found: string[] = [];
    for (const [row, bytes] of this.#files.rows) {
      const parts = splitRowKey(row);
      if (parts.backend === backend && parts.sub === sub && decodeRow(row, bytes).value !== null)
        found.push(parts.key);
    }
    return found.sort(compareKeys).slice(0, limit);
  }

  /** Nothing to do: the index is a search. */
  async rebuildIndex(): Promise<void> {
    this.#check();
  }

  async sync(): Promise<void> {
    this.#check();
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #applyRow(row: Row): ApplyResult {
    const stored = this.#files.rows.get(row.key);
    const encoded = encodeRow(row);
    const result = decideRow(stored, row, encoded);
    if (result.status !== "applied") return result;
    if (stored === undefined) this.#files.keyChanges++;
    this.#files.rows.set(row.key, encoded);
    return result;
  }

  #inOrder(): readonly RowKey[] {
    const { rows, keyChanges } = this.#files;
    if (this.#sortedAt !== keyChanges) {
      this.#sorted = [...rows.keys()].sort(compareKeys);
      this.#sortedAt = keyChanges;
    }
    return this.#sorted;
  }

  #read(key: RowKey): Row | undefined {
    const bytes = this.#files.rows.get(key);
    return bytes === undefined ? undefined : decodeRow(key, bytes.slice());
  }

  #check(): void {
    if (this.#closed) throw new NanoError("closed", "the store is closed");
  }
}

function sameVersion(a: Version, b: Version): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2];
}

function firstAtLeast(sorted: readonly RowKey[], key: RowKey): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareKeys(sorted[middle] ?? "", key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

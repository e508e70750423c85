/** Stores that are full before a bench begins, as how they got full is not the question; and bare ways into them. */

import { type Database, open, type RootDatabase } from "lmdb";
import { type Row, rowKey, shardOf } from "../actors/records.ts";
import { layout } from "../actors/stores/data_directory.ts";
import { openLmdbStore } from "../actors/stores/lmdb.ts";

export const backend = "device_platform";
export const valueBytes = 64;

/** Rows of one transaction. */
const loadBatch = 5_000;

export function keyOf(n: number): string {
  return `+49${1_500_000_000 + n}`;
}

export function rowValue(n: number): Uint8Array {
  return new Uint8Array(valueBytes).fill(n % 251);
}

/** The same `keys` rows into each of these sites' stores, as they are after a copy. */
export async function loadStores(
  directory: string,
  {
    sites,
    shards,
    keys,
  }: { readonly sites: readonly string[]; readonly shards: number; readonly keys: number },
): Promise<void> {
  for (const site of sites) {
    const stores = await Promise.all(
      Array.from({ length: shards }, (_, shard) =>
        openLmdbStore({
          path: layout.store(directory, site, shard),
          indexedBackends: [],
          durability: "os",
          newStoreId: `${site}/${shard}`,
        }),
      ),
    );
    for (let n = 0; n < keys; n += loadBatch) {
      const rows: Row[][] = stores.map(() => []);
      for (let i = n; i < Math.min(keys, n + loadBatch); i++) {
        const row: Row = {
          key: rowKey(backend, keyOf(i)),
          version: [0, 0, 1],
          value: rowValue(i),
          expiresAtMs: 0,
        };
        rows[shardOf(backend, keyOf(i), shards)]?.push(row);
      }
      await Promise.all(stores.map((store, shard) => store.apply([{ grants: [], rows: rows[shard] ?? [] }])));
    }
    for (const store of stores) {
      await store.sync();
      await store.close();
    }
  }
}

/** As the LMDB adapter encodes them. */
const utf8Binary = {
  encoding: "binary",
  keyEncoder: {
    writeKey: (key: string, target: Uint8Array, start: number) =>
      start + Buffer.prototype.utf8Write.call(target, key, start),
    readKey: (source: Uint8Array, start: number, end: number) =>
      Buffer.prototype.utf8Slice.call(source, start, end),
  },
} as const;

export interface BareRows {
  readonly root: RootDatabase<Buffer, string>;
  readonly rows: Database<Buffer, string>;
}

/** A shard's rows with nothing of ours around them; `noSync`: a commit is not synced. */
export function openBareRows(
  directory: string,
  site: string,
  { shard = 0, noSync = false }: { readonly shard?: number; readonly noSync?: boolean } = {},
): BareRows {
  const path = layout.store(directory, site, shard);
  const root = open<Buffer, string>({
    path,
    maxDbs: 8,
    mapSize: 16 * 1024 ** 3,
    noSync,
    overlappingSync: !noSync,
    cache: false,
    ...utf8Binary,
  });
  return { root, rows: root.openDB<Buffer, string>({ name: "rows", ...utf8Binary }) };
}

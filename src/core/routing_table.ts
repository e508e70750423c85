/**
 * Key -> partition -> worker, by a table of 1,024 partitions. The table follows the preferences of a ketama ring
 * (package hashring) with a cap for each worker, so that load is even and few partitions move on a resize. Pure.
 * An industry finds a key's dispatcher by a second table of the same kind.
 */

import HashRing from "hashring";
import { assert } from "../base/assert.ts";

const partitionBits = 10;
export const partitions = 1 << partitionBits;

/** For workers. */
export function partitionOf(key: string): number {
  return hashOf(key) & (partitions - 1);
}

/**
 * For dispatchers, by other bits of the hash: by the same ones, the keys of a dispatcher would lie in a few partitions
 * for workers, and most of its workers would have none.
 */
export function dispatcherPartitionOf(key: string): number {
  return hashOf(key) >>> (32 - partitionBits);
}

/** FNV-1a, then murmur3's finalizer: short, similar keys spread evenly (37 ns a look-up; native hashes cost more). */
function hashOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/** Tables by their number of workers: a pure function's answers, 2 KB each, that take 3 ms to find. */
const tables = new Map<number, Uint16Array>();

/** The newest are kept: factories of a program have few sizes. */
const tablesMax = 64;

/**
 * Partition -> worker's number, 0 to `workers` - 1; each worker gets its share, rounded up, at most. Not to be changed.
 */
export function routingTable(workers: number): Uint16Array {
  assert(Number.isSafeInteger(workers) && workers >= 1, "a table needs at least one worker");
  let table = tables.get(workers);
  if (table === undefined) {
    if (tables.size >= tablesMax) tables.clear();
    table = makeTable(workers);
    tables.set(workers, table);
  }
  return table;
}

function makeTable(workers: number): Uint16Array {
  const ring = new HashRing(Array.from({ length: workers }, (_, worker) => String(worker)));
  const cap = Math.ceil(partitions / workers);
  const load = new Uint16Array(workers);
  const table = new Uint16Array(partitions);
  for (let partition = 0; partition < partitions; partition++) {
    const preferred = ring.range(`partition ${partition}`, workers).map(Number);
    const worker = preferred.find((candidate) => (load[candidate] ?? cap) < cap) ?? leastLoaded(load);
    table[partition] = worker;
    load[worker] = (load[worker] ?? 0) + 1;
  }
  return table;
}

/** The ring names a bounded number of preferences; behind them the emptiest worker takes what is left. */
function leastLoaded(load: Uint16Array): number {
  let least = 0;
  for (let worker = 1; worker < load.length; worker++)
    if ((load[worker] ?? 0) < (load[least] ?? 0)) least = worker;
  return least;
}

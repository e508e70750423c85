/**
 * Writes the population's rows into the local site's stores before anything serves, shard by shard, as rows
 * that nanoactor did not write (version zero). Keys come in the stores' order, which is what a B-tree takes
 * fastest.
 */

import { type Row, rowKey, shardOf, versionZero } from "../../actors/records.ts";
import type { Store } from "../../actors/stores/contract.ts";
import { assert } from "../../src/index.ts";
import { driverLimits } from "./limits.ts";
import { encodeFreeKey } from "./one_time_rows.ts";
import type { Population, RowNumber, Unit } from "./population.ts";
import { Values } from "./values.ts";

/** What loading needs of a store. */
export type LoadStore = Pick<Store, "apply" | "sync" | "close">;

/** What the population's rows are at the start. */
export interface PopulationSize {
  readonly rows: number;
  readonly valueBytes: { readonly mean: number; readonly max: number; readonly total: number };
}

/** Counts the rows that exist at the start, and their values. */
export function measurePopulation(population: Population): PopulationSize {
  const values = new Values(population.seed);
  let [rows, max, total] = [0, 0, 0];
  for (const unit of population.units()) {
    for (const row of presentRows(population, unit)) {
      const bytes = values.length(unit.backend, row, 0);
      rows++;
      total += bytes;
      max = Math.max(max, bytes);
    }
  }
  return { rows, valueBytes: { mean: Math.round(total / Math.max(1, rows)), max, total } };
}

/**
 * Writes all rows and syncs. `open` gives the store of a shard of the local site; each is closed at the
 * end.
 */
export async function loadPopulation(
  population: Population,
  shards: number,
  open: (shard: number) => Promise<LoadStore>,
): Promise<void> {
  const stores = await Promise.all(Array.from({ length: shards }, (_, shard) => open(shard)));
  const batches: Row[][] = stores.map(() => []);
  const write = async (shard: number): Promise<void> => {
    const rows = batches[shard] ?? [];
    batches[shard] = [];
    if (rows.length > 0) await writeRows(stores[shard], rows);
  };
  const values = new Values(population.seed);
  for (const unit of population.units()) {
    const shard = shardOf(unit.backend, unit.key, shards);
    const batch = batches[shard] ?? [];
    for (const row of presentRows(population, unit)) batch.push(initialRow(population, values, unit, row));
    if (batch.length >= driverLimits.loadBatchRows) await write(shard);
  }
  await Promise.all(batches.map((_, shard) => write(shard)));
  await Promise.all(stores.map((store) => store.sync()));
  await Promise.all(stores.map((store) => store.close()));
}

async function writeRows(store: LoadStore | undefined, rows: readonly Row[]): Promise<void> {
  assert(store !== undefined, "the shard exists");
  const [results] = await store.apply([{ grants: [], rows }]);
  // `same`: an earlier load was interrupted behind this row.
  const written = results?.every((result) => result.status === "applied" || result.status === "same");
  assert(written === true, "an empty store takes the rows of the population");
}

function initialRow(population: Population, values: Values, unit: Unit, row: RowNumber): Row {
  const bytes = values.make(unit.backend, row, 0);
  return {
    key: rowKey(unit.backend, unit.key, population.subOf(unit, row)),
    version: versionZero,
    value: unit.backend === "public_keys" ? encodeFreeKey(bytes) : bytes,
    expiresAtMs: 0,
  };
}

function* presentRows(population: Population, unit: Unit): Generator<RowNumber> {
  for (let row = unit.first; row < unit.first + unit.count; row++) {
    if (population.presentAtStart(unit, row)) yield row;
  }
}

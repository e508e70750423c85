/**
 * The proof at the end: both stores read afresh, in key order and page by page, every row of both ways. The
 * sides must be equal except for the keys in db_perror; the authority must hold a state that the model
 * accepts for every row, which for a key in db_perror may lie on the other side.
 */

import { type RowKey, splitRowKey } from "../../actors/records.ts";
import type { Authorities } from "./authorities.ts";
import { describeRow, judgeStored, sideOf } from "./examiner.ts";
import type { Findings } from "./findings.ts";
import type { Judge } from "./judge.ts";
import { driverLimits } from "./limits.ts";
import type { Model } from "./model.ts";
import type { RowNumber } from "./population.ts";
import { RowSet } from "./row_set.ts";
import { type Pair, type Sides, sidesAgree } from "./sides.ts";

export interface ComparisonParts {
  readonly model: Model;
  readonly judge: Judge;
  readonly authorities: Authorities;
  readonly findings: Findings;
}

/** Compares everything; resolves with the number of keys that were compared. The traffic has ended. */
export async function compareEverything(
  parts: ComparisonParts,
  sides: Sides,
  perrorKeys: ReadonlySet<RowKey>,
): Promise<number> {
  await parts.authorities.refresh();
  const { population } = parts.model;
  const seen = new RowSet(population.rows);
  let keys = 0;
  for (let shard = 0; shard < sides.shards; shard++) {
    let from: RowKey | undefined = "";
    while (from !== undefined) {
      const page = sides.page(shard, from, driverLimits.sliceRows);
      for (const pair of page.pairs) {
        const row = comparePair(parts, pair, perrorKeys);
        if (row !== undefined) seen.add(row);
      }
      keys += page.pairs.length;
      from = page.next;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  return keys + compareUnseen(parts, seen, perrorKeys);
}

/** Returns the row whose pair it was, if it has a place. */
function comparePair(
  parts: ComparisonParts,
  pair: Pair,
  perrorKeys: ReadonlySet<RowKey>,
): RowNumber | undefined {
  const { model, judge, authorities, findings } = parts;
  const inPerror = perrorKeys.has(pair.key);
  if (!inPerror && !sidesAgree(pair)) {
    findings.unequal(pair.key, `${describeRow(pair, 0)}; ${describeRow(pair, 1)}`);
  }
  const keyParts = splitRowKey(pair.key);
  const view = authorities.of(keyParts.backend, keyParts.key);
  const place = model.population.placeOf(keyParts);
  const side = sideOf(view);
  const nowMs = Date.now();
  const verdict = judgeStored(judge, pair, place, side, nowMs);
  const elsewhere = inPerror && judgeStored(judge, pair, place, side === 0 ? 1 : 0, nowMs) === undefined;
  if (verdict !== undefined && !elsewhere) {
    findings.lost(pair.key, `at the end, in the store of ${view.authority}: ${verdict}`);
  }
  return place?.row;
}

/** Rows that no store holds. */
function compareUnseen(parts: ComparisonParts, seen: RowSet, perrorKeys: ReadonlySet<RowKey>): number {
  const { population } = parts.model;
  let keys = 0;
  for (let row: RowNumber = 0; row < population.rows; row++) {
    if (seen.has(row) || !population.has(population.unitOf(row).backend)) continue;
    comparePair(parts, { key: population.rowKeyOf(row), rows: [undefined, undefined] }, perrorKeys);
    keys++;
  }
  return keys;
}

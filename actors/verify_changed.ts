/**
 * Verify: what changed in some cohorts since their last comparison, compared under a failover's block, where nothing
 * moves: one immediate re-read instead of rechecks. The last look before a swap.
 */

import { type Clock, NanoError, type Ref } from "../src/index.ts";
import { compareRows } from "./compare.ts";
import type { ControlStore } from "./control_store.ts";
import { type CoveragePart, readCoverage } from "./coverage.ts";
import type { db_dirty_keys } from "./db_dirty_keys.ts";
import { dataLimits } from "./limits.ts";
import type { RangeReader } from "./range_reader.ts";
import type { CohortId, RowKey } from "./records.ts";
import type { ShardOptions } from "./shard_options.ts";

export interface Verification {
  readonly verified: number;
  /** They have a mark now; nothing stands until another verification finds none. */
  readonly differing: number;
  /** What is known of each cohort with this; empty if something differed. */
  readonly parts: readonly CoveragePart[];
}

interface Means {
  readonly ledger: Ref<typeof db_dirty_keys>;
  readonly reader: RangeReader;
  readonly control: ControlStore;
  readonly options: ShardOptions;
  readonly clock: Pick<Clock, "now">;
}

export async function verifyChanged(cohorts: readonly CohortId[], means: Means): Promise<Verification> {
  const { ledger, control, options, clock } = means;
  const againFromMs = clock.now();
  const start = await ledger.call.beginPass(cohorts);
  const { parts: recorded } = await readCoverage(control, options.shard);
  const parts: CoveragePart[] = [];
  let verified = 0;
  let differing = 0;
  for (const cohort of cohorts) {
    const begun = start.cohorts.find((each) => each.cohort === cohort);
    const part = recorded[cohort];
    if (begun === undefined || typeof begun.changes !== "number") {
      const known = begun?.changes ?? "not served here";
      throw new NanoError("conflict", `${cohort}: what changed since the comparison is not known (${known})`);
    }
    if (part?.site !== options.site || part.epoch !== start.epoch) {
      throw new NanoError("conflict", `${cohort}: no comparison of shard ${options.shard} is recorded`);
    }
    const keys = (await ledger.call.changedKeys(cohort)) ?? [];
    const found = await verifyKeys(keys, means);
    verified += keys.length;
    differing += found;
    parts.push({ ...part, againFromMs, againRows: part.againRows + keys.length });
  }
  if (differing > 0) return { verified, differing, parts: [] };
  const stand = await ledger.call.endPass(start.cohorts);
  if (stand.length < cohorts.length) {
    throw new NanoError("conflict", `shard ${options.shard}: another comparison began meanwhile`);
  }
  return { verified, differing, parts };
}

/** What differs gets a mark, so that the drain repairs it. Returns how many. */
async function verifyKeys(keys: readonly RowKey[], { ledger, reader, clock }: Means): Promise<number> {
  let differing = 0;
  for (let i = 0; i < keys.length; i += dataLimits.verifyBatchMax) {
    const batch = keys.slice(i, i + dataLimits.verifyBatchMax);
    const accounts = await ledger.call.account(batch);
    const unheld = batch.filter((_, n) => accounts[n] !== "perror");
    const found = await differ(await differ(unheld));
    differing += found.length;
    if (found.length > 0) await ledger.call.suspect({ keys: found, owner: "replay" });
  }
  return differing;

  async function differ(suspects: readonly RowKey[]): Promise<readonly RowKey[]> {
    if (suspects.length === 0) return suspects;
    const now = clock.now();
    const pairs = await reader.get(suspects);
    return pairs.filter(({ local, peer }) => compareRows(local, peer, now) !== "equal").map(({ key }) => key);
  }
}

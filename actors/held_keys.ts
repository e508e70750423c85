/**
 * What control remembers of the keys that a move carried over: the old side could not send their last versions, so the
 * new side must not serve them. Its ledgers hold them; where a log is lost, this is what they are held by again.
 */

import { cohortFinder, cohortOfRow } from "./cohorts.ts";
import { type ControlStore, controlKeys, type DecisionRecord, type HeldRecord } from "./control_store.ts";
import { type CohortId, type RowKey, shardOf, splitRowKey } from "./records.ts";
import type { ShardOptions } from "./shard_options.ts";

/** Durable when resolved; before the decision swaps. */
export async function rememberHeld(
  control: ControlStore,
  decision: string,
  keys: readonly RowKey[],
): Promise<void> {
  const key = controlKeys.held(decision);
  const value: HeldRecord = { decision, keys };
  for (let written: number | undefined; written === undefined; ) {
    written = await control.compareAndSet(key, (await control.get(key))?.revision ?? 0, value);
  }
}

/** An operator has said what stands: a lost log does not bring these holds back. */
export async function forgetHeld(control: ControlStore, row: RowKey): Promise<void> {
  for (const record of await control.list(controlKeys.held(""))) {
    let { value, revision } = record;
    while ((value as HeldRecord).keys.includes(row)) {
      const { decision, keys } = value as HeldRecord;
      const left: HeldRecord = { decision, keys: keys.filter((key) => key !== row) };
      if ((await control.compareAndSet(record.key, revision, left)) !== undefined) break;
      const now = await control.get(record.key);
      if (now === undefined) break;
      ({ value, revision } = now);
    }
  }
}

export interface HeldByDecision {
  readonly decision: string;
  readonly keys: readonly RowKey[];
}

/**
 * A shard's keys that the last swap of their cohort carried over to this site, or from it. Those that somebody has
 * reconciled since are among them: it is not known which.
 */
export async function rememberedHeld(
  control: ControlStore,
  { site, shard, shards, prefixes }: Pick<ShardOptions, "site" | "shard" | "shards" | "prefixes">,
  way: "to" | "from",
): Promise<HeldByDecision[]> {
  const last = new Map<CohortId, Pick<DecisionRecord, "id" | "to" | "from" | "blockTerm">>();
  for (const { value } of await control.list("decision/")) {
    const decision = value as DecisionRecord;
    if (decision.state !== "swapped") continue;
    for (const cohort of decision.cohorts) {
      if (decision.blockTerm > (last.get(cohort)?.blockTerm ?? 0)) last.set(cohort, decision);
    }
  }
  const cohortOf = cohortFinder(prefixes);
  const isHeld = (row: RowKey, id: string): boolean => {
    const { backend, key } = splitRowKey(row);
    const swap = last.get(cohortOfRow(cohortOf, row));
    return shardOf(backend, key, shards) === shard && swap?.[way] === site && swap.id === id;
  };
  const found: HeldByDecision[] = [];
  for (const { value } of await control.list(controlKeys.held(""))) {
    const { decision, keys } = value as HeldRecord;
    const held = keys.filter((row) => isHeld(row, decision));
    if (held.length > 0) found.push({ decision, keys: held });
  }
  return found;
}

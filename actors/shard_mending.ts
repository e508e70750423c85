/**
 * What a shard that has lost its store or its log needs of its peer before it serves. Holds no state; everything may be
 * repeated.
 *
 * Always true: a store that is below what control remembers is taken back only as a replica, when the peer's ledger has
 * a range over everything and nothing older than control's terms can land; a shard whose log was lost does not serve
 * before it knows again which keys the last swap carried over.
 */

import { type Clock, NanoError, type Ref, type Self } from "../src/index.ts";
import { type CohortFinder, cohortFinder } from "./cohorts.ts";
import { readControl } from "./control_reading.ts";
import {
  type Authority,
  authorityOf,
  type ControlStore,
  controlKeys,
  type ShardRecord,
} from "./control_store.ts";
import { db_dirty_keys } from "./db_dirty_keys.ts";
import { db_perror } from "./db_perror.ts";
import { db_store } from "./db_store.ts";
import {
  type CohortId,
  everyCohort,
  type RowKey,
  type Scope,
  shardScope,
  splitRowKey,
  versionZero,
} from "./records.ts";
import { type ShardOptions, shardProcess } from "./shard_options.ts";

/** What a shard start found missing, and in words why it does not serve. */
export interface Loss {
  readonly what: "nothing" | "store" | "holds";
  readonly why: string;
}

interface Place {
  readonly options: ShardOptions;
  readonly control: ControlStore;
}

interface Around extends Place {
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly store: Ref<typeof db_store>;
  readonly ledger: Ref<typeof db_dirty_keys>;
  readonly perror: Ref<typeof db_perror>;
  readonly peerLedger: Ref<typeof db_dirty_keys>;
}

/** Repairs what can be repaired of it. Errors: `lost` when that is for an operator, and those of peer and control. */
export async function mend({ what }: Loss, self: Self, place: Place): Promise<void> {
  const { site, peerSite, shard } = place.options;
  const around: Around = {
    ...place,
    clock: self.clock,
    store: self.ref(db_store, shardProcess(site, shard, "db_store")),
    ledger: self.ref(db_dirty_keys, shardProcess(site, shard, "db_dirty_keys")),
    perror: self.ref(db_perror, shardProcess(site, shard, "db_perror")),
    peerLedger: self.ref(db_dirty_keys, shardProcess(peerSite, shard, "db_dirty_keys")),
  };
  if (what === "store") await refill(around);
  else if (what === "holds") await recallHolds(around);
}

/** Control takes the store for the replica that it is, and the peer fills it again. */
async function refill(around: Around): Promise<void> {
  const { options, control, store, peerLedger } = around;
  const { site, peerSite, shard } = options;
  await checkReplica(around);
  for (const [scope, term] of await terms(around)) await store.call.fence({ scope, term });
  const peer = await control.get(controlKeys.shard(peerSite, shard));
  if (peer !== undefined) {
    await store.call.fence({ scope: shardScope(peerSite, shard), term: (peer.value as ShardRecord).term });
  }
  await peerLedger.call.openRange({ cohort: everyCohort, from: "", to: "", reason: "peer_lost" });
  // A move that begins from here on can't drain before that range is repaired.
  await checkReplica(around);
  const record = await control.get(controlKeys.shard(site, shard));
  if (record === undefined) return;
  const [fencedTerm = 0] = await store.call.fences([shardScope(site, shard)]);
  const found = { ...(record.value as ShardRecord), ...(await store.call.identity()), fencedTerm };
  if ((await control.compareAndSet(record.key, record.revision, found)) === undefined) {
    throw new NanoError("conflict", `${record.key} was taken by another owner meanwhile`);
  }
}

/** Errors: `lost`. */
async function checkReplica(around: Around): Promise<void> {
  const { site } = around.options;
  for (const [cohort, { site: served, decision }] of await authorities(around)) {
    const isWanted = decision !== undefined && decision.endedAtMs === 0 && decision.to === site;
    if (served === site || isWanted) throw new NanoError("lost", `${site} serves ${cohort}, or is about to`);
  }
}

/** Keys that a swap carried over, either way, as the peer's ledger has them. */
async function recallHolds(around: Around): Promise<void> {
  const { options, ledger, perror, peerLedger } = around;
  const { site, peerSite, prefixes } = options;
  const found = await authorities(around);
  const cohortOf = cohortFinder(prefixes);
  const servedAt = (wanted: string) => (row: RowKey) =>
    found.get(cohortOfRow(cohortOf, row))?.site === wanted;
  const keys = (await peerLedger.call.quarantined()).filter(servedAt(site));
  if (keys.length > 0) await ledger.call.hold({ keys, decision: "log_lost" });
  const heldThere = (await peerLedger.call.held()).filter(servedAt(peerSite));
  if (heldThere.length === 0) return;
  await ledger.call.suspect({ keys: heldThere, owner: "perror", heldThere: true });
  const entries = heldThere.map((key) => ({ key, version: versionZero, reason: "held", attempts: 0 }));
  await perror.call.quarantine(entries);
}

async function authorities({ control, clock }: Around): Promise<Map<CohortId, Authority>> {
  const { cohorts, decisions } = await readControl(control, clock);
  return new Map(cohorts.map((record) => [record.cohort, authorityOf(record, decisions)]));
}

async function terms(around: Around): Promise<[Scope, number][]> {
  return [...(await authorities(around))].map(([cohort, { term }]) => [cohort, term]);
}

function cohortOfRow(cohortOf: CohortFinder, row: RowKey): CohortId {
  const { backend, key } = splitRowKey(row);
  return cohortOf(backend, key);
}

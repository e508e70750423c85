/**
 * How a site takes back a store that is below what control remembers: as a replica that its peer fills again, if it
 * serves nothing. Holds no state; everything may be repeated.
 *
 * Always true: before control knows the store again, the peer's ledger has a range over everything, and nothing older
 * than control's terms can land in the store.
 */

import { NanoError, type Self } from "../src/index.ts";
import { type Authority, type ControlStore, controlKeys, type ShardRecord } from "./control_store.ts";
import { db_dirty_keys } from "./db_dirty_keys.ts";
import { db_store } from "./db_store.ts";
import { readAuthorities } from "./decisions.ts";
import { type CohortId, everyCohort, type Site, shardScope } from "./records.ts";
import { type ShardOptions, shardProcess } from "./shard_options.ts";

/** Errors: `lost` when that is for an operator, `conflict`, and those of peer and control. */
export async function takeBackReplica(
  self: Self,
  { site, peerSite, shard }: ShardOptions,
  control: ControlStore,
): Promise<void> {
  const store = self.ref(db_store, shardProcess(site, shard, "db_store"));
  const peerLedger = self.ref(db_dirty_keys, shardProcess(peerSite, shard, "db_dirty_keys"));
  const found = await readAuthorities(control);
  checkReplica(site, found);
  for (const [scope, { term }] of found) await store.call.fence({ scope, term });
  const peer = (await control.get(controlKeys.shard(peerSite, shard)))?.value as ShardRecord | undefined;
  if (peer !== undefined) await store.call.fence({ scope: shardScope(peerSite, shard), term: peer.term });
  await peerLedger.call.openRange({ cohort: everyCohort, from: "", to: "", reason: "peer_lost" });
  // A move that begins from here on can't drain before that range is repaired.
  checkReplica(site, await readAuthorities(control));
  const record = await control.get(controlKeys.shard(site, shard));
  if (record === undefined) return;
  const [fencedTerm = 0] = await store.call.fences([shardScope(site, shard)]);
  const known = { ...(record.value as ShardRecord), ...(await store.call.identity()), fencedTerm };
  if ((await control.compareAndSet(record.key, record.revision, known)) === undefined) {
    throw new NanoError("conflict", `${record.key} was taken by another owner meanwhile`);
  }
}

/** Errors: `lost`. */
function checkReplica(site: Site, authorities: ReadonlyMap<CohortId, Authority>): void {
  for (const [cohort, { site: served, decision }] of authorities) {
    const isWanted = decision !== undefined && decision.endedAtMs === 0 && decision.to === site;
    if (served === site || isWanted) throw new NanoError("lost", `${site} serves ${cohort}, or is about to`);
  }
}

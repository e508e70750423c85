/**
 * What control remembers of the mirrors of a site's marks: which were left behind. A stale one closes the failover gate
 * of its site until it is current again and a range over its shard stands in its place. No state of its own.
 */

import { type ControlRecord, type ControlStore, controlKeys, type MirrorRecord } from "./control_store.ts";
import type { Site } from "./records.ts";

export interface StaleMirror {
  readonly record: ControlRecord;
  readonly mirror: MirrorRecord;
}

export async function staleMirrors(control: ControlStore, site: Site): Promise<StaleMirror[]> {
  const records = await control.list(controlKeys.mirror(site, 0).slice(0, -1));
  return records
    .map((record) => ({ record, mirror: record.value as MirrorRecord }))
    .filter(({ mirror }) => mirror.stale);
}

/**
 * Durable when resolved: what is acknowledged from now on may be missing in these shards' mirror. Each call is a new
 * revision, so that whoever found the mirror current before can't take it back.
 */
export async function markStale(
  control: ControlStore,
  stale: {
    readonly site: Site;
    readonly shards: readonly number[];
    readonly sinceMs: number;
    readonly reason: string;
  },
): Promise<void> {
  const { site, shards, sinceMs, reason } = stale;
  for (const shard of shards) {
    const key = controlKeys.mirror(site, shard);
    const value: MirrorRecord = { site, shard, stale: true, sinceMs, reason };
    for (let written: number | undefined; written === undefined; ) {
      const revision = (await control.get(key))?.revision ?? 0;
      written = await control.compareAndSet(key, revision, value);
    }
  }
}

/** False if it became stale again meanwhile. */
export async function markCurrent(control: ControlStore, { record, mirror }: StaleMirror): Promise<boolean> {
  const current: MirrorRecord = { ...mirror, stale: false };
  return (await control.compareAndSet(record.key, record.revision, current)) !== undefined;
}

/** What the failover gate says of a site's stale mirrors, or "". */
export async function mirrorGate(control: ControlStore, site: Site): Promise<string> {
  const stale = await staleMirrors(control, site);
  if (stale.length === 0) return "";
  const shards = stale.map(({ mirror }) => mirror.shard).join(", ");
  return `the mirror of ${site}'s shards ${shards} is stale: it must come back, and each shard be compared as a whole`;
}

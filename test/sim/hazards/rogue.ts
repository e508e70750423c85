/** What is done to a store behind everybody's back: no actor hears of it, no oracle is told. */

import type { Site } from "../../../actors/records.ts";
import type { MemoryFiles } from "../../../actors/stores/memory.ts";
import { encodeRow } from "../../../actors/stores/row_codec.ts";
import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import { rowOf } from "./hazard.ts";

/** The row of this key keeps its version and gets other bytes. */
export function corrupt(sites: TwoSites, site: Site, key: string, value: string): void {
  const row = sites.row(site, rowOf(key));
  if (row === undefined) throw new Error(`${site} has no row of ${key}`);
  sites.files(site).rows.set(row.key, encodeRow({ ...row, value: new TextEncoder().encode(value) }));
}

/** What a site's store held at this instant, as a backup of its files would. */
export function backup(sites: TwoSites, site: Site): Backup {
  const { rows, fences, storeId, incarnation } = sites.files(site);
  return { rows: new Map(rows), fences: new Map(fences), storeId, incarnation };
}

/** The disk of a site's store is another one, with this on it. While nobody has it open. */
export function replaceDisk(sites: TwoSites, site: Site, held: Backup = emptyDisk): void {
  const files = sites.files(site);
  files.lose();
  for (const [key, bytes] of held.rows) files.rows.set(key, bytes);
  for (const [scope, term] of held.fences) files.fences.set(scope, term);
  files.storeId = held.storeId;
  files.incarnation = held.incarnation;
}

type Backup = Pick<MemoryFiles, "rows" | "fences" | "storeId" | "incarnation">;

const emptyDisk: Backup = { rows: new Map(), fences: new Map(), storeId: "", incarnation: 0 };

/** What is done to a store behind everybody's back: no actor hears of it, no oracle is told. */

import type { Site } from "../../../actors/records.ts";
import { encodeRow } from "../../../actors/stores/row_codec.ts";
import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import { rowOf } from "./hazard.ts";

/** The row of this key keeps its version and gets other bytes. */
export function corrupt(sites: TwoSites, site: Site, key: string, value: string): void {
  const row = sites.row(site, rowOf(key));
  if (row === undefined) throw new Error(`${site} has no row of ${key}`);
  sites.files(site).rows.set(row.key, encodeRow({ ...row, value: new TextEncoder().encode(value) }));
}

/** What a play asks of the comparison and of db_perror, as an operator would. */

import { db_dirty_keys } from "../../../actors/db_dirty_keys.ts";
import { db_perror } from "../../../actors/db_perror.ts";
import { everyCohort, type RowKey } from "../../../actors/records.ts";
import type { TwoSites } from "../../../app/simulate/two_sites.ts";

/** A comparison of every row. Returns the keys that differ and nothing stood for. */
export async function compared(sites: TwoSites): Promise<RowKey[]> {
  const passes = await sites.alive(sites.sites.compare());
  return passes.flatMap(({ examples }) => examples);
}

/** An operator has the keys of db_perror repaired. Returns how many there were. */
export function retry(sites: TwoSites, keys: readonly RowKey[]): Promise<number> {
  const perror = sites.node.system.ref(db_perror, sites.name("A", "db_perror"));
  return sites.alive(perror.call.retry(keys));
}

/** An operator has everything repaired. */
export async function crawl(sites: TwoSites): Promise<void> {
  const ledger = sites.node.system.ref(db_dirty_keys, sites.name("A", "db_dirty_keys"));
  await sites.alive(ledger.call.openRange({ cohort: everyCohort, from: "", to: "", reason: "operator" }));
}

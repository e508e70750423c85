/** The files of a simulated site's log, for plays that damage them. */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import { rowOf } from "./hazard.ts";

export const logFolder = "A/log-0";

/** Where a key stands last in the log: in its newest mark or clear. */
export function lastPlaceOf(
  sites: TwoSites,
  key: string,
): { readonly path: string; readonly offset: number } {
  const wanted = new TextEncoder().encode(rowOf(key));
  for (const name of sites.disk.list(logFolder).reverse()) {
    const path = `${logFolder}/${name}`;
    const offset = Buffer.from(sites.disk.read(path)).lastIndexOf(wanted);
    if (offset >= 0) return { path, offset };
  }
  throw new Error(`${key} is not in the log`);
}

/** Reasons of the ranges that stand at A. */
export function rangesOf(sites: TwoSites): string[] {
  return (
    sites
      .ledger("A")
      ?.ranges()
      .map(({ reason }) => reason) ?? []
  );
}

/** Every key is copied; from now on A's writes are marked and not sent. */
export async function copiedAndCutOff(sites: TwoSites): Promise<void> {
  await sites.copied();
  await sites.write("+4917000", "before");
  await sites.settled();
  sites.weather("A").down = true;
}

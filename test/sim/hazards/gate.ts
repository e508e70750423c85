/** What the failover gate says when +49 is to move from A to B. */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import { hasCode } from "../../../src/index.ts";

/** Its words, or "" if it let the prefix go. */
export async function gate(sites: TwoSites): Promise<string> {
  try {
    const { outcome, reason } = await sites.move("+49");
    return outcome === "swapped" ? "" : `aborted: ${reason}`;
  } catch (error) {
    if (hasCode(error, "conflict")) return error.message;
    throw error;
  }
}

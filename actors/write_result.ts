/** What the client of a write hears of what the store did with its row. Pure. */

import type { Row } from "./records.ts";
import type { WriteResult } from "./shard_messages.ts";
import type { ApplyResult } from "./store_messages.ts";

export function writeResult(row: Row, result: ApplyResult | undefined): WriteResult {
  switch (result?.status) {
    case "applied":
    case "same":
      return { ok: true, version: row.version };
    case "rejected":
      return { ok: false, code: "rejected", message: `the store refuses this row: ${result.code}` };
    case "fenced":
      return {
        ok: false,
        code: "fenced",
        message: `${result.scope} is at term ${result.term}; nothing was written`,
      };
    case "stale":
      return { ok: false, code: "conflict", message: "a newer version of this row stands in the store" };
    case undefined:
      return { ok: false, code: "crashed", message: "the store gave no result for this row" };
  }
}

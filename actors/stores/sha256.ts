/** The resource `digest` on Node: SHA-256 for the decision logs. */

import { createHash } from "node:crypto";
import type { Digest } from "../decision_log.ts";

export const nodeDigest: Digest = {
  sha256: (text) => createHash("sha256").update(text, "utf8").digest("hex"),
};

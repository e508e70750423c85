/** Whom a user has blocked. */

import { relationship } from "../kinds/relationship.ts";
import { defineBackend } from "./backend.ts";

export const blocklist = defineBackend({
  name: "blocklist",
  kind: relationship,
  keys: "e164",
  valueBytesMax: 256,
});

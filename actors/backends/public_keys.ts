/** One-time public keys of a user, each handed out once. */

import { oneTimeKeys } from "../kinds/one_time_keys.ts";
import { defineBackend } from "./backend.ts";

export const publicKeys = defineBackend({
  name: "public_keys",
  kind: oneTimeKeys,
  keys: "e164",
  valueBytesMax: 1024,
});

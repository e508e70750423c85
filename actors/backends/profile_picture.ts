/** A user's picture, as a small image. */

import { keyValue } from "../kinds/key_value.ts";
import { defineBackend } from "./backend.ts";

export const profilePicture = defineBackend({
  name: "profile_picture",
  kind: keyValue,
  keys: "e164",
  valueBytesMax: 64 * 1_024,
});

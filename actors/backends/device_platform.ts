/** Which platform and version a user's device runs. */

import { keyValue } from "../kinds/key_value.ts";
import { defineBackend } from "./backend.ts";

export const devicePlatform = defineBackend({
  name: "device_platform",
  kind: keyValue,
  keys: "e164",
  valueBytesMax: 256,
});

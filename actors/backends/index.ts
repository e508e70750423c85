/** The backends of the main job. */

import type { Backend } from "./backend.ts";
import { blocklist } from "./blocklist.ts";
import { devicePlatform } from "./device_platform.ts";
import { groups } from "./groups.ts";
import { profilePicture } from "./profile_picture.ts";
import { publicKeys } from "./public_keys.ts";

export const builtInBackends: readonly Backend[] = [
  devicePlatform,
  profilePicture,
  blocklist,
  groups,
  publicKeys,
];

/** The same by name. */
export const backends: Readonly<Record<string, Backend>> = Object.fromEntries(
  builtInBackends.map((backend) => [backend.name, backend]),
);

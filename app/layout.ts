/**
 * The main job's own files in a data directory, beside what actors/stores/data_directory.ts keeps there. Its
 * `layout.json` records what may not change between runs.
 */

import { join } from "node:path";
import type { Site } from "../actors/records.ts";

export const sites: readonly [local: Site, remote: Site] = ["A", "B"];

export const jobFiles = {
  journal: (data: string): string => join(data, "driver", "journal"),
  settings: (data: string): string => join(data, "layout.json"),
} as const;

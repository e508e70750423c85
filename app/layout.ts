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

/** A process ends with the channel to one that was killed: milliseconds, or seconds where everything is busy. */
export const lockWaitMs = 5_000;

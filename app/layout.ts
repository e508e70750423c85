/** Where things lie in a data directory. Its `layout.json` records what may not change between runs. */

import { join } from "node:path";
import type { Site } from "../actors/records.ts";

export const sites: readonly [local: Site, remote: Site] = ["A", "B"];

export const layout = {
  store: (data: string, site: Site, shard: number): string => join(data, site, `store-${shard}`),
  log: (data: string, site: Site, thread: number): string => join(data, site, `log-${thread}`),
  control: (data: string): string => join(data, "control"),
  journal: (data: string): string => join(data, "driver", "journal"),
  settings: (data: string): string => join(data, "layout.json"),
} as const;

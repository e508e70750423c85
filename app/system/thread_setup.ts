/** What each thread of the main job opens before its processes start: stores, control store, disk. */

import { randomUUID } from "node:crypto";
import { backends } from "../../actors/backends/index.ts";
import type { ControlStore } from "../../actors/control_store.ts";
import type { StoreOpener } from "../../actors/db_store.ts";
import { openLmdbStore } from "../../actors/stores/lmdb.ts";
import { openLmdbControl } from "../../actors/stores/lmdb_control.ts";
import { type Disk, nodeDisk } from "../../src/index.ts";
import { layout } from "../layout.ts";
import type { JobSettings } from "../messages.ts";

export interface JobResources extends Readonly<Record<string, unknown>> {
  readonly stores: StoreOpener;
  readonly control: ControlStore;
  readonly disk: Disk;
}

export type SetupOptions = Pick<JobSettings, "dataDirectory" | "durability">;

export function setup({ dataDirectory, durability }: SetupOptions): JobResources {
  return {
    stores: {
      open: (site, shard) =>
        openLmdbStore({
          path: layout.store(dataDirectory, site, shard),
          indexedBackends,
          durability,
          newStoreId: randomUUID(),
        }),
    },
    control: openLmdbControl(layout.control(dataDirectory)),
    disk: nodeDisk(),
  };
}

/** Backends whose relations can be looked up from the other end. */
export const indexedBackends = Object.values(backends)
  .filter(({ kind }) => kind.indexed)
  .map(({ name }) => name);

export async function teardown({ control }: JobResources): Promise<void> {
  await control.close();
}

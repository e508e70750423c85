/** The LMDB adapter passes the store contract. */

import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Store } from "../../actors/stores/contract.ts";
import { openLmdbStore } from "../../actors/stores/lmdb.ts";
import { storeContract } from "./store_contract.ts";
import { indexedBackend, type StorePlace } from "./store_rows.ts";

class LmdbHouse {
  readonly #stores: Store[] = [];
  readonly #folders: string[] = [];

  newPlace(): StorePlace {
    const path = mkdtempSync(join(tmpdir(), "nanoactor-lmdb-"));
    this.#folders.push(path);
    return {
      open: async ({ indexedBackends } = { indexedBackends: [indexedBackend] }) => {
        const newStoreId = `lmdb-${this.#stores.length + 1}`;
        const store = await openLmdbStore({ path, indexedBackends, durability: "group", newStoreId });
        this.#stores.push(store);
        return store;
      },
    };
  }

  async clear(): Promise<void> {
    for (const store of this.#stores.splice(0)) await store.close();
    for (const folder of this.#folders.splice(0)) await rm(folder, { recursive: true, force: true });
  }
}

storeContract("LMDB", new LmdbHouse(), 40);

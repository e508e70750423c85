/** A store and a control store of another format are refused by name, and nothing in them is changed. */

import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { open } from "lmdb";
import { afterEach, beforeEach, expect, it } from "vitest";
import { controlFormat, storeFormat } from "../../actors/stores/format.ts";
import { openLmdbStore } from "../../actors/stores/lmdb.ts";
import { openLmdbControl } from "../../actors/stores/lmdb_control.ts";

let path = "";

beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), "nanoactor-formats-"));
});

afterEach(() => rm(path, { recursive: true, force: true }));

interface Place {
  readonly database: string;
  readonly known: number;
  readonly open: () => Promise<{ close(): Promise<void> }>;
}

const store: Place = {
  database: "meta",
  known: storeFormat,
  open: () => openLmdbStore({ path, indexedBackends: [], durability: "group", newStoreId: "a" }),
};
const control: Place = {
  database: "counters",
  known: controlFormat,
  open: async () => openLmdbControl(path),
};

/** What stands in the database with the number, after a change of it if there is one. */
async function contents({ database }: Place, format?: number): Promise<Record<string, unknown>> {
  const root = open({ path, maxDbs: 8 });
  const entries = root.openDB<unknown, string>({ name: database, encoding: "msgpack" });
  if (format !== undefined) await entries.put("format", format);
  const found = Object.fromEntries([...entries.getRange()].map(({ key, value }) => [String(key), value]));
  await root.close();
  return found;
}

it.each([
  ["store", store],
  ["control store", control],
])("a %s says its format, and is opened again", async (_, place) => {
  await (await place.open()).close();
  expect(await contents(place)).toMatchObject({ format: place.known });
  await (await place.open()).close();
});

it.each([
  ["store", store],
  ["control store", control],
])("a %s of a newer format is refused with both numbers and the cure", async (_, place) => {
  await (await place.open()).close();
  const before = await contents(place, place.known + 1);
  for (let attempt = 0; attempt < 2; attempt++) {
    await expect(place.open()).rejects.toMatchObject({
      code: "config",
      message: expect.stringContaining(`has format ${place.known + 1}, this version reads ${place.known}`),
      details: { cure: expect.stringContaining("start the version that wrote it"), found: place.known + 1 },
    });
  }
  expect(await contents(place)).toEqual(before);
});

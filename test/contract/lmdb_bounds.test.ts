/** What the LMDB store refuses by itself: places that can't be opened, keys too long for it, calls after its end. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { rowKey } from "../../actors/records.ts";
import type { Store } from "../../actors/stores/contract.ts";
import { openLmdbReader, openLmdbStore } from "../../actors/stores/lmdb.ts";

const keyBytesMax = 1_978;

let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "nanoactor-bounds-"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function opened(path = folder): Promise<Store> {
  return openLmdbStore({ path, indexedBackends: ["relations"], durability: "group", newStoreId: "one" });
}

/** A key of this character that takes so many bytes. */
function keyOf(bytes: number, character: string): string {
  const start = rowKey("things", "");
  const each = Buffer.byteLength(character);
  const left = bytes - Buffer.byteLength(start);
  return start + character.repeat(Math.floor(left / each)) + "x".repeat(left % each);
}

it("a place that can't be opened is unavailable, and it is said which and why", async () => {
  const file = join(folder, "file");
  writeFileSync(file, "");
  const path = join(file, "store");
  await expect(opened(path)).rejects.toMatchObject({
    code: "unavailable",
    message: expect.stringMatching(/file\/store: ENOTDIR/),
    details: { path },
  });
  expect(() => openLmdbReader(path)).toThrow(expect.objectContaining({ code: "unavailable" }));
});

it.each(["x", "é", "€", "𝄞"])(
  "a key of %s begins a scan up to LMDB's bound in bytes, and is refused beyond it",
  async (character) => {
    const store = await opened();
    expect(await store.scan({ from: keyOf(keyBytesMax, character), to: "" }, 1)).toEqual([]);
    const longer = store.scan({ from: keyOf(keyBytesMax + 1, character), to: "" }, 1);
    await expect(longer).rejects.toMatchObject({ code: "bad_argument", details: { field: "key" } });
    await store.close();
  },
);

it("after its end every call is refused, and ending it again is no error", async () => {
  const store = await opened();
  const before = store.get([rowKey("things", "a")]);
  const ended = store.close();
  // What was asked before is answered.
  expect(await before).toEqual([undefined]);
  await ended;
  await store.close();
  const everything = { from: "", to: "" };
  const calls = [
    () => store.get([]),
    () => store.apply([]),
    () => store.fence("shard/0", 1),
    () => store.peek(everything, 1),
    () => store.peekEncoded?.(everything, 1),
    () => store.sync(),
  ];
  for (const call of calls) await expect(call()).rejects.toMatchObject({ code: "closed" });
});

it("a fence rises, and what is below it or equal changes nothing; it outlives the store's life", async () => {
  let store = await opened();
  expect([
    await store.fence("shard/0", 5),
    await store.fence("shard/0", 5),
    await store.fence("shard/0", 3),
  ]).toEqual([5, 5, 5]);
  await store.close();
  store = await opened();
  expect(await store.fences(["shard/0", "shard/1"])).toEqual([5, 0]);
  expect(await store.identity()).toEqual({ storeId: "one", incarnation: 2 });
  await store.close();
});

it("what throws under way is unavailable, and the next call finds the store as it was", async () => {
  const store = await opened();
  const key = rowKey("things", "a");
  const row = { key, version: [1, 1, 1] as const, value: undefined as never, expiresAtMs: 0 };
  await expect(store.apply([{ grants: [], rows: [row] }])).rejects.toMatchObject({
    code: "unavailable",
    message: expect.stringMatching(/^LMDB: (?!TypeError)./),
  });
  expect(await store.get([key])).toEqual([undefined]);
  await store.close();
});

it("an index that is made again has the edges of its backends, and no others", async () => {
  const store = await opened();
  const rows = ["relations", "things"].map((backend) => ({
    key: rowKey(backend, "a", "member"),
    version: [1, 1, 1] as const,
    value: Uint8Array.of(1),
    expiresAtMs: 0,
  }));
  await store.apply([{ grants: [], rows }]);
  await store.rebuildIndex?.();
  expect(await store.lookup("relations", "member", 10)).toEqual(["a"]);
  await expect(store.lookup("things", "member", 10)).rejects.toMatchObject({ code: "bad_argument" });
  await store.close();
});

/** The file of an LMDB environment: whole or not there, and durable with all that leads to it. */

import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { open } from "lmdb";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { rowKey } from "../../actors/records.ts";
import { openLmdbReader, openLmdbStore } from "../../actors/stores/lmdb.ts";
import { makeEnvironment } from "../../actors/stores/lmdb_file.ts";

/** What was done to which path, and what is to happen just before a link. */
const disk = vi.hoisted((): { readonly done: string[]; beforeLink: () => void } => ({
  done: [],
  beforeLink: () => undefined,
}));

vi.mock("node:fs", async (original) => {
  const fs = await original<typeof import("node:fs")>();
  const opened = new Map<number, string>();
  return {
    ...fs,
    openSync: (path: string, flags: string) => {
      const file = fs.openSync(path, flags);
      opened.set(file, path);
      return file;
    },
    fsyncSync: (file: number) => {
      disk.done.push(`sync ${opened.get(file)}`);
      fs.fsyncSync(file);
    },
    linkSync: (from: string, to: string) => {
      disk.beforeLink();
      disk.done.push(`link ${to}`);
      fs.linkSync(from, to);
    },
  };
});

const options = { mapSize: 1024 ** 2, maxDbs: 4 };
let house = "";
let path = "";

beforeEach(() => {
  house = mkdtempSync(join(tmpdir(), "nanoactor-file-"));
  path = join(house, "data", "A", "store-0");
  disk.done.length = 0;
  disk.beforeLink = () => undefined;
});

afterEach(() => rmSync(house, { recursive: true, force: true }));

it("a new file is synced before it has its name, and then every folder that leads to it", () => {
  makeEnvironment(path, options);
  const [first, second, ...then] = disk.done;
  expect(basename(first ?? "")).toBe("data.mdb");
  expect(first?.startsWith(`sync ${join(path, "new-")}`)).toBe(true);
  expect(second).toBe(`link ${join(path, "data.mdb")}`);
  const folders = [path, dirname(path), join(house, "data"), house].map((folder) => `sync ${folder}`);
  expect(then.slice(0, folders.length)).toEqual(folders);
  expect(readdirSync(path)).toEqual(["data.mdb"]);
});

it("folders are synced again where a file stands: who made them may have died before", () => {
  makeEnvironment(path, options);
  disk.done.length = 0;
  makeEnvironment(path, options);
  expect(disk.done.slice(0, 2)).toEqual([`sync ${path}`, `sync ${dirname(path)}`]);
});

it("a file that another process made meanwhile stays as it is", async () => {
  disk.beforeLink = () => {
    disk.beforeLink = () => undefined;
    makeEnvironment(path, options);
    const root = open<string, string>({ path, ...options });
    root.putSync("theirs", "kept");
    void root.close();
  };
  makeEnvironment(path, options);
  const root = open<string, string>({ path, ...options });
  expect(root.get("theirs")).toBe("kept");
  await root.close();
});

it("a reader is refused where no store was ever opened, file or not", () => {
  expect(() => openLmdbReader(path)).toThrow(/no store$/);
  mkdirSync(path, { recursive: true });
  makeEnvironment(path, options);
  expect(() => openLmdbReader(path)).toThrow("there is no store yet");
});

it("a process may read one store twice, and again when one of its readers has ended", async () => {
  const key = rowKey("things", "k");
  const store = await openLmdbStore({ path, indexedBackends: [], durability: "group", newStoreId: "s" });
  const row = { key, version: [1, 1, 1] as const, value: Buffer.from("v"), expiresAtMs: 0 };
  await store.apply([{ grants: [], rows: [row] }]);
  await store.close();
  const first = openLmdbReader(path);
  const second = openLmdbReader(path);
  await first.close();
  const third = openLmdbReader(path);
  const read = [second, third].map((reader) => Buffer.from(reader.getSync([key])[0]?.value ?? []).toString());
  expect(read).toEqual(["v", "v"]);
  await second.close();
  await third.close();
});

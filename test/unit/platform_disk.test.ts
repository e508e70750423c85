/** The machine's disk behind the Disk seam, on real files. That folders are synced is told by the calls it makes. */

import type { promises } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

const synced: string[] = [];

vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof promises>();
  return {
    ...real,
    open: async (path: string, ...rest: [number | string]) => {
      const file = await real.open(path, ...rest);
      const sync = file.sync.bind(file);
      file.sync = async () => {
        await sync();
        synced.push(path);
      };
      return file;
    },
  };
});

const { nodeDisk } = await import("../../src/platform/disk.ts");

let root = "";

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "nanoactor-disk-"));
  synced.length = 0;
});

afterEach(() => rm(root, { recursive: true, force: true }));

function syncedFolders(): string[] {
  return synced.map((path) => relative(root, path) || ".");
}

describe("the machine's disk", () => {
  it("syncs the parent of each folder that it makes, and of none that stood", async () => {
    await nodeDisk().makeDirectory(join(root, "a/b/c"));
    expect(syncedFolders().sort()).toEqual([".", "a", "a/b"]);
    synced.length = 0;
    await nodeDisk().makeDirectory(join(root, "a/b/c"));
    expect(syncedFolders()).toEqual([]);
  });

  it("syncs the folder of a file that it makes or removes", async () => {
    const disk = nodeDisk();
    await disk.makeDirectory(join(root, "log"));
    synced.length = 0;
    const file = await disk.openAppend(join(root, "log/1"), { synced: true });
    expect(syncedFolders()).toEqual(["log"]);
    await file.append(new Uint8Array([1, 2, 3]));
    await file.close();
    await disk.remove(join(root, "log/1"));
    expect(syncedFolders()).toEqual(["log", "log"]);
    expect(await disk.list(join(root, "log"))).toEqual([]);
  });

  it("cuts a file durably, and says which errno a failure had", async () => {
    const disk = nodeDisk();
    const path = join(root, "1");
    const file = await disk.openAppend(path, { synced: true });
    await file.append(new Uint8Array([1, 2, 3]));
    await file.close();
    synced.length = 0;
    await disk.truncate(path, 2);
    expect(syncedFolders()).toEqual(["1"]);
    expect([...(await disk.read(path))]).toEqual([1, 2]);
    const missing = { code: "unavailable", details: { errno: "ENOENT" } };
    await expect(disk.read(join(root, "none"))).rejects.toMatchObject(missing);
  });
});

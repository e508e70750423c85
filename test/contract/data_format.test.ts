/** What lies on disk in a format that this version does not know: refused by name, and left as it is. */

import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { open } from "lmdb";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { rowKey, versionZero } from "../../actors/records.ts";
import { closeDataDirectory, layout, openDataDirectory } from "../../actors/stores/data_directory.ts";
import { formats } from "../../actors/stores/data_format.ts";
import { openLmdbReader } from "../../actors/stores/lmdb.ts";
import { openLmdbControl } from "../../actors/stores/lmdb_control.ts";
import { hasCode, type NanoError } from "../../src/index.ts";

const row = { key: rowKey("things", "a"), version: versionZero, value: Buffer.from("v"), expiresAtMs: 0 };

let folder = "";

/** A directory with a row and a control record in it. */
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "nanoactor-format-"));
  const resources = openDataDirectory({ directory: folder });
  const store = await resources.stores.open("A", 0);
  await store.apply([{ grants: [], rows: [row] }]);
  await store.close();
  await resources.control.compareAndSet("a", 0, "b");
  await closeDataDirectory(resources);
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Every file's bytes, but for LMDB's lock tables: they are memory in a file, remade by whoever opens it first. */
function contents(): Record<string, string> {
  const names = readdirSync(folder, { recursive: true }).map(String);
  const files = names.filter((name) => !name.endsWith("lock.mdb") && statSync(join(folder, name)).isFile());
  return Object.fromEntries(files.map((name) => [name, readFileSync(join(folder, name), "base64")]));
}

async function refusal(attempt: () => unknown): Promise<NanoError> {
  try {
    await attempt();
  } catch (error) {
    if (hasCode(error, "newer_format") || hasCode(error, "unreadable")) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

async function openedStore(): Promise<void> {
  const resources = openDataDirectory({ directory: folder });
  try {
    await (await resources.stores.open("A", 0)).close();
  } finally {
    await closeDataDirectory(resources);
  }
}

async function setFormat(path: string, format: unknown, database = "meta"): Promise<void> {
  const root = open({ path, maxDbs: 8, overlappingSync: true });
  await root.openDB<unknown, string>({ name: database, encoding: "msgpack" }).put("format", format);
  await root.flushed;
  await root.close();
}

async function formatIn(path: string, database: string): Promise<unknown> {
  const root = open({ path, maxDbs: 8, readOnly: true });
  const found = root.openDB<unknown, string>({ name: database, encoding: "msgpack" }).get("format");
  await root.close();
  return found;
}

describe("the directory", () => {
  it("of a newer format is refused with what was found, what is known and the cure", async () => {
    writeFileSync(join(folder, "format.json"), '{ "format": 9 }');
    const before = contents();
    const { code, message, details } = await refusal(() => openDataDirectory({ directory: folder }));
    expect(code).toBe("newer_format");
    expect(details).toMatchObject({ found: 9, known: formats.directory });
    expect(message).toContain("has format 9, this version knows 1; start the version that wrote it");
    expect(contents()).toEqual(before);
  });

  it.each(["", "{", "null", '{ "format": "1" }', '{ "format": 0 }', '{ "format": 1.5 }'])(
    "whose format file says %j is unreadable, not newer",
    async (text) => {
      writeFileSync(join(folder, "format.json"), text);
      const before = contents();
      expect((await refusal(() => openDataDirectory({ directory: folder }))).code).toBe("unreadable");
      expect(contents()).toEqual(before);
    },
  );

  it("made before it had a format file is format 1, and gets the file", async () => {
    rmSync(join(folder, "format.json"));
    await openedStore();
    expect(JSON.parse(readFileSync(join(folder, "format.json"), "utf8"))).toEqual({ format: 1 });
  });
});

it("store and control store say their formats", async () => {
  expect(await formatIn(layout.store(folder, "A", 0), "meta")).toBe(formats.store);
  expect(await formatIn(layout.control(folder), "counters")).toBe(formats.control);
});

describe("a store", () => {
  it("of a newer format is refused, for writing and for reading, and stays as it is", async () => {
    const path = layout.store(folder, "A", 0);
    await setFormat(path, 3);
    const before = contents();
    for (const attempt of [openedStore, () => openLmdbReader(path)]) {
      const { code, details } = await refusal(attempt);
      expect(code).toBe("newer_format");
      expect(details).toMatchObject({ path, found: 3, known: formats.store });
    }
    // Locking writes who holds the directory, and takes it back.
    expect(contents()).toEqual(before);
  });

  it("whose number is none is unreadable", async () => {
    await setFormat(layout.store(folder, "A", 0), "one");
    expect((await refusal(openedStore)).code).toBe("unreadable");
  });

  it.each([
    ["is full of something else", (bytes: Buffer) => Buffer.alloc(bytes.length, 7)],
    ["was cut in its first page", (bytes: Buffer) => bytes.subarray(0, 40)],
    ["was cut behind its first page", (bytes: Buffer) => bytes.subarray(0, 4_096)],
    [
      "has a first page of zeros",
      (bytes: Buffer) => Buffer.concat([Buffer.alloc(4_096), bytes.subarray(4_096)]),
    ],
  ])("whose file %s is unreadable, and does not end the process", async (_, damage) => {
    const path = join(layout.store(folder, "A", 0), "data.mdb");
    writeFileSync(path, damage(readFileSync(path)));
    const before = contents();
    expect((await refusal(openedStore)).code).toBe("unreadable");
    expect((await refusal(() => openLmdbReader(layout.store(folder, "A", 0)))).code).toBe("unreadable");
    expect(contents()).toEqual(before);
  });

  it("written by a later LMDB is newer, not unreadable", async () => {
    const path = join(layout.store(folder, "A", 0), "data.mdb");
    const bytes = readFileSync(path);
    bytes.writeUInt16LE(3, 28);
    writeFileSync(path, bytes);
    const { code, details } = await refusal(openedStore);
    expect(code).toBe("newer_format");
    expect(details).toMatchObject({ found: 3, known: 2 });
  });
});

describe("the control store", () => {
  it("of a newer format is refused, for writing and for reading, and stays as it is", async () => {
    await setFormat(layout.control(folder), 2, "counters");
    const before = contents();
    expect((await refusal(() => openDataDirectory({ directory: folder }))).code).toBe("newer_format");
    const readOnly = () => openLmdbControl(layout.control(folder), { readOnly: true });
    expect((await refusal(readOnly)).code).toBe("newer_format");
    expect(contents()).toEqual(before);
  });

  it("that refused leaves the directory free for the version that can open it", async () => {
    const saved = `${folder}-control`;
    cpSync(layout.control(folder), saved, { recursive: true });
    await setFormat(layout.control(folder), 2, "counters");
    await refusal(() => openDataDirectory({ directory: folder }));
    rmSync(layout.control(folder), { recursive: true });
    cpSync(saved, layout.control(folder), { recursive: true });
    rmSync(saved, { recursive: true });
    await openedStore();
  });
});

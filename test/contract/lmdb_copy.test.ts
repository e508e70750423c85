/** A copy of an LMDB environment that another thread writes: whole, as it stood after one of its transactions. */

import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, expect, it } from "vitest";
import { openLmdbControl } from "../../actors/stores/lmdb_control.ts";
import { copyEnvironment } from "../../actors/stores/lmdb_copy.ts";
import { drawsEach } from "../fixtures/control_drawer.ts";

let folder = "";
let [source, copy] = ["", ""];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "nanoactor-copy-"));
  [source, copy] = [join(folder, "source"), join(folder, "copy")];
});

afterEach(() => rmSync(folder, { recursive: true }));

it("has every record, and leaves the environment as it is", async () => {
  const control = openLmdbControl(source);
  for (let n = 0; n < 300; n++) await control.compareAndSet(`record/${n}`, 0, { n });
  mkdirSync(copy);
  copyEnvironment(source, copy);
  const copied = openLmdbControl(copy, { readOnly: true });
  expect(await copied.list("")).toEqual(await control.list(""));
  await copied.close();
  expect(await control.compareAndSet("record/0", 1, "goes on")).toBe(2);
  await control.close();
});

it("beside a writer shows a state that was committed, never an older one than the copy before", async () => {
  const control = openLmdbControl(source);
  const writer = new Worker(new URL("../fixtures/control_drawer.js", import.meta.url), {
    workerData: source,
  });
  await once(writer, "message");
  const drawn = once(writer, "message");
  let isOver = false;
  void drawn.then(() => {
    isOver = true;
  });
  writer.postMessage("go");
  const counts: number[] = [];
  while (!isOver) {
    rmSync(copy, { recursive: true, force: true });
    mkdirSync(copy);
    copyEnvironment(source, copy);
    const copied = openLmdbControl(copy, { readOnly: true });
    const records = await copied.list("");
    // The only record is the counter.
    counts.push(...records.map(({ value }) => Number(value)), ...(records.length === 0 ? [0] : []));
    await copied.close();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  expect(counts).toEqual(counts.toSorted((a, b) => a - b));
  expect(new Set(counts).size).toBeGreaterThan(2);
  expect(counts.at(-1)).toBeLessThanOrEqual(drawsEach);
  expect((await control.get("count"))?.value).toBe(drawsEach);
  await control.close();
});

it("of a file that is none is refused, by the name of the original", () => {
  mkdirSync(source);
  writeFileSync(join(source, "data.mdb"), "no environment");
  mkdirSync(copy);
  const refused = {
    code: "unreadable",
    details: expect.objectContaining({ path: join(source, "data.mdb") }),
  };
  expect(() => copyEnvironment(source, copy)).toThrow(expect.objectContaining(refused));
});

it("of a folder without one is refused", () => {
  mkdirSync(copy);
  expect(() => copyEnvironment(source, copy)).toThrow("ENOENT");
});

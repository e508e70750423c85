/** The LMDB control store keeps its contract, also between threads, and over a reopening; it is one process's. */

import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { afterEach, expect, it } from "vitest";
import type { ControlStore } from "../../actors/control_store.ts";
import { openLmdbControl } from "../../actors/stores/lmdb_control.ts";
import { type Drawn, drawsEach } from "../fixtures/control_drawer.ts";
import type { ControlPlace } from "./control_checks.ts";
import { controlContract } from "./control_contract.ts";

class LmdbControlHouse {
  readonly #handles: ControlStore[] = [];
  readonly #folders: string[] = [];

  newFolder(): string {
    const folder = mkdtempSync(join(tmpdir(), "nanoactor-control-"));
    this.#folders.push(folder);
    return folder;
  }

  open(folder: string): ControlStore {
    const control = openLmdbControl(folder);
    this.#handles.push(control);
    return control;
  }

  newPlace(): ControlPlace {
    const folder = this.newFolder();
    return { open: () => this.open(folder) };
  }

  async clear(): Promise<void> {
    for (const control of this.#handles.splice(0)) await control.close();
    for (const folder of this.#folders.splice(0)) await rm(folder, { recursive: true, force: true });
  }
}

const house = new LmdbControlHouse();

afterEach(() => house.clear());

controlContract("LMDB", house);

const drawer = new URL("../fixtures/control_drawer.js", import.meta.url);
const opener = new URL("../fixtures/control_opener.js", import.meta.url);

/** Draws terms and increments a record once it is told to; ends by itself. */
interface Drawer {
  go(): void;
  readonly drawn: Promise<Drawn>;
}

async function startThread(folder: string): Promise<Drawer> {
  const worker = new Worker(drawer, { workerData: folder });
  await once(worker, "message");
  return { go: () => worker.postMessage("go"), drawn: resultOf(worker) };
}

/** Listens for both from the start: one that dies before it reports is told by its exit code, not by a time-out. */
async function resultOf(drawer: Worker): Promise<Drawn> {
  const ended = once(drawer, "exit").then(([code]) => {
    if (code !== 0) throw new Error(`a drawer ended with exit code ${code}`);
  });
  const [[result]] = await Promise.all([once(drawer, "message"), ended]);
  return result as Drawn;
}

it("no term is drawn twice and no increment is lost between four threads", async () => {
  const folder = house.newFolder();
  // As in a data directory: whoever opened it before its threads closes it last.
  const control = house.open(folder);
  const drawers = await Promise.all(Array.from({ length: 4 }, () => startThread(folder)));
  for (const each of drawers) each.go();
  const results = await Promise.all(drawers.map(({ drawn }) => drawn));
  const terms = results.flatMap((result) => result.terms);
  expect(terms).toHaveLength(4 * drawsEach);
  expect(new Set(terms).size).toBe(terms.length);
  for (const result of results) expect(result.terms).toEqual([...result.terms].sort((x, y) => x - y));
  // Unless some of them came between others, nothing was tried.
  expect(results.some(({ terms: own }) => (own.at(-1) ?? 0) - (own[0] ?? 0) >= drawsEach)).toBe(true);
  expect((await control.get("count"))?.value).toBe(4 * drawsEach);
  expect(await control.nextTerm()).toBeGreaterThan(Math.max(...terms));
});

it("another process is refused while one has it open, to write or to read, and gets it afterwards", async () => {
  const folder = house.newFolder();
  const control = openLmdbControl(folder);
  const term = await control.nextTerm();
  const inUse = `process ${process.pid} since`;
  expect(await openedElsewhere(folder, "write")).toContain(inUse);
  expect(await openedElsewhere(folder, "read")).toContain(inUse);
  await control.close();
  expect(await openedElsewhere(folder, "read")).toBe("opened");
  expect(await openedElsewhere(folder, "write")).toBe("opened");
  expect(await house.open(folder).nextTerm()).toBe(term + 1);
});

/** What comes of it in a process of its own. */
async function openedElsewhere(folder: string, how: "read" | "write"): Promise<string> {
  const child = fork(fileURLToPath(opener), [folder, how]);
  const [[outcome]] = await Promise.all([once(child, "message"), once(child, "exit")]);
  return String(outcome);
}

it("records, revisions and the counter go on when it is opened again", async () => {
  const folder = house.newFolder();
  const first = openLmdbControl(folder);
  const term = await first.nextTerm();
  const revision = await first.compareAndSet("cohort/groups/*", 0, { phase: "live" });
  await first.close();
  const second = house.open(folder);
  expect(await second.get("cohort/groups/*")).toEqual({
    key: "cohort/groups/*",
    value: { phase: "live" },
    revision,
  });
  expect(await second.nextTerm()).toBeGreaterThan(term);
});

it("a reader sees what was written after it opened, and writes nothing", async () => {
  const folder = house.newFolder();
  const writer = house.open(folder);
  await writer.compareAndSet("a", 0, 1);
  const reader = openLmdbControl(folder, { readOnly: true });
  expect((await reader.get("a"))?.value).toBe(1);
  await writer.compareAndSet("a", 1, 2);
  await writer.compareAndSet("b", 0, 3);
  expect((await reader.list("")).map(({ value }) => value)).toEqual([2, 3]);
  await expect(reader.compareAndSet("a", 2, 9)).rejects.toMatchObject({ code: "unavailable" });
  await expect(reader.nextTerm()).rejects.toMatchObject({ code: "unavailable" });
  await reader.close();
});

it("a folder that can't be opened is unavailable, and the error names it", () => {
  const path = join(fileURLToPath(import.meta.url), "under-a-file");
  const unavailable = { code: "unavailable", details: { path } };
  expect(() => openLmdbControl(path)).toThrow(expect.objectContaining(unavailable));
});

it("a closed control store is unavailable", async () => {
  const control = openLmdbControl(house.newFolder());
  await control.close();
  await expect(control.nextTerm()).rejects.toMatchObject({ code: "unavailable" });
  await expect(control.get("a")).rejects.toMatchObject({ code: "unavailable" });
});

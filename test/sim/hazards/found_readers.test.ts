/** Found by kills of the main job: a process that opens an LMDB store while another one writes it. */

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { open } from "lmdb";
import { afterEach, beforeEach, expect, it } from "vitest";
import { rowKey } from "../../../actors/records.ts";
import { openLmdbReader, openLmdbStore } from "../../../actors/stores/lmdb.ts";
import type { Written } from "../../fixtures/store_writer.ts";

const writerProgram = fileURLToPath(new URL("../../fixtures/store_writer.js", import.meta.url));

/** A process that writes the store all the time. */
class Writer {
  readonly #child: ChildProcess;

  constructor(folder: string) {
    this.#child = fork(writerProgram, [folder]);
  }

  async begin(): Promise<void> {
    await once(this.#child, "message");
    this.#child.send("go");
  }

  async end(): Promise<Written> {
    this.#child.send("stop");
    const [[written]] = await Promise.all([once(this.#child, "message"), once(this.#child, "exit")]);
    return written as Written;
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }
}

let folder = "";
let writer: Writer | undefined;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "nanoactor-reader-"));
  const made = { path: folder, indexedBackends: [], durability: "os", newStoreId: "s" } as const;
  await (await openLmdbStore(made)).close();
});

afterEach(async () => {
  await writer?.kill();
  rmSync(folder, { recursive: true });
});

const key = rowKey("things", "1");
const untilLostMsMax = 20_000;

it("hazard N21: a reader opens a store before its writer, or is refused; no commit is lost", async () => {
  const reader = openLmdbReader(folder);
  writer = new Writer(folder);
  await writer.begin();
  const shown = new Set<number>();
  const enoughMs = performance.now() + 500;
  while (performance.now() < enoughMs || shown.size < 2) {
    shown.add(reader.getSync([key])[0]?.version[2] ?? 0);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await reader.close();
  const refused = { code: "locked", message: expect.stringContaining("open it before") };
  expect(() => openLmdbReader(folder)).toThrow(expect.objectContaining(refused));
  const { commits, ...rest } = await writer.end();
  expect(commits).toBeGreaterThan(100);
  expect(rest).toEqual({ lost: 0, refused: "", disowned: false });
  await openLmdbReader(folder).close();
});

it("twin of hazard N21: a reader that asks nobody takes commits, and the store disowns itself", async () => {
  let written = { commits: 0, lost: 0, refused: "", disowned: false };
  const until = performance.now() + untilLostMsMax;
  while (written.lost === 0 && performance.now() < until) {
    writer = new Writer(folder);
    await writer.begin();
    for (let opened = 0; opened < 100; opened++) {
      await open({ path: folder, readOnly: true, maxDbs: 8 }).close();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    written = await writer.end();
  }
  expect(written.lost).toBeGreaterThan(0);
  expect(written).toMatchObject({
    refused: expect.stringContaining("lost acknowledged rows"),
    disowned: true,
  });
}, 60_000);

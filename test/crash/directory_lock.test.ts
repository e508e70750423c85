/** A data directory and real processes: one has it, and whatever ends that one, the next gets it. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { builtInBackends } from "../../actors/backends/index.ts";
import { startSites } from "../../actors/sites.ts";
import {
  closeDataDirectory,
  layout,
  logFolders,
  openDataDirectory,
  threadSetup,
} from "../../actors/stores/data_directory.ts";
import { lockDirectory } from "../../actors/stores/directory_lock.ts";
import { openLmdbReader } from "../../actors/stores/lmdb.ts";
import { openLmdbControl } from "../../actors/stores/lmdb_control.ts";
import { startSystem } from "../../src/index.ts";

const program = fileURLToPath(new URL("../fixtures/directory_opener.js", import.meta.url));

interface Said {
  readonly code: string;
  readonly message?: string;
  readonly holder?: { readonly pid: number; readonly since: string };
}

/** A process of test/fixtures/directory_opener.ts. */
class Opener {
  readonly process: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(folder: string, mechanism: string, command: readonly string[] = [process.execPath]) {
    const [file = "", ...before] = command;
    this.process = spawn(file, [...before, program, folder, mechanism], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    if (this.process.stdout === null) throw new Error("it has no standard output");
    this.#lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  get pid(): number | undefined {
    return this.process.pid;
  }

  async said(): Promise<Said> {
    const { value } = await this.#lines.next();
    return JSON.parse(String(value)) as Said;
  }

  tell(line: "open" | "close"): Promise<Said> {
    this.process.stdin?.write(`${line}\n`);
    return this.said();
  }

  async kill(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const exited = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await exited;
  }
}

let folder = "";
let openers: Opener[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "nanoactor-lock-"));
});

afterEach(async () => {
  await Promise.all(openers.map((opener) => opener.kill()));
  openers = [];
  rmSync(folder, { recursive: true, force: true });
});

async function opener(mechanism: string): Promise<Opener> {
  const started = new Opener(folder, mechanism);
  openers.push(started);
  expect((await started.said()).code).toBe("ready");
  return started;
}

describe.each(["flock", "claims"])("by %s", (mechanism) => {
  it("a second process is refused with the holder's pid and the cure, and nothing is changed", async () => {
    const first = await opener(mechanism);
    const second = await opener(mechanism);
    expect(await first.tell("open")).toEqual({ code: "open" });
    const before = new Set(readdirSync(folder, { recursive: true, encoding: "utf8" }));
    const { code, message, holder } = await second.tell("open");
    expect(code).toBe("locked");
    expect(holder?.pid).toBe(first.pid);
    expect(message).toContain(`${folder} is in use by process ${first.pid} since ${holder?.since}`);
    expect(message).toContain("stop it, or give another directory");
    expect(new Set(readdirSync(folder, { recursive: true, encoding: "utf8" }))).toEqual(before);
  });

  it("a second opening in the same process is refused, and says so", async () => {
    const first = await opener(mechanism);
    await first.tell("open");
    const { code, message } = await first.tell("open");
    expect(code).toBe("locked");
    expect(message).toContain(`is open in this process (${first.pid})`);
  });

  it("what was closed may be opened again, here and elsewhere", async () => {
    const first = await opener(mechanism);
    const second = await opener(mechanism);
    for (const each of [first, second, first]) {
      expect(await each.tell("open")).toEqual({ code: "open" });
      expect(await each.tell("close")).toEqual({ code: "close" });
    }
  });

  it("a SIGKILL of the holder releases the directory at once, again and again", async () => {
    for (let round = 0; round < 4; round++) {
      const holder = await opener(mechanism);
      expect(await holder.tell("open")).toEqual({ code: "open" });
      await holder.kill();
    }
    expect(await (await opener(mechanism)).tell("open")).toEqual({ code: "open" });
  }, 60_000);

  it("of many that start at once behind a killed holder, exactly one gets it", async () => {
    const holder = await opener(mechanism);
    await holder.tell("open");
    const starters = await Promise.all(Array.from({ length: 6 }, () => opener(mechanism)));
    await holder.kill();
    const said = await Promise.all(starters.map((starter) => starter.tell("open")));
    const winners = starters.filter((_, i) => said[i]?.code === "open");
    expect(winners).toHaveLength(1);
    const losers = said.filter(({ code }) => code === "locked");
    expect(losers).toHaveLength(starters.length - 1);
    expect(new Set(losers.map((loser) => loser.holder?.pid))).toEqual(new Set([winners[0]?.pid]));
  }, 60_000);
});

it("a record of a dead process does not lock anybody out, nor does a reused process number", async () => {
  // This process's own number, but started at another time: what a later process with a dead one's number finds.
  const stale = { pid: process.pid, started: "1", world: "", thread: 0, since: "2001-01-01T00:00:00.000Z" };
  const own = lockDirectory(folder);
  const { world } = JSON.parse(readFileSync(join(folder, "lock"), "utf8")) as { readonly world: string };
  own.release();
  writeFileSync(join(folder, "lock"), JSON.stringify({ ...stale, world }));
  writeFileSync(join(folder, "lock-7"), JSON.stringify({ ...stale, world }));
  for (const flock of ["flock", ""]) {
    const lock = lockDirectory(folder, { flock });
    expect(lock.own).toBe(true);
    lock.release();
  }
});

it("twin: a lock that locks nothing lets a second opening in", () => {
  const first = lockDirectory(folder, { flock: "true" });
  const second = lockDirectory(folder, { flock: "true" });
  expect([first.own, second.own]).toEqual([true, true]);
});

it("a holder that ends within the time given is waited for", async () => {
  const holder = await opener("flock");
  await holder.tell("open");
  holder.process.kill("SIGKILL");
  const lock = lockDirectory(folder, { waitMs: 30_000 });
  expect(lock.own).toBe(true);
  lock.release();
});

it("a platform with flock and one without it keep each other out", async () => {
  const byFile = await opener("flock");
  const byClaim = await opener("claims");
  await byFile.tell("open");
  expect((await byClaim.tell("open")).holder?.pid).toBe(byFile.pid);
  await byFile.tell("close");
  expect((await byClaim.tell("open")).code).toBe("open");
  expect((await byFile.tell("open")).holder?.pid).toBe(byClaim.pid);
});

it("the worker threads of the process that has the directory share it", async () => {
  const resources = openDataDirectory({ directory: folder });
  const system = await startSystem({ threads: 2, setup: threadSetup({ directory: folder }), resources });
  const { control } = resources;
  const sites = await startSites(system, {
    sites: ["A", "B"],
    control,
    backends: builtInBackends,
    shards: 2,
    prefixes: ["+49"],
    ...logFolders(folder),
  });
  expect(await sites.settled()).toBe(true);
  expect((await (await opener("flock")).tell("open")).holder?.pid).toBe(process.pid);
  await system.stop();
  await closeDataDirectory(resources);
  expect(await (await opener("flock")).tell("open")).toEqual({ code: "open" });
});

it("the process that has the directory may read its stores and control records beside", async () => {
  const resources = openDataDirectory({ directory: folder });
  const store = await resources.stores.open("A", 0);
  const reader = openLmdbReader(layout.store(folder, "A", 0));
  const records = openLmdbControl(layout.control(folder), { readOnly: true });
  expect(reader.scanSync({ from: "", to: "" }, 10)).toEqual([]);
  expect(await records.list("")).toEqual([]);
  await reader.close();
  await records.close();
  await store.close();
  await closeDataDirectory(resources);
});

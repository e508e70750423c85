/** Capsules of real threads on a real disk, and the command that plays them again. */

import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Definition, type StartOptions, type System, startSystem } from "../../src/index.ts";
import { replayCapsule } from "../../src/simulation/index.ts";
import { desk, opaque, store, worldly } from "../fixtures/crash_desk.ts";

let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "nano-capsules-"));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a system until its processes have crashed; returns the paths of the capsules. */
async function crashed(
  name: string,
  options: StartOptions,
  crash: (system: System) => Promise<unknown>,
): Promise<string[]> {
  const directory = join(folder, name, "deep");
  const system = await startSystem({ ...options, capsules: directory });
  await crash(system).catch(() => undefined);
  await system.stop();
  return readdirSync(directory).map((file) => join(directory, file));
}

async function spawned<D extends Definition>(system: System, definition: D, thread: number) {
  const pid = await system.spawn(definition, undefined as never, { thread, capsule: { messages: 3 } });
  return system.ref(definition, pid);
}

async function command(
  ...args: string[]
): Promise<{ readonly code: number; readonly out: string; readonly error: string }> {
  const main = join(import.meta.dirname, "..", "..", "app", "main.js");
  return new Promise((resolve) => {
    execFile(process.execPath, [main, "replay", ...args], (failure, out, error) =>
      resolve({ code: failure === null ? 0 : Number(failure.code), out, error }),
    );
  });
}

describe("capsules of a system", () => {
  it("are written by each thread before the system has stopped, for their owner's eyes, and play again", async () => {
    const paths = await crashed("threads", { threads: 1 }, async (system) => {
      await system.spawn(store, { stock: 50 }, { name: "store", thread: 0 });
      for (const thread of [0, 1]) {
        const pid = await system.spawn(desk, { store: "store" }, { thread, capsule: { messages: 5 } });
        const ref = system.ref(desk, pid);
        const orders = Array.from({ length: 13 }, (_, id) => ref.call.order({ id: `o${id}`, count: 1 }));
        await Promise.allSettled(orders);
      }
    });
    expect(paths).toHaveLength(2);
    for (const path of paths) {
      expect(statSync(path).mode & 0o777).toBe(0o600);
      expect(await replayCapsule(readFileSync(path))).toMatchObject({ outcome: "crashed_again", notes: [] });
    }
  });

  it.each([{ directory: "" }, { directory: "x", filesMax: 0 }, 5 as never])(
    "are refused a folder that is none: %j",
    async (capsules) => {
      await expect(startSystem({ capsules })).rejects.toMatchObject({
        code: "bad_argument",
        details: { field: "capsules" },
      });
    },
  );
});

describe("nanoactor replay", () => {
  it("exits with 1 for a crash that comes again, with its stack, and as JSON", async () => {
    const [path = ""] = await crashed("again", {}, async (system) =>
      (await spawned(system, opaque, 0)).call.add(-1),
    );
    const { code, out } = await command(path);
    expect(code).toBe(1);
    expect(out).toContain("it crashed again, at message 1 of 1 (call add): RangeError: -1 after 0");
    expect(out).toContain("crash_desk");
    const json = await command(path, "--json");
    expect([json.code, JSON.parse(json.out).outcome]).toEqual([1, "crashed_again"]);
  });

  it("exits with 0 once the module that is given is mended", async () => {
    const [path = ""] = await crashed("mended", {}, async (system) =>
      (await spawned(system, opaque, 0)).call.add(-1),
    );
    const mended = join(folder, "mended.mjs");
    writeFileSync(
      mended,
      `const callbacks = { init: () => ({}), call: { add: () => 1 } };
       export const opaque = { module: import.meta.url, name: "opaque", callbacks };`,
    );
    const { code, out } = await command(path, "--module", mended);
    expect([code, out.split("\n")[2]]).toEqual([0, "it did not crash"]);
  });

  it("exits with 3 when the capsule has not all that counts, and says what", async () => {
    const paths = await crashed("unclear", {}, async (system) => {
      for (const ask of ["clock", "wait"] as const) {
        await (await spawned(system, worldly, 0)).call[ask]().catch(() => undefined);
      }
    });
    const [clock, wait] = await Promise.all(paths.map((path) => command(path)));
    expect([clock?.code, wait?.code]).toEqual([3, 3]);
    expect(clock?.out).toContain("Date.now()");
    expect(wait?.out).toContain("setTimeout()");
    const [free, waiting] = await Promise.all(paths.map((path) => command(path, "--no-guard")));
    expect(free?.code).toBe(1);
    expect(waiting?.code).toBe(3);
    expect(waiting?.out).toContain("waits for what is not in the capsule: something outside its self");
  });

  it("exits with 2, and says why, for a file that is none, is missing, or whose module is gone", async () => {
    const none = join(folder, "none.capsule");
    writeFileSync(none, "NANOACTOR, but no capsule");
    const [path = ""] = await crashed("gone", {}, async (system) =>
      (await spawned(system, opaque, 0)).call.add(-1),
    );
    const results = [
      await command(none),
      await command(join(folder, "missing.capsule")),
      await command(path, "--module", join(folder, "gone.mjs")),
      await command(),
    ];
    expect(results.map(({ code }) => code)).toEqual([2, 2, 2, 2]);
    expect(results[0]?.error).toContain("this is no crash capsule, or a damaged one");
    expect(results[1]?.error).toContain("no such file");
    expect(results[2]?.error).toContain("say where it is now with --module");
  });
});

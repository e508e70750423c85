/** What users of such runtimes asked for of threads, by their projects' issues, on real ones. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { child, startSystem } from "../../src/index.ts";
import { meeting, waitForFile } from "./issue_workers.ts";

let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "nanoactor-meeting-"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const forEver = { timeoutMs: Number.POSITIVE_INFINITY };

/** Far more than it takes; a failure waits for it, a success does not. */
const patienceMs = 10_000;

it("nact#74, nact#76: two handlers that hold their threads run at the same time (issues)", async () => {
  const system = await startSystem({ threads: 2 });
  const [first, second] = await Promise.all(
    [1, 2].map(async (thread) => system.ref(meeting, await system.spawn(meeting, undefined, { thread }))),
  );
  const [a, b] = [join(folder, "a"), join(folder, "b")];
  // Neither returns before the other has begun.
  const met = await Promise.all([
    first?.call.meet({ mine: a, theirs: b, patienceMs }, forEver),
    second?.call.meet({ mine: b, theirs: a, patienceMs }, forEver),
  ]);
  expect(met).toEqual([true, true]);
  await system.stop();
});

it("actor-ts#1191: a call from thread to thread does not pass the main one, which may be held (issues)", async () => {
  const system = await startSystem({ threads: 2 });
  const to = await system.spawn(meeting, undefined, { thread: 2 });
  const from = system.ref(meeting, await system.spawn(meeting, undefined, { thread: 1 }));
  const file = join(folder, "answered");
  const relayed = from.call.relay({ to, file }, forEver);
  // The call has to leave this thread first.
  await new Promise((resolve) => setImmediate(resolve));
  expect(waitForFile(file, patienceMs)).toBe(true);
  expect(await relayed).toBe(2);
  await system.stop();
});

it("tinypool#56: a thread that fills its heap is replaced by an empty one, the others go on (issues)", async () => {
  const system = await startSystem({
    threads: 2,
    resourceLimits: { maxOldGenerationSizeMb: 32 },
    logLevel: "silent",
  });
  const children = [1, 2].map((thread) =>
    child(`on ${thread}`, meeting, undefined, { name: `on ${thread}`, thread }),
  );
  await system.supervise({ strategy: "one_for_one", intensity: 3, children });
  const [full, other] = [system.ref(meeting, "on 1"), system.ref(meeting, "on 2")];
  const before = await Promise.all([full.call.hoard(10), other.call.hoard(10)]);
  expect(before).toEqual([10, 10]);
  await expect(full.call.hoard(100_000_000, forEver)).rejects.toMatchObject({ code: "crashed" });
  let kept: number | undefined;
  while (kept === undefined) {
    // Nobody has the name until the thread is back: the answer is the event that is waited for.
    kept = await full.call.hoard(5).catch(() => undefined);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(kept).toBe(5);
  expect(await other.call.hoard(1)).toBe(11);
  expect(system.whereis("on 1")?.incarnation).toBe(2);
  await system.stop();
});

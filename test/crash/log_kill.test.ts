/** A process that writes the dirty log is killed again and again: what it acknowledged is recovered each time. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, it } from "vitest";
import { LogImage } from "../../actors/log_image.ts";
import { readFolder } from "../../actors/log_segments.ts";
import { splitRowKey } from "../../actors/records.ts";
import { nodeDisk } from "../../src/index.ts";

const program = fileURLToPath(new URL("../fixtures/log_appender.js", import.meta.url));
const rounds = 6;

let folder = "";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "nanoactor-log-"));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

/** Runs the program until it has acknowledged `count` appends, and kills it. Returns every number that it printed. */
async function appendUntilKilled(first: number, count: number): Promise<number[]> {
  const child = spawn(process.execPath, [program, folder, String(first)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const printed: number[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    printed.push(Number(line));
    if (printed.length === count) child.kill("SIGKILL");
  }
  expect(await exited).toEqual([null, "SIGKILL"]);
  return printed;
}

async function recovered(): Promise<{
  readonly numbers: ReadonlySet<number>;
  readonly damage: readonly string[];
}> {
  const image = new LogImage();
  const { damage } = await readFolder(nodeDisk(), folder, image, { own: false });
  const marks = [0, 1, 2, 3].flatMap((shard) => image.recover(shard).marks);
  return { numbers: new Set(marks.map(({ key }) => Number(splitRowKey(key).key))), damage };
}

it("everything that was acknowledged before a SIGKILL is recovered, over several lives", async () => {
  const acknowledged: number[] = [];
  for (let round = 0; round < rounds; round++) {
    // Somewhere in the first thousand: never at the same place in a frame twice.
    const count = 1 + Math.floor(Math.random() * 1_000);
    const printed = await appendUntilKilled(round * 1_000_000, count);
    expect(printed.length).toBeGreaterThanOrEqual(count);
    acknowledged.push(...printed);
    const { numbers, damage } = await recovered();
    expect(damage).toEqual([]);
    expect(acknowledged.filter((n) => !numbers.has(n))).toEqual([]);
  }
}, 60_000);

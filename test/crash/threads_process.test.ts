/** Whole processes with threads: what they leave behind when they stop. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const program = fileURLToPath(new URL("../fixtures/threads_program.js", import.meta.url));

/**
 * Runs the program; its lines, exit code and signal. A process that does not end by itself fails the test.
 */
async function run(scene: string): Promise<[string[], number | null, string | null]> {
  const child = spawn(process.execPath, [program, scene], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  const timer = setTimeout(() => child.kill("SIGTERM"), 10_000);
  const [code, signal] = (await once(child, "close")) as [number | null, string | null];
  clearTimeout(timer);
  return [output.trim().split("\n"), code, signal];
}

test("a process whose threads have stopped ends by itself, and no stop looks like a death", async () => {
  expect(await run("stop")).toStrictEqual([["hello", '{"stuck":[]}', "[]"], 0, null]);
});

test("a process whose thread was replaced ends by itself when it stops", async () => {
  expect(await run("crash")).toStrictEqual([["hello", '{"stuck":[]}', "[[1,1,false]]"], 0, null]);
});

test("a thread that dies while the threads stop is not replaced", async () => {
  const [lines, code, signal] = await run("crash_while_stopping");
  expect([lines.slice(0, 2), code, signal]).toStrictEqual([["hello", '{"stuck":[]}'], 0, null]);
});

test("threads that are stopped before they are ready end too", async () => {
  const [lines, code, signal] = await run("stop_at_once");
  expect([lines.slice(-2), code, signal]).toStrictEqual([['{"stuck":[]}', "[]"], 0, null]);
  expect(lines[0]).toMatch(/not ready/);
});

test("a thread that does not stop is named, and left to the end of the process", async () => {
  expect(await run("hang")).toStrictEqual([["hello", '{"stuck":[2]}', "[]"], null, "SIGKILL"]);
});

/**
 * `npm run long -- NAME|--all|--list [--tenth]`: runs suites that take minutes (suites.ts). Exit codes: 0 each command
 * ended as it must, 1 one did not or took too long, 2 wrong usage.
 */

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { type LongCommand, type LongSuite, longSuites, temporaryFolder } from "./suites.ts";

interface Flags {
  readonly all?: boolean;
  readonly list?: boolean;
  readonly tenth?: boolean;
}

/** A command that takes longer hangs: several times what the slowest took on two cores. */
const commandMsMax = { full: 40 * 60_000, tenth: 4 * 60_000 };

const compiled = fileURLToPath(new URL("../../", import.meta.url));

await new Command("long")
  .argument("[name]", `one of ${Object.keys(longSuites).join(", ")}`)
  .option("--all", "every suite")
  .option("--list", "say what there is")
  .option("--tenth", "at a tenth of the full length")
  .action(main)
  .parseAsync();

async function main(name: string | undefined, flags: Flags): Promise<void> {
  if (flags.list === true) {
    for (const [each, { proves }] of Object.entries(longSuites)) process.stdout.write(`${each}: ${proves}\n`);
    return;
  }
  const chosen = Object.entries(longSuites).filter(([each]) => flags.all === true || each === name);
  if (chosen.length === 0) {
    process.stderr.write(`long: give --all, --list or one of ${Object.keys(longSuites).join(", ")}\n`);
    process.exitCode = 2;
    return;
  }
  for (const [each, suite] of chosen) {
    if (!(await runSuite(each, suite, flags.tenth === true ? "tenth" : "full"))) process.exitCode = 1;
  }
}

async function runSuite(name: string, suite: LongSuite, length: "full" | "tenth"): Promise<boolean> {
  const faults: string[] = [];
  const start = performance.now();
  for (const command of suite[length]) {
    const folder = mkdtempSync(join(tmpdir(), "nanoactor-long-"));
    const end = await runCommand(command, folder, commandMsMax[length]);
    if (end === command.exitCode) {
      rmSync(folder, { recursive: true, force: true });
      continue;
    }
    // What such a run leaves behind is what one wants to look at.
    const line = [command.script, ...command.options].join(" ");
    faults.push(`${line} ended with ${end}, not ${command.exitCode}; ${temporaryFolder} was ${folder}`);
  }
  const seconds = ((performance.now() - start) / 1_000).toFixed(0);
  process.stdout.write(
    `\n${name}, ${length} length: ${faults.length === 0 ? "passed" : "FAILED"} in ${seconds} s\n`,
  );
  for (const fault of faults) process.stdout.write(`  ${fault}\n`);
  return faults.length === 0;
}

/** Resolves with the exit code, or with the signal that ended the command. */
function runCommand(
  { script, options }: LongCommand,
  folder: string,
  msMax: number,
): Promise<number | string> {
  const given = options.map((option) => (option === temporaryFolder ? folder : option));
  process.stdout.write(`\n== ${[script, ...given].join(" ")}\n`);
  const child = spawn(process.execPath, [join(compiled, script), ...given], {
    stdio: ["ignore", "inherit", "inherit"],
    timeout: msMax,
    killSignal: "SIGKILL",
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve(code ?? signal ?? "nothing"));
  });
}

/** `nanoactor replay`: plays a crash capsule again, and says whether the crash came again. */

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Command } from "commander";
import { type ExitReason, formatPid, hasCode, NanoError, toErrorData } from "../src/index.ts";
import { type ReplayReport, replayCapsule } from "../src/simulation/index.ts";

interface ReplayFlags {
  readonly module?: string;
  readonly guard: boolean;
  readonly json?: boolean;
}

interface ExitCodes {
  readonly failed: number;
  readonly usage: number;
  readonly notProven: number;
}

/** Ends with `failed` if it crashes, with 0 if it does not, with `notProven` if that can't be told. */
export function addReplayCommand(program: Command, exitCodes: ExitCodes): void {
  const outcomes: Readonly<Record<ReplayReport["outcome"], number>> = {
    crashed_again: exitCodes.failed,
    crashed_otherwise: exitCodes.failed,
    no_crash: 0,
    unclear: exitCodes.notProven,
  };
  program
    .command("replay")
    .description("play a crash capsule again: exit code 1 if it crashes, 0 if not, 3 if that can't be told")
    .argument(
      "<file>",
      "a .capsule file; its module is loaded and run, so give only what your own systems wrote",
    )
    .option("--module <file>", "where the definition's module is now (default: where it was)")
    .option("--no-guard", "let handlers use real clocks, timers and chance")
    .option("--json", "print the report, and nothing else, to standard output")
    .action(async (file: string, flags: ReplayFlags) => {
      try {
        const report = await replay(file, flags);
        process.stdout.write(
          flags.json === true ? `${JSON.stringify(report, undefined, 2)}\n` : textOf(report),
        );
        process.exitCode = outcomes[report.outcome];
      } catch (error) {
        process.stderr.write(`nanoactor: ${file}: ${messageOf(error)}\n`);
        process.exitCode = exitCodes.usage;
      }
    });
}

function replay(file: string, { module, guard }: ReplayFlags): Promise<ReplayReport> {
  return replayCapsule(bytesOf(file), {
    guard,
    ...(module === undefined ? {} : { module: pathToFileURL(resolve(module)).href }),
  });
}

function bytesOf(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new NanoError("config", toErrorData(error).message, {
      field: "file",
      cure: "give a .capsule file",
    });
  }
}

function messageOf(error: unknown): string {
  const { message } = toErrorData(error);
  const isMissing = error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND";
  const isElsewhere = isMissing || hasCode(error, "undef");
  return isElsewhere ? `${message}; say where it is now with --module` : message;
}

function textOf({ capsule, ...report }: ReplayReport): string {
  const { process, definition, pid, writtenAtMs } = capsule;
  const from = report.from === "init" ? "its beginning" : "a picture of its state";
  const lines = [
    `${process || definition} (${formatPid(pid)}) died on ${timeText(writtenAtMs)}: ${reasonText(report.then)}`,
    `replayed ${report.replayed} of ${report.messages} messages from ${from}`,
    outcomeText(report),
    ...(report.stack === undefined ? [] : report.stack.split("\n").slice(1)),
    ...report.notes.map((note) => `note: ${note}`),
  ];
  return `${lines.join("\n")}\n`;
}

/** A file may hold any number. */
function timeText(ms: number): string {
  const time = new Date(ms);
  return Number.isNaN(time.getTime()) ? `${ms} ms` : time.toISOString();
}

function outcomeText({ outcome, lastMessage, now }: Omit<ReplayReport, "capsule">): string {
  switch (outcome) {
    case "crashed_again":
      return `it crashed again, at ${lastMessage}: ${reasonText(now)}`;
    case "crashed_otherwise":
      return `it crashed, but otherwise, at ${lastMessage}: ${reasonText(now)}`;
    case "no_crash":
      return "it did not crash";
    case "unclear":
      return "it can't be told whether it would crash";
  }
}

function reasonText(reason: ExitReason | undefined): string {
  if (reason === undefined) return "nothing";
  if (typeof reason === "object" && "crash" in reason) return reason.crash.message;
  return typeof reason === "string" ? reason : JSON.stringify(reason);
}

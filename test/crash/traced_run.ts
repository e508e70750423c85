/** A run of the victim under strace, of several lives, and its trace as a file that is small enough to be kept. */

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, brotliDecompressSync, constants } from "node:zlib";
import { pack, unpack } from "msgpackr";
import { Journal } from "./judge.ts";
import { victimProgram } from "./kill_cycle.ts";
import { type Disk, emptyDisk, type Report, readTrace, runTraced, type Trace } from "./strace.ts";

/** For where nothing can be traced; `crash_images --save` made it. */
export const recordedTrace = fileURLToPath(new URL("../../../test/fixtures/crash_trace.br", import.meta.url));

export interface TracedRun {
  readonly lives: number;
  /** Acknowledged writes of each life. */
  readonly acknowledgements: number;
  readonly durability: "group" | "os";
  readonly seed: number;
}

/** What a run finds: an image of an earlier trace, and what had been reported up to its point. */
export interface Found {
  readonly disk: Disk;
  readonly reports: readonly Report[];
}

/** Errors: where a call is not understood. */
export async function traceVictim(
  run: TracedRun,
  found: Found = { disk: emptyDisk, reports: [] },
): Promise<Trace> {
  const folder = mkdtempSync(join(tmpdir(), "nanoactor-traced-"));
  const directory = join(folder, "data");
  const output = join(folder, "strace");
  const journal = new Journal();
  for (const { line } of found.reports) journal.read(line);
  try {
    writeDisk(directory, found.disk);
    for (let life = 0; life < run.lives; life++) {
      const command = [process.execPath, victimProgram, victimArguments(run, life, directory, journal)];
      let said = "";
      await runTraced(output, command, "go\n", (text) => {
        said += text;
      });
      for (const line of said.split("\n")) journal.read(line);
    }
    const trace = await readTrace(output, directory, found.disk);
    return { ...trace, reports: [...found.reports.map(({ line }) => ({ line, at: 0 })), ...trace.reports] };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function victimArguments(
  { durability, acknowledgements, seed }: TracedRun,
  life: number,
  directory: string,
  { highestOperation }: Journal,
): string {
  return JSON.stringify({
    directory,
    durability,
    twin: "",
    step: "",
    nth: 1,
    hold: "block",
    seed: seed + life,
    firstOperation: highestOperation + 1,
    threads: 2,
    acknowledgements,
  });
}

export function writeDisk(directory: string, { folders, files }: Disk): void {
  mkdirSync(directory);
  for (const folder of folders) mkdirSync(join(directory, folder), { recursive: true });
  for (const [path, bytes] of files) writeFileSync(join(directory, path), bytes);
}

/** Of a run that found nothing. */
export function saveTrace(file: string, { events, reports, length }: Trace): void {
  const packed = pack({ events, reports, length });
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
    [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
    [constants.BROTLI_PARAM_SIZE_HINT]: packed.byteLength,
  };
  writeFileSync(file, brotliCompressSync(packed, { params }));
}

export function loadTrace(file: string): Trace {
  const packed = brotliDecompressSync(readFileSync(file));
  return { ...(unpack(packed) as Omit<Trace, "before">), before: emptyDisk };
}

/**
 * The files of a dirty log: numbered segments in one folder, appended frame by frame. Opening reads them all, cuts a
 * torn tail, and says what is damaged. A log that starts over writes everything live into a new segment, syncs it, and
 * only then removes the older ones, so a crash at any step leaves at least one full account.
 *
 * Always true: a file is never written on after a write or a sync of it failed.
 */

import { type AppendFile, crc32c, type Disk, NanoError } from "../src/index.ts";
import { dataLimits } from "./limits.ts";
import type { LogImage, LogSource } from "./log_image.ts";
import { decodeFrame, encodeFrame, findFrame, type LogRecord } from "./log_records.ts";

const suffix = ".log";

/** Each segment's first bytes say it; another format is refused and nothing is changed. */
export const logFormat = 2;

export interface ReadFolder {
  /** Where something was written that can't be read any more: what it marked is not known. */
  readonly damage: readonly string[];
  readonly bytes: number;
}

/**
 * Feeds every record of a folder's segments to the image. `own`: a torn tail is cut, so that it is not taken for damage
 * once another segment follows. Another thread's log may be compacted meanwhile: then it is read again.
 * Errors: `config` for another format.
 */
export async function readFolder(
  disk: Disk,
  folder: string,
  image: LogImage,
  { own }: { readonly own: boolean },
): Promise<ReadFolder> {
  const source: LogSource = own ? image.own : { own, gaps: 0 };
  for (let attempt = 1; ; attempt++) {
    try {
      const { found, ...read } = await readSegments(disk, folder, own);
      for (const each of found) {
        if (each === gap) source.gaps++;
        else image.apply(each, source);
      }
      return read;
    } catch (error) {
      if (own || attempt === readAttemptsMax || errnoOf(error) !== "ENOENT") throw error;
    }
  }
}

/** A log is compacted once in 64 MiB: that it happens during two readings in a row is rare. */
const readAttemptsMax = 10;

/** Stands between the records for a place that can't be read. */
const gap = Symbol("gap");

interface ReadSegments extends ReadFolder {
  readonly found: readonly (LogRecord | typeof gap)[];
}

async function readSegments(disk: Disk, folder: string, own: boolean): Promise<ReadSegments> {
  const found: (LogRecord | typeof gap)[] = [];
  const damage: string[] = [];
  const damaged = (path: string, offset: number, what: string): void => {
    found.push(gap);
    damage.push(`${path} at ${offset}: ${what}`);
  };
  let total = 0;
  const names = await segments(disk, folder);
  for (const [index, name] of names.entries()) {
    const path = `${folder}/${name}`;
    const missing = index > 0 && sequenceOf(name) > sequenceOf(names[index - 1] ?? name) + 1;
    if (missing) damaged(path, 0, "the segment before it is missing");
    const bytes = await readSegment(disk, path);
    if (typeof bytes === "string") {
      damaged(path, 0, bytes);
      continue;
    }
    total += bytes.byteLength;
    const end = scan(bytes, path, {
      record: (record) => found.push(record),
      gap: (offset) => damaged(path, offset, "not what was written"),
    });
    if (end === bytes.byteLength) continue;
    // What follows the last whole frame of the last segment was never acknowledged; anything else was.
    if (index < names.length - 1) damaged(path, end, "the rest of it is missing");
    else if (own) await disk.truncate(path, end).catch(() => undefined);
  }
  return { found, damage, bytes: total };
}

/** The bytes, or why they can't be read. Errors: a file that has gone was compacted away meanwhile. */
async function readSegment(disk: Disk, path: string): Promise<Uint8Array | string> {
  try {
    return await disk.read(path);
  } catch (error) {
    if (errnoOf(error) === "EIO") return "the disk can't read it";
    throw error;
  }
}

interface Findings {
  readonly record: (record: LogRecord) => void;
  /** Bytes from here on are not what was written. */
  readonly gap: (offset: number) => void;
}

/** Returns where what is whole, or known to be damaged, ends: what follows is a torn tail. */
function scan(bytes: Uint8Array, path: string, { record, gap }: Findings): number {
  const header = checkHeader(bytes, path);
  if (header === "unused") return bytes.byteLength;
  let offset: number = headerBytes;
  if (header === "damaged") {
    gap(0);
    offset = findFrame(bytes, 0) ?? bytes.byteLength;
  }
  for (;;) {
    const frame = decodeFrame(bytes, offset);
    if (frame.status === "end") return offset;
    if (frame.status === "ok") {
      for (const each of frame.records) record(each);
      offset = frame.next;
      continue;
    }
    // A length that is damaged says nothing of where the next frame begins, so it is looked for.
    const found = frame.status === "damaged" ? frame.next : undefined;
    const next = found ?? findFrame(bytes, offset + 1);
    if (frame.status === "torn" && next === undefined) return offset;
    gap(offset);
    offset = next ?? bytes.byteLength;
  }
}

export interface SegmentOptions {
  readonly disk: Disk;
  readonly folder: string;
  /** Whether what is appended survives the machine, or only the process. */
  readonly synced: boolean;
}

/** One segment that is written. */
export class SegmentWriter {
  readonly #options: SegmentOptions;
  readonly #file: AppendFile;
  readonly #name: string;
  /** Where the last commit ends that was acknowledged. */
  #end: number;

  private constructor(options: SegmentOptions, file: AppendFile, name: string) {
    this.#options = options;
    this.#file = file;
    this.#name = name;
    this.#end = file.size;
  }

  /** Starts a new segment behind those that stand; what can't be started leaves no file behind. */
  static async open(options: SegmentOptions): Promise<SegmentWriter> {
    const { disk, folder, synced } = options;
    await disk.makeDirectory(folder);
    const last = (await segments(disk, folder)).at(-1);
    const name = nameOf(last === undefined ? 1 : sequenceOf(last) + 1);
    const path = `${folder}/${name}`;
    return undoing(disk, path, async () => {
      const file = await disk.openAppend(path, { synced });
      await file.append(header());
      await file.sync();
      return new SegmentWriter(options, file, name);
    });
  }

  /** A new segment that holds exactly these records, durably. `removeOlder` makes it the only one. */
  static async holding(options: SegmentOptions, records: readonly LogRecord[]): Promise<SegmentWriter> {
    const writer = await SegmentWriter.open(options);
    return undoing(options.disk, `${options.folder}/${writer.#name}`, async () => {
      await writer.commit(records);
      await writer.#file.sync();
      return writer;
    });
  }

  get bytes(): number {
    return this.#end;
  }

  /** Appends the records as bounded frames; when resolved, they are as durable as the segment was opened for. */
  async commit(records: readonly LogRecord[]): Promise<void> {
    for (let i = 0; i < records.length; i += dataLimits.logRecordsPerFrame) {
      await this.#file.append(encodeFrame(records.slice(i, i + dataLimits.logRecordsPerFrame)));
    }
    this.#end = this.#file.size;
  }

  async removeOlder(): Promise<void> {
    const { disk, folder } = this.#options;
    for (const name of await segments(disk, folder)) {
      if (sequenceOf(name) < sequenceOf(this.#name)) await disk.remove(`${folder}/${name}`);
    }
  }

  /** After a commit that failed: what it left behind is no damage. */
  async cut(): Promise<void> {
    await this.#options.disk.truncate(this.#file.path, this.#end);
  }

  sync(): Promise<void> {
    return this.#file.sync();
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  /** Nothing of it is wanted any more. */
  async discard(): Promise<void> {
    await this.#file.close().catch(() => undefined);
    await this.#options.disk.remove(this.#file.path);
  }
}

async function undoing<T>(disk: Disk, path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    await disk.remove(path).catch(() => undefined);
    throw error;
  }
}

async function segments(disk: Disk, folder: string): Promise<string[]> {
  return (await disk.list(folder)).filter((name) => /^\d{10}\.log$/.test(name));
}

function nameOf(sequence: number): string {
  return `${String(sequence).padStart(10, "0")}${suffix}`;
}

function sequenceOf(name: string): number {
  return Number.parseInt(name, 10);
}

/** What a disk said, or "". */
export function errnoOf(error: unknown): string {
  const errno = error instanceof NanoError ? error.details.errno : undefined;
  return typeof errno === "string" ? errno : "";
}

const magic = "NANOLOG";
const headerBytes = magic.length + 1 + 4;

/** Magic, format and the CRC-32C of both: this much is the same in every format. */
function header(): Uint8Array {
  const bytes = new Uint8Array(headerBytes);
  new TextEncoder().encodeInto(magic, bytes);
  bytes[magic.length] = logFormat;
  new DataView(bytes.buffer).setUint32(magic.length + 1, crc32c(bytes, 0, magic.length + 1));
  return bytes;
}

/** `unused`: it was cut, or is all zeros. Errors: `config` for another format, or for what is no log at all. */
function checkHeader(bytes: Uint8Array, path: string): "whole" | "damaged" | "unused" {
  const named = new TextDecoder().decode(bytes.subarray(0, magic.length)) === magic;
  const found = bytes[magic.length] ?? 0;
  // The first format had no checksum here.
  if (named && found === 1) throw otherFormat(path, found);
  if (bytes.byteLength < headerBytes || bytes.every((byte) => byte === 0)) return "unused";
  const view = new DataView(bytes.buffer, bytes.byteOffset, headerBytes);
  if (named && crc32c(bytes, 0, magic.length + 1) === view.getUint32(magic.length + 1)) {
    if (found !== logFormat) throw otherFormat(path, found);
    return "whole";
  }
  const own = header();
  const nearly = own.filter((byte, i) => byte !== bytes[i]).length <= 1;
  if (nearly || findFrame(bytes, 0) !== undefined) return "damaged";
  const text = `${path} is not a dirty log`;
  throw new NanoError("config", text, { field: "data", cure: "take the file out of the log's folder" });
}

function otherFormat(path: string, found: number): NanoError {
  const text = `${path} has format ${found} of the dirty log, this version reads ${logFormat}; nothing was changed`;
  const cure =
    found > logFormat ? "start the version that wrote it, or a newer one" : "finish with the older version";
  return new NanoError("config", text, { field: "data", cure, found, known: logFormat });
}

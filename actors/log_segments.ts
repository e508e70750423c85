/**
 * The files of a dirty log: numbered segments in one folder, appended frame by frame. Opening reads them all,
 * cuts a torn tail, and says what is damaged. A compaction starts a new segment with everything live, syncs it, and
 * only then removes the older ones, so a crash at any step leaves at least one full account.
 */

import { type AppendFile, type Disk, NanoError } from "../src/index.ts";
import { dataLimits } from "./limits.ts";
import type { LogImage } from "./log_image.ts";
import { decodeFrame, encodeFrame, findFrame, type LogRecord } from "./log_records.ts";

const suffix = ".log";

/** Each segment's first frame; a newer format is refused and nothing is changed. */
const format = 1;

export interface ReadFolder {
  /** Frames that were written and can't be read any more: what they marked is not known. */
  readonly damaged: number;
  readonly bytes: number;
}

/**
 * Feeds every record of a folder's segments to the image. `own`: a torn tail is cut, so that nothing is ever written
 * behind it. Errors: `config` for a newer format.
 */
export async function readFolder(
  disk: Disk,
  folder: string,
  image: LogImage,
  { own }: { readonly own: boolean },
): Promise<ReadFolder> {
  let damaged = 0;
  let total = 0;
  const names = (await disk.list(folder)).filter((name) => name.endsWith(suffix));
  for (const [index, name] of names.entries()) {
    const path = `${folder}/${name}`;
    const bytes = await disk.read(path);
    total += bytes.byteLength;
    const { end, gaps } = readSegment(bytes, path, (record) => image.apply(record, { own }));
    damaged += gaps;
    if (end === bytes.byteLength) continue;
    // What follows the last whole frame of the last segment was never acknowledged; anything else was.
    if (index < names.length - 1) damaged++;
    else if (own) await disk.truncate(path, end);
  }
  return { damaged, bytes: total };
}

/** `gaps`: frames that can't be read though whole ones follow them. `end`: where the last whole frame ends. */
function readSegment(
  bytes: Uint8Array,
  path: string,
  apply: (record: LogRecord) => void,
): { readonly end: number; readonly gaps: number } {
  let end = checkHeader(bytes, path);
  let gaps = 0;
  for (let offset: number | undefined = end; offset !== undefined; ) {
    const frame = decodeFrame(bytes, offset);
    if (frame.status === "end") break;
    if (frame.status === "ok") {
      for (const record of frame.records) apply(record);
      offset = frame.next;
      end = frame.next;
    } else {
      // A length that is damaged says nothing of where the next frame begins, so it is looked for.
      offset = findFrame(bytes, offset + 1);
      if (offset !== undefined) gaps++;
    }
  }
  return { end, gaps };
}

export interface SegmentOptions {
  readonly disk: Disk;
  readonly folder: string;
  /** Whether what is appended survives the machine, or only the process. */
  readonly synced: boolean;
}

/** The log that is written. One writer for each folder. */
export class SegmentWriter {
  readonly #options: SegmentOptions;
  #file: AppendFile;
  #sequence: number;
  /** Bytes over which a compaction is worth its writes: those since the last one. */
  #bytesSinceCompaction: number;

  private constructor(options: SegmentOptions, file: AppendFile, sequence: number, bytes: number) {
    this.#options = options;
    this.#file = file;
    this.#sequence = sequence;
    this.#bytesSinceCompaction = bytes;
  }

  /** Starts a new segment behind those that stand. */
  static async open(options: SegmentOptions, bytes: number): Promise<SegmentWriter> {
    const { disk, folder } = options;
    await disk.makeDirectory(folder);
    const sequence = (await lastSequence(disk, folder)) + 1;
    const file = await openSegment(options, sequence);
    return new SegmentWriter(options, file, sequence, bytes);
  }

  get wantsCompaction(): boolean {
    return this.#bytesSinceCompaction > dataLimits.logCompactionBytes;
  }

  /** Appends the records as bounded frames; when resolved, they are as durable as the writer was opened for. */
  async commit(records: readonly LogRecord[]): Promise<void> {
    for (const part of chunks(records, dataLimits.logRecordsPerFrame)) {
      const frame = encodeFrame(part);
      await this.#file.append(frame);
      this.#bytesSinceCompaction += frame.byteLength;
    }
  }

  /** Writes everything live into a new segment, then removes the older ones. */
  async compact(image: LogImage): Promise<void> {
    const { disk, folder } = this.#options;
    const older = (await disk.list(folder)).filter((name) => name.endsWith(suffix));
    const sequence = this.#sequence + 1;
    const file = await openSegment(this.#options, sequence);
    for (const records of chunks(image.records(), dataLimits.logRecordsPerFrame)) {
      await file.append(encodeFrame(records));
    }
    await file.sync();
    const previous = this.#file;
    this.#file = file;
    this.#sequence = sequence;
    this.#bytesSinceCompaction = 0;
    await previous.close();
    for (const name of older) await disk.remove(`${folder}/${name}`);
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

async function openSegment(options: SegmentOptions, sequence: number): Promise<AppendFile> {
  const { disk, folder, synced } = options;
  const path = `${folder}/${String(sequence).padStart(10, "0")}${suffix}`;
  const file = await disk.openAppend(path, { synced });
  await file.append(header());
  await file.sync();
  return file;
}

async function lastSequence(disk: Disk, folder: string): Promise<number> {
  const last = (await disk.list(folder)).filter((name) => name.endsWith(suffix)).at(-1);
  return last === undefined ? 0 : Number.parseInt(last, 10);
}

const magic = "NANOLOG";

function header(): Uint8Array {
  const bytes = new Uint8Array(magic.length + 1);
  new TextEncoder().encodeInto(magic, bytes);
  bytes[magic.length] = format;
  return bytes;
}

/** Returns where the frames begin; a header that is cut or all zeros is a segment that was never used. */
function checkHeader(bytes: Uint8Array, path: string): number {
  if (bytes.byteLength < magic.length + 1 || bytes.every((byte) => byte === 0)) return bytes.byteLength;
  const found = new TextDecoder().decode(bytes.subarray(0, magic.length));
  const version = bytes[magic.length] ?? 0;
  if (found !== magic || version > format) {
    const text = `${path} is not a dirty log that this version reads (format ${version}, known ${format})`;
    throw new NanoError("config", text, { field: "data", cure: "start the version that wrote it" });
  }
  return magic.length + 1;
}

function* chunks<T>(values: Iterable<T>, size: number): IterableIterator<T[]> {
  let chunk: T[] = [];
  for (const value of values) {
    if (chunk.push(value) < size) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}

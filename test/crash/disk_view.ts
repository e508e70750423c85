/**
 * What a data directory holds, read by nothing of the product: LMDB through its package, control records and log
 * frames through msgpackr, rows and checksums by their documented layout. For judges of real kills and crash images.
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { open } from "lmdb";
import { unpack } from "msgpackr";

export interface RowSeen {
  readonly version: readonly [number, number, number];
  /** null is a tombstone. */
  readonly value: Uint8Array | null;
}

export interface RangeSeen {
  readonly shard: number;
  readonly from: string;
  readonly to: string;
  readonly cursor: string;
}

/** What one site's stores and logs say. */
export interface SiteSeen {
  /** By the row's key, NULs and all. */
  readonly rows: ReadonlyMap<string, RowSeen>;
  readonly fences: ReadonlyMap<string, number>;
  /** Keys with a mark; the value is its owner as logged. */
  readonly marks: ReadonlyMap<string, number>;
  readonly held: ReadonlySet<string>;
  readonly ranges: readonly RangeSeen[];
  /** For each shard the highest term whose start is logged. */
  readonly shardTerms: ReadonlyMap<number, number>;
  /** Bytes of logs behind the last whole frame, and frames that are damaged before it. */
  readonly tornBytes: number;
  readonly damaged: number;
}

export interface DecisionSeen {
  readonly id: string;
  readonly cohorts: readonly string[];
  readonly from: string;
  readonly to: string;
  readonly blockTerm: number;
  readonly swapTerm: number;
  readonly state: string;
}

export interface CohortSeen {
  readonly cohort: string;
  readonly phase: string;
  readonly site: string;
}

export interface ControlSeen {
  readonly term: number;
  readonly cohorts: readonly CohortSeen[];
  readonly decisions: readonly DecisionSeen[];
  /** By `site/shard`. */
  readonly shards: ReadonlyMap<string, number>;
}

export interface DirectorySeen {
  readonly control: ControlSeen;
  readonly sites: Readonly<Record<string, SiteSeen>>;
}

/** Reads everything of a directory that nobody has open for writing. Errors: what LMDB and msgpackr throw. */
export async function readDirectory(directory: string, sites: readonly string[]): Promise<DirectorySeen> {
  const control = await readControl(join(directory, "control"));
  const seen: Record<string, SiteSeen> = {};
  for (const site of sites) seen[site] = await readSite(join(directory, site));
  return { control, sites: seen };
}

async function readControl(path: string): Promise<ControlSeen> {
  const empty = { term: 0, cohorts: [], decisions: [], shards: new Map<string, number>() };
  if (!existsSync(join(path, "data.mdb"))) return empty;
  const root = open({ path, readOnly: true, maxDbs: 4 });
  try {
    const counters = root.openDB<number, string>({ name: "counters", encoding: "msgpack" });
    const records = root.openDB<{ value: unknown }, string>({ name: "records", encoding: "msgpack" });
    const cohorts: CohortSeen[] = [];
    const decisions: DecisionSeen[] = [];
    const shards = new Map<string, number>();
    for (const { key, value } of records?.getRange({}) ?? []) {
      const name = String(key);
      if (name.startsWith("cohort/")) cohorts.push(value.value as CohortSeen);
      else if (name.startsWith("decision/")) decisions.push(value.value as DecisionSeen);
      else if (name.startsWith("shard/")) {
        shards.set(name.slice("shard/".length), (value.value as { term: number }).term);
      }
    }
    return { term: counters?.get("term") ?? 0, cohorts, decisions, shards };
  } finally {
    await root.close();
  }
}

async function readSite(folder: string): Promise<SiteSeen> {
  const rows = new Map<string, RowSeen>();
  const fences = new Map<string, number>();
  const log = new LogSeen();
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    const path = join(folder, name);
    if (name.startsWith("log-")) log.readFolder(path);
    else if (existsSync(join(path, "data.mdb"))) await readStore(path, rows, fences);
  }
  return { rows, fences, ...log.result() };
}

async function readStore(
  path: string,
  rows: Map<string, RowSeen>,
  fences: Map<string, number>,
): Promise<void> {
  const root = open<Buffer, Buffer>({
    path,
    readOnly: true,
    maxDbs: 8,
    encoding: "binary",
    keyEncoding: "binary",
  });
  try {
    const stored = root.openDB<Buffer, Buffer>({ name: "rows", encoding: "binary", keyEncoding: "binary" });
    for (const { key, value } of stored?.getRange({}) ?? []) rows.set(key.toString("utf8"), decodeRow(value));
    const terms = root.openDB<number, string>({
      name: "fences",
      encoding: "msgpack",
      keyEncoding: "ordered-binary",
    });
    for (const { key, value } of terms?.getRange({}) ?? []) fences.set(String(key), value);
  } finally {
    await root.close();
  }
}

/** Format 1, flags, two terms, n, expiry, value: docs/reference has the offsets. */
function decodeRow(bytes: Buffer): RowSeen {
  if (bytes[0] !== 1 || bytes.byteLength < 26) throw new Error(`a row begins with format ${bytes[0]}`);
  const version = [bytes.readUInt32BE(2), bytes.readUInt32BE(6), bytes.readDoubleBE(10)] as const;
  return { version, value: bytes[1] === 1 ? null : Uint8Array.from(bytes.subarray(26)) };
}

type LogLine = Readonly<Record<string, unknown>> & { readonly shard: number; readonly shardTerm: number };

interface ShardSeen {
  term: number;
  readonly marks: Map<string, { term: number; version: string; owner: number }>;
  readonly ranges: Map<string, { term: number; range: RangeSeen }>;
  readonly held: Map<string, number>;
}

class LogSeen {
  readonly #shards = new Map<number, ShardSeen>();
  #tornBytes = 0;
  #damaged = 0;

  readFolder(path: string): void {
    for (const name of readdirSync(path).sort()) {
      if (name.endsWith(".log")) this.#readSegment(readFileSync(join(path, name)));
    }
  }

  result(): Omit<SiteSeen, "rows" | "fences"> {
    const shards = [...this.#shards];
    const marks = shards.flatMap(([, { marks: of }]) =>
      [...of].map(([key, { owner }]) => [key, owner] as const),
    );
    return {
      marks: new Map(marks),
      held: new Set(shards.flatMap(([, { held }]) => [...held.keys()])),
      ranges: shards.flatMap(([, { ranges }]) => [...ranges.values()].map(({ range }) => range)),
      shardTerms: new Map(shards.map(([shard, { term }]) => [shard, term])),
      tornBytes: this.#tornBytes,
      damaged: this.#damaged,
    };
  }

  /** Format 2: 12 bytes of header; frames of length, checksum, checksum of both, payload. */
  #readSegment(bytes: Buffer): void {
    let offset = 12;
    while (offset + 12 <= bytes.byteLength) {
      const end = offset + 12 + bytes.readUInt32BE(offset);
      const header = bytes.subarray(offset, offset + 12);
      if (header.every((byte) => byte === 0) || end > bytes.byteLength) break;
      const payload = bytes.subarray(offset + 12, end);
      if (
        crc32c(header.subarray(0, 8)) !== header.readUInt32BE(8) ||
        crc32c(payload) !== header.readUInt32BE(4)
      ) {
        this.#damaged++;
        break;
      }
      for (const record of unpack(payload) as unknown[]) this.#apply(lineOf(record));
      offset = end;
    }
    this.#tornBytes += Math.max(0, bytes.byteLength - offset);
  }

  #apply(line: LogLine): void {
    const shard = this.#shardOf(line.shard);
    if (line.shardTerm < shard.term) return;
    const term = line.shardTerm;
    const key = String(line.key);
    switch (line.type) {
      case "start":
        startTerm(shard, term);
        break;
      case "mark":
        shard.marks.set(key, { term, version: String(line.version), owner: Number(line.owner) });
        break;
      case "clear":
        if (shard.marks.get(key)?.version === String(line.version)) shard.marks.delete(key);
        break;
      case "range": {
        const range = line.range as RangeSeen & { readonly id: string };
        shard.ranges.set(range.id, { term, range: { ...range, shard: line.shard } });
        break;
      }
      case "range_removed":
        shard.ranges.delete(String(line.id));
        break;
      case "cursor": {
        const known = shard.ranges.get(String(line.id));
        if (known !== undefined) known.range = { ...known.range, cursor: String(line.cursor) };
        break;
      }
      case "held":
        if (line.decision === "") shard.held.delete(key);
        else shard.held.set(key, term);
    }
  }

  #shardOf(number: number): ShardSeen {
    let shard = this.#shards.get(number);
    if (shard === undefined) {
      shard = { term: 0, marks: new Map(), ranges: new Map(), held: new Map() };
      this.#shards.set(number, shard);
    }
    return shard;
  }
}

function startTerm(shard: ShardSeen, term: number): void {
  shard.term = term;
  for (const [key, mark] of shard.marks) if (mark.term < term) shard.marks.delete(key);
  for (const [id, range] of shard.ranges) if (range.term < term) shard.ranges.delete(id);
  for (const [key, heldTerm] of shard.held) if (heldTerm < term) shard.held.delete(key);
}

/** Marks and clears are packed as arrays: code, shard, term, key, version, owner. */
function lineOf(record: unknown): LogLine {
  if (!Array.isArray(record)) return record as LogLine;
  const [code, shard, shardTerm, key, cohortTerm, term, n, owner] = record;
  const type = code === 1 ? "mark" : "clear";
  return { type, shard, shardTerm, key, version: [cohortTerm, term, n], owner };
}

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc >>> 0;
});

function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ (crcTable[(crc ^ byte) & 0xff] ?? 0);
  return (crc ^ 0xffffffff) >>> 0;
}

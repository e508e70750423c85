/**
 * What a dirty log holds, and its frames: `u32 length, u32 CRC-32C of the payload, u32 CRC-32C of these 8 bytes,
 * payload`, all big-endian; a payload is one commit's records in msgpack. Pure. Records of a shard below the term of
 * its last `start` are void. The format and its versions: docs/reference/log-format.md.
 */

import { assert, crc32c, decodeStrict, encodeStrict, NanoError } from "../src/index.ts";
import { dataLimits } from "./limits.ts";
import type { DirtyRange, MarkOwner, RowKey, Version } from "./records.ts";

interface OfShard {
  readonly shard: number;
  readonly shardTerm: number;
}

export type LogRecord = OfShard &
  (
    | { readonly type: "account" }
    | { readonly type: "start" }
    | { readonly type: "mark"; readonly key: RowKey; readonly version: Version; readonly owner: MarkOwner }
    | { readonly type: "clear"; readonly key: RowKey; readonly version: Version }
    | { readonly type: "range"; readonly range: DirtyRange }
    | { readonly type: "range_removed"; readonly id: string }
    | { readonly type: "cursor"; readonly id: string; readonly cursor: RowKey }
    | {
        readonly type: "perror";
        readonly key: RowKey;
        readonly version: Version;
        readonly reason: string;
        readonly attempts: number;
        readonly firstAtMs: number;
      }
    | { readonly type: "perror_resolved"; readonly key: RowKey }
    | { readonly type: "held"; readonly key: RowKey; readonly decision: string }
  );

type PerrorFields = Omit<Extract<LogRecord, { readonly type: "perror" }>, "type" | keyof OfShard>;

/** Makes the records of one shard under one term. */
export class ShardRecords {
  readonly #of: OfShard;

  constructor(shard: number, shardTerm: number) {
    this.#of = { shard, shardTerm };
  }

  /** What follows, up to `start`, is everything that stands under the new term: damage before it means nothing. */
  account(): LogRecord {
    return { type: "account", ...this.#of };
  }

  /** Voids what was logged under older terms. */
  start(): LogRecord {
    return { type: "start", ...this.#of };
  }

  mark(key: RowKey, version: Version, owner: MarkOwner): LogRecord {
    assert(this.#of.shardTerm > 0, "a mark is logged under a term");
    return { type: "mark", ...this.#of, key, version, owner };
  }

  clear(key: RowKey, version: Version): LogRecord {
    return { type: "clear", ...this.#of, key, version };
  }

  range(range: DirtyRange): LogRecord {
    return { type: "range", ...this.#of, range };
  }

  rangeRemoved(id: string): LogRecord {
    return { type: "range_removed", ...this.#of, id };
  }

  cursor(id: string, cursor: RowKey): LogRecord {
    return { type: "cursor", ...this.#of, id, cursor };
  }

  perror({ key, version, reason, attempts, firstAtMs }: PerrorFields): LogRecord {
    return { type: "perror", ...this.#of, key, version, reason, attempts, firstAtMs };
  }

  perrorResolved(key: RowKey): LogRecord {
    return { type: "perror_resolved", ...this.#of, key };
  }

  /** An empty decision lets the key go. */
  held(key: RowKey, decision: string): LogRecord {
    return { type: "held", ...this.#of, key, decision };
  }
}

/** Marks and clears are nearly all of a log: they are written as short arrays, the rest as objects. */
const markCode = 1;
const clearCode = 2;
const owners: readonly MarkOwner[] = ["queuer", "replay", "perror"];

type Packed = readonly [code: number, shard: number, term: number, key: string, ...version: number[]];

const headerBytes = 12;

/** One frame with these records. */
export function encodeFrame(records: readonly LogRecord[]): Uint8Array {
  const payload = encodeStrict(records.map(pack), dataLimits.logFrame);
  const frame = new Uint8Array(headerBytes + payload.byteLength);
  const view = new DataView(frame.buffer);
  view.setUint32(0, payload.byteLength);
  view.setUint32(4, crc32c(payload));
  view.setUint32(8, crc32c(frame, 0, 8));
  frame.set(payload, headerBytes);
  return frame;
}

/**
 * `end`: nothing follows. `torn`: a frame that was begun and not ended, or zeros. `damaged`: bytes that were written
 * otherwise; `next`: where the frame ends, if its header is whole.
 */
export type Frame =
  | { readonly status: "ok"; readonly records: LogRecord[]; readonly next: number }
  | { readonly status: "end" }
  | { readonly status: "torn" }
  | { readonly status: "damaged"; readonly next: number | undefined };

export function decodeFrame(bytes: Uint8Array, offset: number): Frame {
  const left = bytes.byteLength - offset;
  if (left === 0) return { status: "end" };
  if (left < headerBytes) return { status: "torn" };
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, headerBytes);
  const length = view.getUint32(0);
  if (crc32c(bytes, offset, offset + 8) !== view.getUint32(8)) {
    // Zeros are what a file system leaves of bytes that it never wrote.
    const zeros = bytes.subarray(offset, offset + headerBytes).every((byte) => byte === 0);
    return zeros ? { status: "torn" } : { status: "damaged", next: undefined };
  }
  const start = offset + headerBytes;
  const next = start + length;
  if (next > bytes.byteLength) return { status: "torn" };
  if (length > dataLimits.logFrame.bytesMax || crc32c(bytes, start, next) !== view.getUint32(4))
    return { status: "damaged", next };
  const packed = decodeStrict(bytes.subarray(start, next), dataLimits.logFrame);
  if (!Array.isArray(packed)) throw new NanoError("wire", "a log frame is no list of records");
  return { status: "ok", records: packed.map(unpack), next };
}

/** Where the next whole frame begins, at `from` or behind it; undefined if there is none. */
export function findFrame(bytes: Uint8Array, from: number): number | undefined {
  for (let offset = from; offset + headerBytes < bytes.byteLength; offset++) {
    // A payload is a list: most offsets are told by one byte, without a checksum.
    if (isListHeader(bytes[offset + headerBytes] ?? 0) && decodeFrame(bytes, offset).status === "ok") {
      return offset;
    }
  }
  return undefined;
}

/** msgpack's fixarray, array 16 and array 32. */
function isListHeader(byte: number): boolean {
  return (byte >= 0x90 && byte <= 0x9f) || byte === 0xdc || byte === 0xdd;
}

function pack(record: LogRecord): unknown {
  const { shard, shardTerm } = record;
  if (record.type === "mark") {
    return [markCode, shard, shardTerm, record.key, ...record.version, owners.indexOf(record.owner)];
  }
  if (record.type === "clear") return [clearCode, shard, shardTerm, record.key, ...record.version];
  return record;
}

function unpack(packed: unknown): LogRecord {
  if (!Array.isArray(packed)) return known(packed);
  const [code, shard, shardTerm, key, cohortTerm = 0, term = 0, n = 0, owner = 0] =
    packed as unknown as Packed;
  const version: Version = [cohortTerm, term, n];
  if (code === clearCode) return { type: "clear", shard, shardTerm, key, version };
  return { type: "mark", shard, shardTerm, key, version, owner: owners[owner] ?? "replay" };
}

const objectTypes: ReadonlySet<unknown> = new Set<LogRecord["type"]>([
  "account",
  "start",
  "range",
  "range_removed",
  "cursor",
  "perror",
  "perror_resolved",
  "held",
]);

/** Its checksum is right, so a type that is not known was written by another version. */
function known(packed: unknown): LogRecord {
  const { type } = packed as Partial<LogRecord>;
  if (objectTypes.has(type)) return packed as LogRecord;
  const text = `a dirty log has a record of type ${String(type)}, which this version does not know`;
  throw new NanoError("config", text, { field: "data", cure: "start the version that wrote it" });
}

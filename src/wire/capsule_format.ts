/**
 * The file of a crash capsule, docs/reference/capsule-format.md: what a process was, what it began with, and what it
 * took in after that, in order, up to the message that it died of. Pure: bytes in, a capsule out, or an error.
 *
 * A file is from outside: it is read by the strict decoder, and every field is looked at before it is used.
 */

import { crc32c } from "../base/crc32c.ts";
import { NanoError } from "../base/errors.ts";
import { capsuleLimits } from "../base/limits.ts";
import type { StrictLimits } from "./strict_value.ts";
import { decodeStrict, encodeStrict } from "./validate.ts";
import type { Image } from "./value_image.ts";

/** From what a replay starts. */
export type CapsuleBase =
  | { readonly type: "init"; readonly atMs: number; readonly image: Image }
  | { readonly type: "state"; readonly atMs: number; readonly image: Image }
  /** Neither could be kept: the capsule can be read, but not replayed. */
  | { readonly type: "none"; readonly atMs: number; readonly why: string };

/** What is delivered to a process. */
export type CapsuleMessageKind = "call" | "cast" | "info" | "cancel";

export type CapsuleEntry =
  /** A message was taken: a turn begins. `from` is an image, of undefined for casts and infos. */
  | {
      readonly type: "message";
      readonly atMs: number;
      readonly kind: CapsuleMessageKind;
      readonly method: string;
      readonly message: Image;
      readonly from: Image;
    }
  /** The process asked its runtime (`key`), and was told this at once: a time, a draw, a pid. */
  | { readonly type: "value"; readonly key: string; readonly value: Image }
  /** What the process had asked of others, counted from 0 in its life, was settled. */
  | {
      readonly type: "settled";
      readonly operation: number;
      readonly what: string;
      readonly ok: boolean;
      readonly value: Image;
    }
  /** How the state looked between two messages: a replay that is true arrives at it. */
  | { readonly type: "state"; readonly image: Image }
  /** Something that was taken in here and can't be shown. */
  | { readonly type: "lost"; readonly why: string };

export interface Capsule {
  readonly writtenAtMs: number;
  /** How the definition is found. */
  readonly module: string;
  readonly definition: string;
  /** The registered name, or "". */
  readonly process: string;
  readonly pid: {
    readonly node: string;
    readonly thread: number;
    readonly incarnation: number;
    readonly id: number;
  };
  readonly reason: Image;
  readonly stack: string;
  /** Messages that the process had taken before `base`. */
  readonly earlier: number;
  /** What the process had asked of others before `base`. */
  readonly operations: number;
  readonly base: CapsuleBase;
  readonly entries: readonly CapsuleEntry[];
}

export const capsuleFormat = 1;

const magic = new TextEncoder().encode("NANOCAP");
const headerBytes = magic.length + 1 + 4;

const limits: StrictLimits = {
  bytesMax: capsuleLimits.fileBytesMax,
  // Around an image stand the file's map, its list and the entry.
  depthMax: capsuleLimits.depthMax + 8,
  countMax: capsuleLimits.countMax,
  stringBytesMax: capsuleLimits.fileBytesMax,
};

/** The file's bytes. Errors: `bad_argument` when it would be over `capsuleLimits.fileBytesMax`. */
export function encodeCapsule(capsule: Capsule): Uint8Array<ArrayBuffer> {
  const body = encodeStrict(capsule, limits);
  const bytes = new Uint8Array(headerBytes + body.length);
  bytes.set(magic);
  bytes[magic.length] = capsuleFormat;
  new DataView(bytes.buffer).setUint32(magic.length + 1, crc32c(body));
  bytes.set(body, headerBytes);
  return bytes;
}

/** Errors: `unreadable`, with what is wrong; `newer_format`, with `details.found` and `details.known`. */
export function decodeCapsule(bytes: Uint8Array): Capsule {
  const isOurs = bytes.length >= headerBytes && magic.every((byte, at) => bytes[at] === byte);
  if (!isOurs) throw damaged("it does not begin as a capsule does");
  const found = bytes[magic.length] ?? 0;
  if (found > capsuleFormat) {
    const text = `this capsule has format ${found}, this version reads ${capsuleFormat}; use the version that wrote it`;
    throw new NanoError("newer_format", text, { found, known: capsuleFormat });
  }
  if (found !== capsuleFormat) throw damaged(`no version wrote format ${found}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length - headerBytes > capsuleLimits.fileBytesMax)
    throw damaged(`it has more than ${capsuleLimits.fileBytesMax} bytes`);
  const body = bytes.subarray(headerBytes);
  if (view.getUint32(magic.length + 1) !== crc32c(body)) throw damaged("its checksum is wrong");
  try {
    return checkCapsule(decodeStrict(body, limits));
  } catch (error) {
    if (error instanceof NanoError && error.code === "wire") throw damaged(error.message);
    throw error;
  }
}

function damaged(why: string): NanoError {
  return new NanoError("unreadable", `this is no crash capsule, or a damaged one: ${why}`, { why });
}

type Fields = Readonly<Record<string, unknown>>;

function checkCapsule(value: unknown): Capsule {
  const fields = record(value, "the capsule");
  const pid = record(fields.pid, "pid");
  const entries = list(fields.entries, "entries");
  if (entries.length > capsuleLimits.countMax) throw damaged("entries: too many");
  return {
    writtenAtMs: number(fields, "writtenAtMs"),
    module: string(fields, "module"),
    definition: string(fields, "definition"),
    process: string(fields, "process"),
    pid: {
      node: string(pid, "node"),
      thread: number(pid, "thread"),
      incarnation: number(pid, "incarnation"),
      id: number(pid, "id"),
    },
    reason: image(fields, "reason"),
    stack: string(fields, "stack"),
    earlier: number(fields, "earlier"),
    operations: number(fields, "operations"),
    base: checkBase(record(fields.base, "base")),
    entries: entries.map((entry, at) => checkEntry(record(entry, `entries.${at}`), at)),
  };
}

function checkBase(fields: Fields): CapsuleBase {
  const atMs = number(fields, "atMs");
  switch (fields.type) {
    case "init":
      return { type: "init", atMs, image: image(fields, "image") };
    case "state":
      return { type: "state", atMs, image: image(fields, "image") };
    case "none":
      return { type: "none", atMs, why: string(fields, "why") };
    default:
      throw damaged("base.type is unknown");
  }
}

const kinds: readonly unknown[] = ["call", "cast", "info", "cancel"] satisfies CapsuleMessageKind[];

function checkEntry(fields: Fields, at: number): CapsuleEntry {
  switch (fields.type) {
    case "message": {
      const { kind } = fields;
      if (!kinds.includes(kind)) throw damaged(`entries.${at}.kind is unknown`);
      return {
        type: "message",
        atMs: number(fields, "atMs"),
        kind: kind as CapsuleMessageKind,
        method: string(fields, "method"),
        message: image(fields, "message"),
        from: image(fields, "from"),
      };
    }
    case "value":
      return { type: "value", key: string(fields, "key"), value: image(fields, "value") };
    case "settled": {
      const { ok } = fields;
      if (typeof ok !== "boolean") throw damaged(`entries.${at}.ok is no boolean`);
      const operation = number(fields, "operation");
      const what = string(fields, "what");
      return { type: "settled", operation, what, ok, value: image(fields, "value") };
    }
    case "state":
      return { type: "state", image: image(fields, "image") };
    case "lost":
      return { type: "lost", why: string(fields, "why") };
    default:
      throw damaged(`entries.${at}.type is unknown`);
  }
}

function record(value: unknown, field: string): Fields {
  if (typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array))
    return value as Fields;
  throw damaged(`${field} is no object`);
}

function list(value: unknown, field: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw damaged(`${field} is no list`);
}

function number(fields: Fields, field: string): number {
  const value = fields[field];
  if (typeof value === "number") return value;
  throw damaged(`${field} is no number`);
}

function string(fields: Fields, field: string): string {
  const value = fields[field];
  if (typeof value === "string") return value;
  throw damaged(`${field} is no text`);
}

/** Images have no objects in them; what else is wrong in one is found when its value is made. */
function image(fields: Fields, field: string): Image {
  const value = fields[field];
  if (value === undefined || !isImage(value)) throw damaged(`${field} is no image of a value`);
  return value;
}

function isImage(value: unknown): value is Image {
  if (Array.isArray(value)) return value.every(isImage);
  return typeof value !== "object" || value === null || value instanceof Uint8Array;
}

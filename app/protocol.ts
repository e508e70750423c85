/**
 * What the driver and the system say over the loopback socket: frames of a length (u32, big-endian) and a
 * msgpack body. A request is `[id, backend, operation, message]`; its answer, in any order, `[id, 0,
 * result]` or `[id, 1, code, text]`. A write's answer leaves only when the write is durable. Pure: bytes
 * in, frames out, no socket. The system decodes bodies with the strict decoder; `decodeAnswer` is the
 * driver's side, which checks shapes because what it reads is evidence.
 */

import { Packr } from "msgpackr";
import type { RowKey } from "../actors/records.ts";
import { FrameSplitter, NanoError, encodeFrame as prefixLength } from "../src/index.ts";

export const protocolLimits = {
  /** The largest body: a value of 64 KiB and its request, or the longest `accounted` request, with room. */
  frameBytesMax: 256 * 1024,
  /** Requests of one connection that wait for their answer; the driver's own bound lies below. */
  requestsInFlightMax: 4_096,
  /** Keys of one `accounted` request: 1,000 of at most 100 bytes each fit a frame. */
  accountedKeysMax: 1_000,
  valueBytesMax: 64 * 1024,
} as const;

export type RequestFrame = readonly [id: number, backend: string, operation: string, message: unknown];

export type AnswerFrame =
  | readonly [id: number, status: 0, result: unknown]
  | readonly [id: number, status: 1, code: string, text: string];

/** Operations of key_value backends (device_platform, profile_picture). */
export interface KeyValueOperations {
  get: { message: { readonly key: string }; result: Uint8Array | null };
  put: {
    message: { readonly key: string; readonly value: Uint8Array; readonly expiresAtMs?: number };
    result: unknown;
  };
  delete: { message: { readonly key: string }; result: unknown };
}

/** Operations of relationship backends (blocklist, groups). */
export interface RelationshipOperations {
  add: {
    message: { readonly key: string; readonly member: string; readonly value: Uint8Array };
    result: unknown;
  };
  remove: { message: { readonly key: string; readonly member: string }; result: unknown };
  list: {
    message: { readonly key: string };
    result: readonly { readonly member: string; readonly value: Uint8Array }[];
  };
  /** The reverse direction; it may lag. */
  of: { message: { readonly member: string }; result: readonly string[] };
}

/** Operations of one_time_keys backends (public_keys). */
export interface OneTimeKeyOperations {
  upload: {
    message: {
      readonly key: string;
      readonly keys: readonly { readonly id: string; readonly value: Uint8Array }[];
    };
    result: unknown;
  };
  /** The same request id gets the same key, whenever it is asked again. */
  take: {
    message: { readonly key: string; readonly requestId: string };
    result: { readonly id: string; readonly value: Uint8Array } | null;
  };
  count: { message: { readonly key: string }; result: number };
}

export type Account = "mark" | "range" | "perror" | "none";

/** Operations of the backend `admin`. */
export interface AdminOperations {
  /** Per key: what the ledgers of its authority hold for it at this moment. */
  accounted: { message: { readonly keys: readonly RowKey[] }; result: readonly Account[] };
}

export const adminBackend = "admin";

const codec = new Packr({ useRecords: false, variableMapSize: true });

/** A message as it goes over the socket. Error: `bad_argument` if it is longer than `frameBytesMax`. */
export function encodeFrame(message: RequestFrame | AnswerFrame): Uint8Array {
  return prefixLength(codec.pack(message), protocolLimits.frameBytesMax);
}

/** Cuts a connection's bytes into bodies. Error: `wire`; the connection is of no use after it. */
export class FrameReader extends FrameSplitter {
  constructor() {
    super(protocolLimits.frameBytesMax);
  }
}

/** Reads the body of an answer. Error: `wire` if it is none. */
export function decodeAnswer(body: Uint8Array): AnswerFrame {
  const message = unpack(body);
  if (!Array.isArray(message) || !Number.isSafeInteger(message[0])) throw noAnswer();
  const [id, status, third, fourth] = message as [number, unknown, unknown, unknown];
  if (status === 0 && message.length === 3) return [id, 0, third];
  if (status === 1 && typeof third === "string" && typeof fourth === "string") return [id, 1, third, fourth];
  throw noAnswer();
}

function unpack(body: Uint8Array): unknown {
  try {
    return codec.unpack(body);
  } catch {
    throw noAnswer();
  }
}

function noAnswer(): NanoError {
  return new NanoError("wire", "the body of a frame is no answer");
}

/**
 * Codes that promise that nothing was done. Any other code, and a lost connection, leave the outcome
 * unknown.
 */
const refusals: ReadonlySet<string> = new Set([
  "blocked",
  "moved",
  "held",
  "overloaded",
  "discarded",
  "conflict",
  "rejected",
]);

/** True if an answer with this code says that the operation was not done and never will be. */
export function isRefusal(code: string): boolean {
  return refusals.has(code);
}

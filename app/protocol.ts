/**
 * What the driver and the system say over the loopback socket: frames of a length (u32, big-endian) and a msgpack
 * body. A request is `[id, backend, operation, message]`; its answer, in any order, `[id, 0, result]` or
 * `[id, 1, code, text]`. A write's answer leaves only when the write is durable. Pure: bytes in, frames out, no
 * socket. The system decodes bodies with the strict decoder; `decodeAnswer` is the driver's side, which checks
 * shapes because what it reads is evidence.
 */

import { Packr } from "msgpackr";
import type { RowKey } from "../actors/records.ts";

export const protocolLimits = {
  /** The largest body: a value of 64 KiB and its request, or the longest `accounted` request, with room. */
  frameBytesMax: 256 * 1024,
  /** Requests of one connection that wait for their answer; the driver's own bound lies below. */
  requestsInFlightMax: 1_024,
  /** Keys of one `accounted` request: 1,000 of at most 100 bytes each fit a frame. */
  accountedKeysMax: 1_000,
  valueBytesMax: 64 * 1024,
} as const;

const lengthBytes = 4;

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

/** A message that breaks the protocol: the connection that carried it is of no further use. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

const codec = new Packr({ useRecords: false, variableMapSize: true });

/**
 * A body with its length before it.
 * @throws ProtocolError if the body is longer than `frameBytesMax`.
 */
export function encodeFrame(message: RequestFrame | AnswerFrame): Buffer {
  const body = codec.pack(message);
  if (body.length > protocolLimits.frameBytesMax) throw new ProtocolError(`a frame of ${body.length} bytes`);
  const frame = Buffer.allocUnsafe(lengthBytes + body.length);
  frame.writeUInt32BE(body.length, 0);
  body.copy(frame, lengthBytes);
  return frame;
}

/** Cuts a byte stream into bodies. One for each connection; of no use after it threw. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  /**
   * Takes the next bytes of the stream and returns the bodies that are complete with them, in order. They alias
   * the chunks: a reader on a socket must not reuse its receive buffer.
   * @throws ProtocolError if a length is 0 or above `frameBytesMax`.
   */
  push(chunk: Buffer): Buffer[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const bodies: Buffer[] = [];
    let at = 0;
    while (bytes.length - at >= lengthBytes) {
      const length = bytes.readUInt32BE(at);
      if (length === 0 || length > protocolLimits.frameBytesMax) {
        throw new ProtocolError(`a frame of ${length} bytes`);
      }
      if (bytes.length - at - lengthBytes < length) break;
      at += lengthBytes;
      bodies.push(bytes.subarray(at, at + length));
      at += length;
    }
    this.#rest = bytes.subarray(at);
    return bodies;
  }
}

/**
 * Reads the body of an answer.
 * @throws ProtocolError if it is not one.
 */
export function decodeAnswer(body: Buffer): AnswerFrame {
  const message = unpack(body);
  if (!Array.isArray(message) || !Number.isSafeInteger(message[0])) throw new ProtocolError("no answer");
  const [id, status, third, fourth] = message as [number, unknown, unknown, unknown];
  if (status === 0 && message.length === 3) return [id, 0, third];
  if (status === 1 && typeof third === "string" && typeof fourth === "string") return [id, 1, third, fourth];
  throw new ProtocolError("no answer");
}

function unpack(body: Buffer): unknown {
  try {
    return codec.unpack(body);
  } catch (error) {
    throw new ProtocolError("a body that is no msgpack", { cause: error });
  }
}

/** Codes that promise that nothing was done. Any other code, and a lost connection, leave the outcome unknown. */
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

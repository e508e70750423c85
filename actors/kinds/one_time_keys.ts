/**
 * one_time_keys: keys that are handed out once each, e.g. prekeys of an encrypted messenger.
 *
 * A row is `free` or `taken(request id)`, and taken is terminal: nobody else ever gets that key. A free row is byte 0
 * and the key's bytes; a taken one byte 1, u16 length of the request id, the request id in UTF-8, f64 of when (ms
 * since 1970), the key's bytes; numbers big-endian. The same request id gets the same key for `takeRetentionMs`.
 */

import { NanoError } from "../../src/index.ts";
import { dataLimits } from "../limits.ts";
import { rowKey, splitRowKey } from "../records.ts";
import type { AmendDecision, AmendFunction, LiveRow, RowWrite } from "../shard_messages.ts";
import {
  type BackendLimits,
  bytesOf,
  type Fields,
  fieldsOf,
  type Kind,
  keyOf,
  operation,
  textOf,
  wrong,
} from "./kind.ts";

/** How long a repeated request gets the same answer: longer than any client retries. */
export const takeRetentionMs = 24 * 60 * 60 * 1_000;

const freeTag = 0;
const takenTag = 1;

export interface OneTimeKey {
  readonly id: string;
  readonly value: Uint8Array;
}

interface Taken {
  readonly requestId: string;
  readonly atMs: number;
  readonly value: Uint8Array;
}

export function encodeFree(value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(1 + value.byteLength);
  bytes[0] = freeTag;
  bytes.set(value, 1);
  return bytes;
}

export function encodeTaken({ requestId, atMs, value }: Taken): Uint8Array {
  const name = new TextEncoder().encode(requestId);
  const bytes = new Uint8Array(11 + name.byteLength + value.byteLength);
  const view = new DataView(bytes.buffer);
  bytes[0] = takenTag;
  view.setUint16(1, name.byteLength);
  bytes.set(name, 3);
  view.setFloat64(3 + name.byteLength, atMs);
  bytes.set(value, 11 + name.byteLength);
  return bytes;
}

export function isTaken(row: Uint8Array): boolean {
  return row[0] === takenTag;
}

export function decodeTaken(row: Uint8Array): Taken | undefined {
  if (!isTaken(row) || row.byteLength < 11) return undefined;
  const view = new DataView(row.buffer, row.byteOffset, row.byteLength);
  const nameEnd = 3 + view.getUint16(1);
  // A byte order mark at the beginning is a part of the id.
  const requestId = new TextDecoder("utf-8", { ignoreBOM: true }).decode(row.subarray(3, nameEnd));
  return { requestId, atMs: view.getFloat64(nameEnd), value: row.slice(nameEnd + 8) };
}

/** The first free key becomes the request's; a repeated request gets what it got. Answers null when none is left. */
const take: AmendFunction = (rows, message, { nowMs }): AmendDecision => {
  const requestId = requestOf(message);
  for (const row of rows) {
    const taken = decodeTaken(row.value);
    if (taken?.requestId !== requestId) continue;
    if (nowMs - taken.atMs <= takeRetentionMs) return { writes: [], answer: answerOf(row, taken.value) };
    throw new NanoError("conflict", "this request id was used before; draw a new one", { requestId });
  }
  const free = rows.find((row) => !isTaken(row.value));
  if (free === undefined) return { writes: [], answer: null };
  const value = free.value.slice(1);
  const write: RowWrite = {
    key: free.key,
    value: encodeTaken({ requestId, atMs: nowMs, value }),
    expiresAtMs: free.expiresAtMs,
  };
  return { writes: [write], answer: answerOf(free, value) };
};

/**
 * Keys whose id exists are left alone: a taken key never becomes free again. So no key may have more rows than an amend
 * reads. Answers how many were added.
 */
const upload: AmendFunction = (rows, message, { rowKeyOf }): AmendDecision => {
  const known = new Set(rows.map(({ key }) => splitRowKey(key).sub));
  const added = (message as { readonly keys: readonly OneTimeKey[] }).keys.filter(({ id }) => {
    if (known.has(id)) return false;
    known.add(id);
    return true;
  });
  if (known.size > dataLimits.rowsPerKeyMax) {
    const text = `a key has at most ${dataLimits.rowsPerKeyMax} one-time keys, free and taken`;
    throw new NanoError("conflict", text, { reason: "too_many", have: rows.length });
  }
  const writes = added.map(({ id, value }) => ({
    key: rowKeyOf(id),
    value: encodeFree(value),
    expiresAtMs: 0,
  }));
  return { writes, answer: added.length };
};

function requestOf(message: unknown): string {
  return (message as { readonly requestId: string }).requestId;
}

function answerOf(row: LiveRow, value: Uint8Array): OneTimeKey {
  return { id: splitRowKey(row.key).sub, value };
}

export const oneTimeKeyAmends: Readonly<Record<string, AmendFunction>> = {
  "one_time_keys.take": take,
  "one_time_keys.upload": upload,
};

export const oneTimeKeys = {
  name: "one_time_keys",
  affinity: "none",
  reads: ["count"],
  indexed: false,
  operations: {
    /** How many of the keys were new. */
    upload: operation<{ readonly key: string; readonly keys: readonly OneTimeKey[] }, number>(
      (backend, message) => {
        const fields = fieldsOf(backend, message);
        const key = keyOf(backend, fields);
        const keys = uploadedKeys(backend, fields);
        return { type: "amend", key, operation: "one_time_keys.upload", message: { keys } };
      },
    ),
    /** The key that this request has from now on, or null when none is left. */
    take: operation<{ readonly key: string; readonly requestId: string }, OneTimeKey | null>(
      (backend, message) => {
        const fields = fieldsOf(backend, message);
        const key = keyOf(backend, fields);
        const requestId = textOf(backend, fields, "requestId");
        return { type: "amend", key, operation: "one_time_keys.take", message: { requestId } };
      },
    ),
    /** How many are free. */
    count: operation<{ readonly key: string }, number>((backend, message) => {
      const key = keyOf(backend, fieldsOf(backend, message));
      const from = rowKey(backend.name, key);
      return {
        type: "scan",
        key,
        range: { from, to: `${from.slice(0, -1)}\u0001` },
        limit: dataLimits.rowsPerKeyMax,
        answer: (rows) => rows.filter(({ value }) => !isTaken(value)).length,
      };
    }),
  },
} as const satisfies Kind;

function uploadedKeys(backend: BackendLimits, fields: Fields): OneTimeKey[] {
  const { keys } = fields;
  if (!Array.isArray(keys) || keys.length > dataLimits.rowsPerKeyMax) {
    throw wrong(backend, "keys", `a list of at most ${dataLimits.rowsPerKeyMax} keys`);
  }
  return keys.map((each: unknown) => {
    const key = fieldsOf(backend, each);
    return { id: textOf(backend, key, "id"), value: bytesOf(backend, key, "value") };
  });
}

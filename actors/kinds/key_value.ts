/** key_value: one value a key, with an optional expiry. */

import { rowKey } from "../records.ts";
import { bytesOf, expiryOf, fieldsOf, type Kind, keyOf, operation } from "./kind.ts";

export const keyValue = {
  name: "key_value",
  affinity: "key",
  reads: ["get"],
  indexed: false,
  operations: {
    /** The value's bytes, or null. */
    get: operation<{ readonly key: string }, Uint8Array | null>((backend, message) => {
      const key = keyOf(backend, fieldsOf(backend, message));
      return { type: "get", key, rows: [rowKey(backend.name, key)], answer: ([row]) => row?.value ?? null };
    }),
    /** `expiresAtMs`: absolute, ms since 1970; 0 or absent is never. */
    put: operation<Put, null>((backend, message) => {
      const fields = fieldsOf(backend, message);
      const key = keyOf(backend, fields);
      const value = bytesOf(backend, fields, "value");
      const row = { key: rowKey(backend.name, key), value, expiresAtMs: expiryOf(backend, fields) };
      return { type: "write", key, rows: [row] };
    }),
    delete: operation<{ readonly key: string }, null>((backend, message) => {
      const key = keyOf(backend, fieldsOf(backend, message));
      return { type: "write", key, rows: [{ key: rowKey(backend.name, key), value: null, expiresAtMs: 0 }] };
    }),
  },
} as const satisfies Kind;

export interface Put {
  readonly key: string;
  readonly value: Uint8Array;
  readonly expiresAtMs?: number;
}

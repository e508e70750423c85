/** key_value: one value a key, with an optional expiry. */

import { rowKey } from "../records.ts";
import { bytesOf, expiryOf, fieldsOf, type Kind, keyOf } from "./kind.ts";

export const keyValue: Kind = {
  name: "key_value",
  affinity: "key",
  reads: ["get"],
  indexed: false,
  operations: {
    /** `{ key }` -> the value's bytes, or null. */
    get: (backend, message) => {
      const key = keyOf(backend, fieldsOf(backend, message));
      return { type: "get", key, rows: [rowKey(backend.name, key)], answer: ([row]) => row?.value ?? null };
    },
    /** `{ key, value, expiresAtMs? }` */
    put: (backend, message) => {
      const fields = fieldsOf(backend, message);
      const key = keyOf(backend, fields);
      const value = bytesOf(backend, fields, "value");
      const row = { key: rowKey(backend.name, key), value, expiresAtMs: expiryOf(backend, fields) };
      return { type: "write", key, rows: [row] };
    },
    /** `{ key }` */
    delete: (backend, message) => {
      const key = keyOf(backend, fieldsOf(backend, message));
      return { type: "write", key, rows: [{ key: rowKey(backend.name, key), value: null, expiresAtMs: 0 }] };
    },
  },
};

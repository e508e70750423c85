/**
 * relationship: edges from a key to members, each with a small value. An edge is a row of its first key only; the
 * reverse direction is an index that each side derives from the rows it has, so it may lag across sites.
 */

import { dataLimits } from "../limits.ts";
import { rowKey, splitRowKey } from "../records.ts";
import { bytesOf, fieldsOf, type Kind, keyOf, textOf } from "./kind.ts";

export const relationship: Kind = {
  name: "relationship",
  affinity: "key",
  reads: ["has", "list", "of"],
  indexed: true,
  operations: {
    /** `{ key, member, value }` */
    add: (backend, message) => {
      const fields = fieldsOf(backend, message);
      const key = keyOf(backend, fields);
      const row = rowKey(backend.name, key, textOf(backend, fields, "member"));
      return {
        type: "write",
        key,
        rows: [{ key: row, value: bytesOf(backend, fields, "value"), expiresAtMs: 0 }],
      };
    },
    /** `{ key, member }` */
    remove: (backend, message) => {
      const fields = fieldsOf(backend, message);
      const key = keyOf(backend, fields);
      const row = rowKey(backend.name, key, textOf(backend, fields, "member"));
      return { type: "write", key, rows: [{ key: row, value: null, expiresAtMs: 0 }] };
    },
    /** `{ key, member }` -> the edge's bytes, or null. */
    has: (backend, message) => {
      const fields = fieldsOf(backend, message);
      const key = keyOf(backend, fields);
      const row = rowKey(backend.name, key, textOf(backend, fields, "member"));
      return { type: "get", key, rows: [row], answer: ([found]) => found?.value ?? null };
    },
    /** `{ key }` -> `[{ member, value }]` in order of members. */
    list: (backend, message) => {
      const key = keyOf(backend, fieldsOf(backend, message));
      const from = rowKey(backend.name, key);
      return {
        type: "scan",
        key,
        range: { from, to: `${from.slice(0, -1)}\u0001` },
        limit: dataLimits.rowsPerKeyMax,
        answer: (rows) => rows.map((row) => ({ member: splitRowKey(row.key).sub, value: row.value })),
      };
    },
    /** `{ member }` -> the keys that have an edge to it. */
    of: (backend, message) => {
      const sub = textOf(backend, fieldsOf(backend, message), "member");
      return { type: "lookup", sub, limit: dataLimits.rowsPerKeyMax };
    },
  },
};

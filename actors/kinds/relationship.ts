/**
 * relationship: edges from a key to members, each with a small value. An edge is a row of its first key only; the
 * reverse direction is an index that each side derives from the rows it has, so it may lag across sites.
 */

import { dataLimits } from "../limits.ts";
import { rowKey, splitRowKey } from "../records.ts";
import { bytesOf, fieldsOf, type Kind, keyOf, operation, textOf } from "./kind.ts";

export interface Edge {
  readonly key: string;
  readonly member: string;
}

export interface Member {
  readonly member: string;
  readonly value: Uint8Array;
}

export const relationship = {
  name: "relationship",
  affinity: "key",
  reads: ["has", "list", "of"],
  indexed: true,
  operations: {
    add: operation<Edge & Member, null>((backend, message) => {
      const fields = fieldsOf(backend, message);
      const key = keyOf(backend, fields);
      const row = rowKey(backend.name, key, textOf(backend, fields, "member"));
      return {
        type: "write",
        key,
        rows: [{ key: row, value: bytesOf(backend, fields, "value"), expiresAtMs: 0 }],
      };
    }),
    remove: operation<Edge, null>((backend, message) => {
      const fields = fieldsOf(backend, message);
      const key = keyOf(backend, fields);
      const row = rowKey(backend.name, key, textOf(backend, fields, "member"));
      return { type: "write", key, rows: [{ key: row, value: null, expiresAtMs: 0 }] };
    }),
    /** The edge's bytes, or null. */
    has: operation<Edge, Uint8Array | null>((backend, message) => {
      const fields = fieldsOf(backend, message);
      const key = keyOf(backend, fields);
      const row = rowKey(backend.name, key, textOf(backend, fields, "member"));
      return { type: "get", key, rows: [row], answer: ([found]) => found?.value ?? null };
    }),
    /** All edges of the key, in order of members. */
    list: operation<{ readonly key: string }, Member[]>((backend, message) => {
      const key = keyOf(backend, fieldsOf(backend, message));
      const from = rowKey(backend.name, key);
      return {
        type: "scan",
        key,
        range: { from, to: `${from.slice(0, -1)}\u0001` },
        limit: dataLimits.rowsPerKeyMax,
        answer: (rows) => rows.map((row) => ({ member: splitRowKey(row.key).sub, value: row.value })),
      };
    }),
    /** The keys that have an edge to the member, in order. */
    of: operation<{ readonly member: string }, string[]>((backend, message) => {
      const sub = textOf(backend, fieldsOf(backend, message), "member");
      return { type: "lookup", sub, limit: dataLimits.rowsPerKeyMax };
    }),
  },
} as const satisfies Kind;

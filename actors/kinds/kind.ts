/**
 * What a kind of data is: its operations, each a pure plan: which shard request it becomes, and what the shard's rows
 * mean as an answer. Messages come from outside: each plan checks its own and names the field that is wrong.
 */

import { NanoError } from "../../src/index.ts";
import type { RowKey } from "../records.ts";
import type { LiveRow, RowWrite, WriteResult } from "../shard_messages.ts";
import type { ScanRange } from "../store_messages.ts";

/** What a plan needs to know of its backend. */
export interface BackendLimits {
  readonly name: string;
  /** Longest value, bytes. */
  readonly valueBytesMax: number;
  /** Keys that must be E.164 numbers (`+` and 2 to 15 digits), or any text. */
  readonly keys: "e164" | "opaque";
}

export type Plan =
  | {
      readonly type: "get";
      readonly key: string;
      readonly rows: readonly RowKey[];
      answer(rows: Shown): unknown;
    }
  | {
      readonly type: "scan";
      readonly key: string;
      readonly range: ScanRange;
      readonly limit: number;
      answer(rows: readonly LiveRow[]): unknown;
    }
  | { readonly type: "write"; readonly key: string; readonly rows: readonly RowWrite[] }
  | { readonly type: "amend"; readonly key: string; readonly operation: string; readonly message: unknown }
  /** Asks every shard: the reverse direction of a relation. */
  | { readonly type: "lookup"; readonly sub: string; readonly limit: number };

type Shown = readonly (LiveRow | undefined)[];

type PlanFunction = (backend: BackendLimits, message: unknown) => Plan;

/** A plan, and the types of what it is asked and of what it answers. */
export interface Operation<Message = never, Answer = unknown> {
  readonly plan: PlanFunction;
  /** Never set: they carry types. */
  readonly messageType?: (message: Message) => void;
  readonly answerType?: Answer;
}

/** `Message` says what callers must give; the plan checks what they gave. */
export function operation<Message, Answer>(plan: PlanFunction): Operation<Message, Answer> {
  return { plan };
}

export interface Kind {
  readonly name: string;
  readonly operations: Readonly<Record<string, Operation>>;
  /** The operations that change nothing: they need no order, so a hot key's may run side by side. */
  readonly reads: readonly string[];
  /** Whether the operations of one key must run in the order they were sent. */
  readonly affinity: "key" | "none";
  /** Rows are indexed by sub, so that `lookup` works. */
  readonly indexed: boolean;
}

/** Throws the first refusal of a write's rows as the operation's error. */
export function checkWritten(results: readonly WriteResult[]): void {
  for (const result of results) if (!result.ok) throw new NanoError(result.code, result.message);
}

// --- checks of what came from outside ----------------------------------------------------------------------------

export type Fields = Readonly<Record<string, unknown>>;

export function fieldsOf(backend: BackendLimits, message: unknown): Fields {
  if (typeof message === "object" && message !== null && !Array.isArray(message)) return message as Fields;
  throw wrong(backend, "message", "an object with the operation's fields");
}

const e164 = /^\+[1-9]\d{1,14}$/;

/** The key by which an operation is routed. */
export function keyOf(backend: BackendLimits, fields: Fields): string {
  const key = textOf(backend, fields, "key");
  if (backend.keys === "e164" && !e164.test(key))
    throw wrong(backend, "key", "an E.164 number such as +4915112345678");
  return key;
}

const textMax = 200;

/** As UTF-8 every half of a surrogate pair is the same three bytes. */
const loneSurrogate = /\p{Surrogate}/u;

/** A text without NUL, which separates the parts of a row's key, and with UTF-8 of its own. */
export function textOf(backend: BackendLimits, fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== "string" || value === "" || value.length > textMax || value.includes("\u0000")) {
    throw wrong(backend, name, `a text of 1 to ${textMax} characters without NUL`);
  }
  if (loneSurrogate.test(value)) throw wrong(backend, name, "a text without half a surrogate pair");
  return value;
}

export function bytesOf(backend: BackendLimits, fields: Fields, name: string): Uint8Array {
  const value = fields[name];
  if (!(value instanceof Uint8Array) || value.byteLength > backend.valueBytesMax) {
    throw wrong(backend, name, `at most ${backend.valueBytesMax} bytes`);
  }
  return value;
}

/** Absolute, ms since 1970; absent or 0 is never. */
export function expiryOf(backend: BackendLimits, fields: Fields): number {
  const value = fields.expiresAtMs ?? 0;
  if (typeof value === "number" && value >= 0 && Number.isSafeInteger(value)) return value;
  throw wrong(backend, "expiresAtMs", "a whole number of ms since 1970, or 0 for never");
}

export function wrong(backend: BackendLimits, field: string, expected: string): NanoError {
  const details = { field, cure: `give ${expected}` };
  return new NanoError("bad_argument", `${backend.name}: ${field} must be ${expected}`, details);
}

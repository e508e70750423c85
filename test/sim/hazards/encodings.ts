/**
 * Pairs of rows that a comparator must call equal or unequal: what a wrong idea of equality would confuse. Each row
 * goes through the codec that every store writes with.
 */

import type { Row, Version } from "../../../actors/records.ts";
import { decodeRow, encodeRow } from "../../../actors/stores/row_codec.ts";

export const nowMs = 1_000;

const version: Version = [1, 1, 1];

type Value = string | Uint8Array | null;

export interface EncodedPair {
  readonly what: string;
  readonly local: Row | undefined;
  readonly peer: Row | undefined;
  readonly equal: boolean;
}

function row(value: Value, expiresAtMs = 0, at: Version = version): Row {
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
  return decodeRow("k", encodeRow({ version: at, value: bytes, expiresAtMs }));
}

function pair(what: string, local: Row | undefined, peer: Row | undefined, equal: boolean): EncodedPair {
  return { what, local, peer, equal };
}

/** Texts that mean the same, or look the same, and are other bytes. */
function unequal(what: string, local: Value, peer: Value): EncodedPair {
  return pair(what, row(local), row(peer), false);
}

function float64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value);
  return bytes;
}

const quietNaN = Uint8Array.of(0x7f, 0xf8, 0, 0, 0, 0, 0, 0);
const otherNaN = Uint8Array.of(0x7f, 0xf8, 0, 0, 0, 0, 0, 1);

/** A view into the middle of a larger buffer. */
function viewOf(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  const buffer = new Uint8Array(bytes.byteLength + 16).fill(0xff);
  buffer.set(bytes, 7);
  return buffer.subarray(7, 7 + bytes.byteLength);
}

const values: readonly EncodedPair[] = [
  unequal('null and "null"', "null", '"null"'),
  unequal("null and the text null", "null", "'null'"),
  unequal("an empty object and one whose field is null", "{}", '{"a":null}'),
  unequal("undefined, as some write it, and null", '{"a":undefined}', '{"a":null}'),
  unequal("the fields in another order", '{"a":1,"b":2}', '{"b":2,"a":1}'),
  unequal("blanks between fields", '{"a":1}', '{"a": 1}'),
  unequal("a blank at the end", "value", "value "),
  unequal("a NUL at the end", "value", "value\u0000"),
  unequal("another case", "Value", "value"),
  unequal("0 and -0", "0", "-0"),
  unequal("0 and -0 as doubles", float64(0), float64(-0)),
  unequal("1 and 1.0", "1", "1.0"),
  unequal("1e3 and 1000", "1e3", "1000"),
  unequal("true and 1", "true", "1"),
  unequal("two encodings of NaN", quietNaN, otherNaN),
  unequal("integers that are one double", "9007199254740993", "9007199254740992"),
  unequal("big-endian and little-endian", Uint8Array.of(0, 1), Uint8Array.of(1, 0)),
  unequal("one instant in two time zones", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00"),
  unequal("one instant with and without ms", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000Z"),
  unequal("an é composed and decomposed", "caf\u00e9", "cafe\u0301"),
  unequal("an Å and the sign of the ångström", "\u00c5", "\u212b"),
  unequal("letters of two scripts that look the same", "a", "\u0430"),
  unequal("a text with and without a byte order mark", "text", "\ufefftext"),
  unequal("UTF-8 and Latin-1", "\u00e9", Uint8Array.of(0xe9)),
  unequal("two ways to be no UTF-8", Uint8Array.of(0xff), Uint8Array.of(0xfe)),
  unequal("a beginning and the whole", "val", "value"),
  unequal("the last of many bytes", `${"x".repeat(5_000)}a`, `${"x".repeat(5_000)}b`),
  unequal("an escaped letter and itself", '"\\u0061"', '"a"'),
  unequal("nothing and one NUL", "", "\u0000"),
  pair("the same bytes from two places", row("value"), row(viewOf("value")), true),
  pair("the same bytes that are no text", row(otherNaN), row(otherNaN.slice()), true),
  pair("two empty values", row(""), row(""), true),
  pair("the same bytes under two versions", row("v"), row("v", 0, [2, 7, 9]), true),
];

const absences: readonly EncodedPair[] = [
  pair("a tombstone and nothing", row(null), undefined, true),
  pair("nothing and a tombstone", undefined, row(null), true),
  pair("tombstones of two versions", row(null), row(null, 0, [2, 7, 9]), true),
  pair("a tombstone with an expiry and one without", row(null, 5), row(null), true),
  pair("an expired row and nothing", row("v", nowMs), undefined, true),
  pair("an expired row and a tombstone", row("v", nowMs - 1), row(null), true),
  pair("two expired rows of other bytes", row("v", 5), row("w", 6), true),
  pair("an empty value and a tombstone", row(""), row(null), false),
  pair("an empty value and nothing", row(""), undefined, false),
  pair("the text null and a tombstone", row("null"), row(null), false),
  pair("a row that expires in 1 ms and nothing", row("v", nowMs + 1), undefined, false),
];

const expiries: readonly EncodedPair[] = [
  pair("no expiry, written as 0 and as -0", row("v", 0), row("v", -0), true),
  pair("one expiry", row("v", nowMs + 5), row("v", nowMs + 5), true),
  pair("an expiry beyond 32 bits", row("v", 2 ** 41), row("v", 2 ** 41), true),
  pair("expiries 1 ms apart, beyond 32 bits", row("v", 2 ** 41), row("v", 2 ** 41 + 1), false),
  pair("an expiry and none", row("v", nowMs + 5), row("v"), false),
  pair("a damaged expiry, on both sides", row("v", Number.NaN), row("v", Number.NaN), true),
  pair("a damaged expiry and none", row("v", Number.NaN), row("v"), false),
  pair("a live row and one that has just expired", row("v", nowMs + 5), row("v", nowMs), false),
];

export const encodedPairs: readonly EncodedPair[] = [...values, ...absences, ...expiries];

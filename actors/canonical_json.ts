/**
 * One text for one value, whatever order its fields were set in: what is hashed. JSON without spaces, the fields of
 * objects sorted by their UTF-16 units (as RFC 8785 does). Pure.
 */

import { NanoError } from "../src/index.ts";

export type CanonicalValue =
  | string
  | number
  | boolean
  | null
  | readonly CanonicalValue[]
  | { readonly [field: string]: CanonicalValue };

/** Errors: `bad_argument` for what JSON has no one text for: a number that is not finite, undefined, a function. */
export function canonicalJson(value: CanonicalValue): string {
  if (value === null || typeof value === "string" || typeof value === "boolean") return JSON.stringify(value);
  if (typeof value === "number") {
    if (Number.isFinite(value)) return JSON.stringify(value);
    throw new NanoError("bad_argument", `${value} has no canonical text`, { field: "value" });
  }
  if (Array.isArray(value)) return `[${value.map((each) => canonicalJson(each)).join(",")}]`;
  if (typeof value !== "object") {
    throw new NanoError("bad_argument", `a ${typeof value} has no canonical text`, { field: "value" });
  }
  const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([name, each]) => `${JSON.stringify(name)}:${canonicalJson(each)}`).join(",")}}`;
}

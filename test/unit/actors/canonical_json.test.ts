import fc from "fast-check";
import { expect, it } from "vitest";
import { type CanonicalValue, canonicalJson } from "../../../actors/canonical_json.ts";
import { hasCode } from "../../../src/index.ts";

it("the order in which fields were set does not show, at any depth", () => {
  const turned = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(turned);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .reverse()
        .map(([name, each]) => [name, turned(each)]),
    );
  };
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = canonicalJson(value as CanonicalValue);
      expect(canonicalJson(turned(value) as CanonicalValue)).toBe(text);
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});

it("fields are sorted by their UTF-16 units, and nothing stands between them", () => {
  expect(canonicalJson({ b: [1, { d: null, c: "ü" }], a: true, B: 0.1 })).toBe(
    '{"B":0.1,"a":true,"b":[1,{"c":"ü","d":null}]}',
  );
});

it.each([[Number.NaN], [Number.POSITIVE_INFINITY], [undefined], [[1, undefined]], [{ a: 1n }], [() => 1]])(
  "%s has no canonical text and is refused",
  (value) => {
    let error: unknown;
    try {
      canonicalJson(value as CanonicalValue);
    } catch (thrown) {
      error = thrown;
    }
    expect(hasCode(error, "bad_argument")).toBe(true);
  },
);

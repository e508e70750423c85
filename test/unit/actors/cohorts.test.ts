/** Which cohort a key belongs to, and the range of keys that holds a cohort. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkPrefixes, cohortFinder } from "../../../actors/cohorts.ts";
import { compareKeys, rowKey } from "../../../actors/records.ts";
import type { ScanRange } from "../../../actors/store_messages.ts";

const edge = fc.constantFrom(
  "+",
  "4",
  "9",
  "a",
  "\ud7ff",
  "\ue000",
  "\uffff",
  "\u{10000}",
  "\u{1f511}",
  "\u{10ffff}",
);
const text = (most: number) => fc.array(edge, { maxLength: most }).map((parts) => parts.join(""));
const prefixes = fc.array(
  text(3).filter((prefix) => prefix !== ""),
  { maxLength: 6 },
);

function within({ from, to }: ScanRange, key: string): boolean {
  return compareKeys(key, from) >= 0 && (to === "" || compareKeys(key, to) < 0);
}

describe("the cohort of a key", () => {
  it("is that of its longest prefix in the plan, or the rest", () => {
    const find = cohortFinder(["+4", "+49", "+4915", "+55"]);
    expect(["+49151", "+4901", "+431", "+5511", "+1", "+", ""].map((key) => find("groups", key))).toEqual([
      "groups/+4915",
      "groups/+49",
      "groups/+4",
      "groups/+55",
      "groups/*",
      "groups/*",
      "groups/*",
    ]);
    expect(find("blocklist", "+49151")).toBe("blocklist/+4915");
  });

  it("is what a search of all prefixes finds", () => {
    fc.assert(
      fc.property(prefixes, text(5), (plan, key) => {
        const matching = plan.filter((prefix) => key.startsWith(prefix));
        const longest = matching.sort((a, b) => b.length - a.length)[0] ?? "*";
        expect(cohortFinder(plan)("groups", key)).toBe(`groups/${longest}`);
      }),
      { numRuns: 500 },
    );
  });

  it("an opaque key that begins with * is no prefix of the rest's name", () => {
    expect(cohortFinder(["+"])("groups", "*")).toBe("groups/*");
    expect(cohortFinder(["+"])("groups", "*x")).toBe("groups/*");
  });
});

describe("the bounds of a cohort", () => {
  it("hold every row of every key of it, whatever its characters", () => {
    fc.assert(
      fc.property(prefixes, text(6), text(2), (plan, key, sub) => {
        const find = cohortFinder(plan);
        expect(within(find.bounds(find("groups", key)), rowKey("groups", key, sub))).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  it("hold no key without the prefix, and no other backend", () => {
    fc.assert(
      fc.property(text(3), text(5), (prefix, key) => {
        const bounds = cohortFinder([prefix]).bounds(`groups/${prefix}`);
        expect(within(bounds, rowKey("groups", key))).toBe(key.startsWith(prefix));
        for (const other of ["group", "groups2", "groupt", "a", "z"]) {
          expect(within(bounds, rowKey(other, key))).toBe(false);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it("of the rest are those of its backend", () => {
    const bounds = cohortFinder(["+49"]).bounds("groups/*");
    expect(["groups", "group", "groups2"].map((backend) => within(bounds, rowKey(backend, "x")))).toEqual([
      true,
      false,
      false,
    ]);
  });
});

describe("a canary", () => {
  const find = cohortFinder(["+49", "+49%5", "+4930", "*%20"]);
  const share = (start: string, cohort: string): number => {
    const keys = Array.from({ length: 10_000 }, (_, i) => `${start}${i}`);
    return keys.filter((key) => find("groups", key) === cohort).length / keys.length;
  };

  it("has its share of its prefix's keys, and none of a longer prefix", () => {
    expect(share("+4917", "groups/+49%5")).toBeCloseTo(0.05, 1);
    expect(share("+4917", "groups/+49%5") + share("+4917", "groups/+49")).toBe(1);
    expect(share("+4930", "groups/+4930")).toBe(1);
    expect(share("+33", "groups/*%20")).toBeCloseTo(0.2, 1);
  });

  it("has a user in every backend or in none", () => {
    for (let i = 0; i < 1_000; i++) {
      const key = `+4917${i}`;
      const [groups, blocklist] = ["groups", "blocklist"].map((backend) => find(backend, key).split("/")[1]);
      expect(groups).toBe(blocklist);
    }
  });

  it("ends a run of rows with each key: the next one may be another cohort's", () => {
    const keys = Array.from({ length: 200 }, (_, i) => `+4917${1_000 + i}`);
    for (const [i, key] of keys.slice(0, -1).entries()) {
      const { cohort, until } = find.run(rowKey("groups", key));
      expect(cohort).toBe(find("groups", key));
      expect(compareKeys(rowKey("groups", key, "+499"), until)).toBeLessThan(0);
      expect(compareKeys(until, rowKey("groups", keys[i + 1] ?? ""))).toBeLessThanOrEqual(0);
    }
    // Where there is no canary a run is as long as ever.
    expect(find.run(rowKey("groups", "+49301")).until).toBe(find.bounds("groups/+4930").to);
  });

  it("lies within the bounds of its prefix", () => {
    expect(find.bounds("groups/+49%5")).toEqual(find.bounds("groups/+49"));
    expect(find.bounds("groups/*%20")).toEqual(find.bounds("groups/*"));
  });

  it.each([
    [["+49", "+49%0"], "a canary is 1 to 99 in a hundred keys"],
    [["+49", "+49%100"], "a canary is 1 to 99 in a hundred keys"],
    [["+33", "+49%5"], "+49 is no prefix of the plan"],
    [["+49", "+49%5", "+49%7"], "+49 has two canaries"],
  ])("%j is refused", (plan, why) => {
    expect(() => checkPrefixes(plan)).toThrow(why);
  });
});

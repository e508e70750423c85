/** What changed since a comparison: against a model that keeps every change, and at its bounds. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ChangedKeys } from "../../../actors/changed_keys.ts";
import { dataLimits } from "../../../actors/limits.ts";
import { everyCohort } from "../../../actors/records.ts";

const cohorts = ["b/+49", "b/+33"];

function serving(): ChangedKeys {
  const changed = new ChangedKeys();
  changed.live(7);
  changed.serve(cohorts);
  return changed;
}

/** A comparison of everything that has ended. */
function compared(): ChangedKeys {
  const changed = serving();
  changed.endPass(changed.beginPass().cohorts);
  return changed;
}

function changesOf(changed: ChangedKeys, of: readonly string[]) {
  return changed.changes(of, 0).changes;
}

const [first = "", second = ""] = cohorts;

describe("changed keys", () => {
  it("before its first comparison a cohort is unknown, whatever changed, and no memory is spent on it", () => {
    const changed = serving();
    changed.changed(first, "k");
    expect(changed.changes(cohorts, 5)).toEqual({ epoch: 7, changes: ["unknown", "unknown"], nowMs: 5 });
    const begun = changed.beginPass();
    expect(begun.cohorts.map(({ changes }) => changes)).toEqual(["unknown", "unknown"]);
    expect(changed.keys(first)).toBeUndefined();
    changed.changed(first, "k");
    changed.endPass(begun.cohorts);
    expect(changesOf(changed, cohorts)).toEqual([1, 0]);
  });

  it("no key that changed after a pass began is missing from the next, in whatever order passes begin and end", () => {
    const key = fc.constantFrom("a", "b", "c", "d");
    const step = fc.oneof(
      key.map((name) => ({ type: "change" as const, name })),
      fc.constant({ type: "begin" as const }),
      fc.nat(3).map((n) => ({ type: "end" as const, n })),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40, size: "max" }), (steps) => {
        const changed = compared();
        /** For each key when it last changed; for each open pass when it began. */
        const changes = new Map<string, number>();
        const passes: {
          readonly at: number;
          readonly begun: ReturnType<ChangedKeys["beginPass"]>["cohorts"];
        }[] = [];
        let comparedAt = 0;
        steps.forEach((each, at) => {
          if (each.type === "change") {
            changed.changed(first, each.name);
            changes.set(each.name, at + 1);
          } else if (each.type === "begin") {
            passes.push({ at: at + 1, begun: changed.beginPass([first]).cohorts });
            const due = [...changes].filter(([, changedAt]) => changedAt > comparedAt).map(([name]) => name);
            expect(new Set(changed.keys(first))).toEqual(new Set(due));
          } else {
            const [pass] = passes.splice(each.n, 1);
            if (pass !== undefined && changed.endPass(pass.begun).length > 0) comparedAt = pass.at;
          }
          const left = [...changes.values()].filter((changedAt) => changedAt > comparedAt).length;
          const of = changesOf(changed, [first])[0];
          // A key that changed before and after the pass in work began counts for both.
          expect(of).toBeGreaterThanOrEqual(left);
          expect(of).toBeLessThanOrEqual(left * 2);
        });
      }),
    );
  });

  it("a pass that a newer one overtook ends nothing", () => {
    const changed = compared();
    changed.changed(first, "a");
    const older = changed.beginPass([first]);
    changed.changed(first, "b");
    const newer = changed.beginPass([first]);
    expect(changed.endPass(older.cohorts)).toEqual([]);
    expect(changed.keys(first)).toEqual(["a", "b"]);
    expect(changed.endPass(newer.cohorts)).toEqual([first]);
    expect(changesOf(changed, [first])).toEqual([0]);
  });

  it("one key more than a cohort may name is an overflow, until the cohort's whole range was compared", () => {
    const changed = compared();
    for (let i = 0; i < dataLimits.changedKeysPerCohortMax; i++) changed.changed(first, `k${i}`);
    expect(changesOf(changed, [first])).toEqual([dataLimits.changedKeysPerCohortMax]);
    changed.changed(first, "one more");
    changed.changed(first, "and more");
    expect(changesOf(changed, cohorts)).toEqual(["overflow", 0]);
    const begun = changed.beginPass([first]);
    expect(changed.keys(first)).toBeUndefined();
    changed.endPass(begun.cohorts);
    expect(changesOf(changed, [first])).toEqual([0]);
  });

  it("all cohorts of a shard share one bound, and what a comparison ended is free again", () => {
    const many = Array.from({ length: 6 }, (_, i) => `b/+${i}`);
    const changed = new ChangedKeys();
    changed.serve(many);
    changed.endPass(changed.beginPass().cohorts);
    const perCohort = dataLimits.changedKeysPerCohortMax;
    const fill = (): void => {
      for (const cohort of many) for (let i = 0; i < perCohort; i++) changed.changed(cohort, `k${i}`);
    };
    fill();
    const full = Math.floor(dataLimits.changedKeysPerShardMax / perCohort);
    const expected = many.map((_, i) => (i < full ? perCohort : "overflow"));
    expect(changesOf(changed, many)).toEqual(expected);
    changed.endPass(changed.beginPass().cohorts);
    fill();
    expect(changesOf(changed, many)).toEqual(expected);
  });

  it("a range is an overflow of its cohort, or of all", () => {
    const changed = compared();
    changed.overflow(second);
    expect(changesOf(changed, cohorts)).toEqual([0, "overflow"]);
    changed.overflow(everyCohort);
    expect(changesOf(changed, cohorts)).toEqual(["overflow", "overflow"]);
  });

  it("a range that opens while a pass runs outlives it", () => {
    const changed = compared();
    const begun = changed.beginPass();
    changed.overflow(first);
    changed.endPass(begun.cohorts);
    expect(changesOf(changed, cohorts)).toEqual(["overflow", 0]);
  });

  it("a cohort that the other site serves is forgotten, and unknown when it comes back", () => {
    const changed = compared();
    changed.serve([first]);
    changed.serve(cohorts);
    expect(changesOf(changed, cohorts)).toEqual([0, "unknown"]);
    expect(changed.beginPass([second, "b/none"]).cohorts.map(({ cohort }) => cohort)).toEqual([second]);
  });

  it("what was adopted is as compared just now", () => {
    const changed = serving();
    expect(changed.adoptPass([first])).toBe(7);
    changed.changed(first, "k");
    expect(changesOf(changed, cohorts)).toEqual([1, "unknown"]);
  });
});

/** Which combinations plan refuses, each with the field to change and the cure. */

import { describe, expect, it } from "vitest";
import { checkPlan, type PlannedJob } from "../../../actors/plan.ts";

const store = { conditionalWrite: true, orderedScan: true, atomicBatch: true };
const job: PlannedJob = {
  backends: [
    { name: "groups", affinity: "key", routing: "sticky_queue" },
    { name: "public_keys", affinity: "none", routing: "queue" },
  ],
  durability: "group",
  store,
};

function fields(change: Partial<PlannedJob>): string[] {
  return checkPlan({ ...job, ...change }).map(({ field }) => field);
}

describe("plan", () => {
  it("takes what keeps every promise", () => {
    expect(checkPlan(job)).toEqual([]);
  });

  it("refuses a queue for a backend whose operations need their order, and names it", () => {
    const backends = [{ name: "groups", affinity: "key", routing: "queue" }] as const;
    expect(fields({ backends })).toEqual(["routing.groups"]);
    for (const routing of ["sticky_queue", "consistent_hash"]) {
      expect(fields({ backends: [{ ...backends[0], routing }] })).toEqual([]);
    }
  });

  it("refuses stores without conditional writes or ordered scans, with the hazards let in", () => {
    expect(fields({ store: { ...store, conditionalWrite: false } })).toEqual(["store"]);
    const both = checkPlan({ ...job, store: { ...store, conditionalWrite: false, orderedScan: false } });
    expect(both.map(({ message }) => /hazards? [\d, and]+/.exec(message)?.[0])).toEqual([
      "hazards 1 and 11",
      "hazards 8 and 18",
    ]);
    for (const { cure } of both) expect(cure).not.toBe("");
  });

  it("refuses a source that others write without a feed that detects gaps, and names the hazard", () => {
    const source = { writtenBy: "others", feed: "gap_detecting", writeStop: true } as const;
    expect(fields({ source })).toEqual([]);
    for (const feed of ["none", "lossy"] as const) {
      const [refusal, ...others] = checkPlan({ ...job, source: { ...source, feed } });
      expect(others).toEqual([]);
      expect(refusal).toMatchObject({ field: "source.feed", message: expect.stringContaining("hazard 58") });
      expect(refusal?.cure).toContain("logical decoding");
    }
  });

  it("refuses to move away from a source that others write without a stop of their writes, and only that", () => {
    const source = { writtenBy: "others", feed: "gap_detecting", writeStop: false } as const;
    const [refusal, ...others] = checkPlan({ ...job, source });
    expect(others).toEqual([]);
    expect(refusal).toMatchObject({
      field: "source.writeStop",
      message: expect.stringContaining("hazards 33"),
    });
    expect(fields({ source, failover: false })).toEqual([]);
  });

  it("asks nothing of a source that nanoactor writes", () => {
    expect(fields({ source: { writtenBy: "nanoactor", feed: "none", writeStop: false } })).toEqual([]);
  });
});

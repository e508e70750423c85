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
});

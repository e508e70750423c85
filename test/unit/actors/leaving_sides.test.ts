/** How long a side that a swap took cohorts from is thought to serve them. */

import { expect, it } from "vitest";
import { LeavingSides, leaseMargin } from "../../../actors/control_reading.ts";
import type { DecisionRecord } from "../../../actors/control_store.ts";

const swapped: DecisionRecord = {
  id: "d1",
  prefix: "+49",
  cohorts: ["groups/+49"],
  from: "A",
  to: "B",
  blockTerm: 11,
  swapTerm: 12,
  state: "swapped",
  owner: "one",
  leaseUntilMs: 0,
  endedAtMs: 1_000,
};

it("it may serve for a lease after the swap was first seen, however often it is seen", () => {
  const clock = { monotonicMs: () => nowMs };
  let nowMs = 500;
  const leaving = new LeavingSides(clock, 100);
  leaving.seen([{ ...swapped, state: "blocking" }]);
  expect(leaving.mayServe("d1")).toBe(false);
  leaving.seen([swapped]);
  nowMs = 599;
  leaving.seen([swapped]);
  expect(leaving.mayServe("d1")).toBe(true);
  nowMs = 500 + 100 * leaseMargin;
  expect(leaving.mayServe("d1")).toBe(false);
});

it("without leases nobody learns of a swap before the old side has let go", () => {
  const leaving = new LeavingSides({ monotonicMs: () => 0 }, 0);
  leaving.seen([swapped]);
  expect(leaving.mayServe("d1")).toBe(false);
});

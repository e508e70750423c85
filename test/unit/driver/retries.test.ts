import { beforeEach, expect, it } from "vitest";
import { Choice, type WritePlan } from "../../../app/driver/choice.ts";
import { defaultTraffic, driverLimits } from "../../../app/driver/limits.ts";
import { Model } from "../../../app/driver/model.ts";
import { Population } from "../../../app/driver/population.ts";
import { Retries } from "../../../app/driver/retries.ts";

let model: Model;
let retries: Retries;

beforeEach(() => {
  model = new Model(new Population(1, 120));
  retries = new Retries(model, new Choice(model, defaultTraffic, [], 1));
  retries.due(0);
});

function putOf(user: number): WritePlan {
  const unit = model.population.unit(user, "device_platform");
  return { type: "put", unit, row: unit.first };
}

function takeOf(user: number): WritePlan {
  return { type: "take", unit: model.population.unit(user, "public_keys"), request: undefined };
}

/** When the next retry falls due, to 10 ms. */
function dueAfter(fromMs: number): number {
  for (let nowMs = fromMs; nowMs < fromMs + 10_000; nowMs += 10) {
    if (retries.due(nowMs) !== undefined) return nowMs - fromMs;
  }
  return Number.POSITIVE_INFINITY;
}

it("brings a refused operation back after a time that doubles up to a bound", () => {
  const plan = putOf(1);
  let nowMs = 0;
  for (let attempt = 0; attempt < 8; attempt++) {
    retries.refused(plan, "blocked", nowMs);
    const waited = dueAfter(nowMs);
    const mean = Math.min(driverLimits.retryMaxMs, driverLimits.retryMinMs * 2 ** attempt);
    expect(waited).toBeGreaterThanOrEqual(mean / 2 - 10);
    expect(waited).toBeLessThanOrEqual(mean * 1.5 + 20);
    nowMs += waited;
  }
});

it.each(["held", "conflict", "rejected"])("leaves an operation that was refused as %s", (code) => {
  retries.refused(putOf(1), code, 0);
  expect(dueAfter(0)).toBe(Number.POSITIVE_INFINITY);
});

it("drops a refused write whose row has a newer one in flight", () => {
  const plan = putOf(1);
  retries.refused(plan, "blocked", 0);
  model.apply({ type: "put", operation: model.nextOperation(), row: plan.unit.first });
  expect(dueAfter(0)).toBe(Number.POSITIVE_INFINITY);
});

it("repeats an unknown take under its request, once its user's keys are free", () => {
  const plan = takeOf(2);
  retries.unknown(plan, { type: "take", operation: 7, user: 2, request: 7 }, 0);
  const other = model.nextOperation();
  model.apply({ type: "take", operation: other, user: 2, request: other });
  expect(dueAfter(0)).toBe(Number.POSITIVE_INFINITY);
  model.apply({ type: "refused", operation: other });
  let found: WritePlan | undefined;
  for (let nowMs = 10_000; found === undefined && nowMs < 12_000; nowMs += 10) found = retries.due(nowMs);
  expect(found).toMatchObject({ type: "take", request: 7 });
});

it("repeats no other unknown write", () => {
  retries.unknown(putOf(1), { type: "put", operation: 1, row: 1 }, 0);
  expect(dueAfter(0)).toBe(Number.POSITIVE_INFINITY);
});

it("keeps a bounded number of operations waiting", () => {
  for (let i = 0; i < driverLimits.retriesMax + 50; i++) retries.refused(putOf(i % 120), "overloaded", 0);
  let count = 0;
  while (retries.due(10_000) !== undefined) count++;
  expect(count).toBe(driverLimits.retriesMax);
});

import { expect, it } from "vitest";
import { type Measured, predictReadOnly, type ShardLoad } from "../../../actors/read_only_prediction.ts";

const sending = { sendBatchMax: 100, sendsInFlightMax: 2 };

function load(shard: number, changed: Partial<ShardLoad> = {}): ShardLoad {
  const dirty = changed.dirty ?? 0;
  return {
    shard,
    dirty,
    perror: 0,
    dirtyOfAll: dirty,
    queued: dirty,
    parked: 0,
    remoteAnswers: true,
    repairsPerSecond: 5_000,
    pace: { roundTripMs: 2, perRowMs: 0.1 },
    ...changed,
  };
}

function predicted(loads: readonly ShardLoad[], changed: Partial<Measured> = {}): number {
  const barrierMs = { from: 5, to: 7 };
  const fixed = { barrierMs, messageMs: 3, controlMs: 1, sending };
  return predictReadOnly({ loads, verifyMs: 0, ...fixed, ...changed }).readOnlyMs;
}

/** Nine commits, two barriers of the old side, one of the new, three questions and a pause between two looks. */
const fixedMs = 9 * 1 + 2 * 5 + 7 + 3 * 3 + 10;

it("with nothing dirty it is what barriers, control and one look take", () => {
  expect(predicted([load(0), load(1)])).toBe(fixedMs);
});

it("the slowest shard counts, batch by batch, as many beside each other as are allowed", () => {
  // 1,000 rows are 10 batches of 12 ms, two at a time.
  expect(predicted([load(0, { dirty: 1_000 }), load(1, { dirty: 10 })])).toBe(fixedMs + 60);
});

it("what other cohorts have dirty is sent in turn with it", () => {
  expect(predicted([load(0, { dirty: 10, dirtyOfAll: 1_000, queued: 1_000 })])).toBe(fixedMs + 60);
});

it("replay's keys wait for its rate", () => {
  expect(predicted([load(0, { dirty: 1_000, queued: 0 })])).toBe(fixedMs + 200);
});

it("a remote that does not answer, and a rate of 0, have no end", () => {
  expect(predicted([load(0, { dirty: 1, remoteAnswers: false })])).toBe(Number.POSITIVE_INFINITY);
  expect(predicted([load(0, { dirty: 1, queued: 0, repairsPerSecond: 0 })])).toBe(Number.POSITIVE_INFINITY);
});

it("a shard whose remote is down but which has nothing to send holds nobody up", () => {
  expect(predicted([load(0, { remoteAnswers: false, repairsPerSecond: 0 })])).toBe(fixedMs);
});

it("the comparison under the block comes on top", () => {
  expect(predicted([load(0)], { verifyMs: 60 })).toBe(fixedMs + 60);
});

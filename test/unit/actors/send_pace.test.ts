import { expect, it } from "vitest";
import { addPaces, noPace, notePace, type PaceSums, paceOf } from "../../../actors/send_pace.ts";

function after(batches: readonly (readonly [rows: number, ms: number])[]): PaceSums {
  return batches.reduce((sums, [rows, ms]) => notePace(sums, rows, ms), noPace);
}

it("before the first batch nothing is known", () => {
  expect(paceOf(noPace)).toBeUndefined();
});

it("the round trip and the time of a row are told apart from batches of several sizes", () => {
  const sizes = Array.from({ length: 200 }, (_, i) => 1 + (i % 7) * 100);
  const pace = paceOf(after(sizes.map((rows) => [rows, 5 + rows * 0.25] as const)));
  expect(pace?.roundTripMs).toBeGreaterThan(4);
  expect(pace?.roundTripMs).toBeLessThan(7);
  expect(pace?.perRowMs).toBeCloseTo(0.25, 1);
});

it("from single rows over a slow way a large batch is not foretold a round trip for each row", () => {
  const pace = paceOf(
    after(Array.from({ length: 20 }, (_, i) => [1 + (i % 2), 190 + ((i * 7) % 20)] as const)),
  );
  expect(pace?.roundTripMs).toBeGreaterThan(150);
  expect((pace?.perRowMs ?? 0) * 128).toBeLessThan(100);
});

it("the line goes through the mean of what was measured", () => {
  const pace = paceOf(
    after([
      [10, 20],
      [10, 20],
    ]),
  );
  expect((pace?.roundTripMs ?? 0) + 10 * (pace?.perRowMs ?? 0)).toBeCloseTo(20, 9);
});

it("larger batches that were faster by chance give no negative time of a row", () => {
  const pace = paceOf(
    after([
      [1, 3_000],
      [500, 10],
    ]),
  );
  expect(pace?.perRowMs).toBe(0);
  expect(pace?.roundTripMs).toBeGreaterThan(0);
});

it("what is new outweighs what is old", () => {
  const slow = Array.from({ length: 100 }, () => [10, 100] as const);
  const fast = Array.from({ length: 100 }, () => [10, 10] as const);
  expect(paceOf(after([...slow, ...fast]))?.roundTripMs).toBeLessThan(25);
});

it("the sums of two senders are those of one that sent all of it", () => {
  const both = addPaces([after([[1, 6]]), after([[201, 56]])]);
  const one = { weight: 2, rows: 202, ms: 62, rowsSquared: 1 + 201 ** 2, rowsTimesMs: 6 + 201 * 56 };
  expect(both).toEqual(one);
});

/** Who owes whom an answer: src/core/deferred_calls.ts. */

import { expect, it } from "vitest";
import { DeferredCalls } from "../../src/core/deferred_calls.ts";
import type { From } from "../../src/core/envelope.ts";
import type { Process } from "../../src/core/process.ts";

const clock = {
  now: () => 0,
  monotonicMs: () => 0,
  setTimer: () => ({ id: 1 }),
  clearTimer: () => undefined,
};

function callFrom(incarnation: number, ref: number): From {
  return { pid: { node: "n", thread: 3, incarnation, id: 1 }, ref, deadlineMs: 0 };
}

it("a caller of a thread's next life is not taken for the one of its last life with the same reference", () => {
  const calls = new DeferredCalls();
  const [before, after] = [{}, {}] as [Process, Process];
  calls.add(callFrom(1, 5), before, clock);
  calls.add(callFrom(1, 6), before, clock);
  calls.forgetThread(3, 1);
  calls.add(callFrom(2, 5), after, clock);
  expect(calls.takeAll(before)).toEqual([]);
  expect(calls.take(callFrom(2, 6))).toBeUndefined();
  expect(calls.takeAll(after).map(({ from }) => from)).toEqual([callFrom(2, 5)]);
});

/**
 * The checker of histories: named histories that are and are not linearizable, and small random ones, for which every
 * order of every choice of unknown operations is tried one by one.
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  checkHistory,
  checkRegister,
  checkTakes,
  type HistoryOperation,
  type RegisterOperation,
  registerModel,
  type SequentialModel,
  type TakeOperation,
  takeModel,
  type Value,
} from "../../../src/simulation/index.ts";

type Span = readonly [start: number, end: number];

const write = (value: Value, [start, end]: Span): RegisterOperation => ({
  kind: "write",
  value,
  start,
  end,
  outcome: "ok",
});
const read = (value: Value, [start, end]: Span): RegisterOperation => ({
  kind: "read",
  value,
  start,
  end,
  outcome: "ok",
});
const swap = (expected: Value, value: Value, [start, end]: Span, swapped = true): RegisterOperation => ({
  kind: "compareAndSet",
  expected,
  value,
  swapped,
  start,
  end,
  outcome: "ok",
});
const unknown = (operation: RegisterOperation): RegisterOperation => ({ ...operation, outcome: "unknown" });
const failed = (operation: RegisterOperation): RegisterOperation => ({ ...operation, outcome: "failed" });

const unknownWrites = Array.from({ length: 20 }, (_, i) => unknown(write(`u${i}`, [i, i])));

describe("a register's history is linearizable with", () => {
  it.each<[string, RegisterOperation[]]>([
    ["no operations", []],
    ["a read of nothing before any write", [read(null, [1, 2]), write("a", [3, 4])]],
    ["a read of what was written", [write("a", [1, 2]), read("a", [3, 4])]],
    [
      "a read of the old value while a write is under way",
      [write("a", [1, 2]), write("b", [3, 6]), read("a", [4, 5])],
    ],
    [
      "a read of the new value while a write is under way",
      [write("a", [1, 2]), write("b", [3, 6]), read("b", [4, 5])],
    ],
    ["two writes at once, read in either order", [write("a", [1, 4]), write("b", [2, 3]), read("a", [5, 6])]],
    ["a read of nothing after a delete", [write("a", [1, 2]), write(null, [3, 4]), read(null, [5, 6])]],
    ["calls and returns at the same place, which are at once", [write("a", [1, 2]), read(null, [2, 3])]],
    [
      "an unknown write that never took effect",
      [write("a", [1, 2]), unknown(write("b", [3, 4])), read("a", [5, 6])],
    ],
    [
      "an unknown write that took effect late, after reads of the old value and a further write",
      [
        write("a", [1, 2]),
        unknown(write("b", [3, 4])),
        read("a", [5, 6]),
        write("c", [7, 8]),
        read("c", [9, 10]),
        read("b", [11, 12]),
      ],
    ],
    [
      "two unknown writes of one value, of which the second explains the second read",
      [
        unknown(write("u", [1, 2])),
        unknown(write("u", [3, 4])),
        read("u", [5, 6]),
        write("a", [7, 8]),
        read("u", [9, 10]),
      ],
    ],
    ["an unknown read of anything", [write("a", [1, 2]), unknown(read("z", [3, 4])), read("a", [5, 6])]],
    ["a failed write that nobody reads", [write("a", [1, 2]), failed(write("b", [3, 4])), read("a", [5, 6])]],
    ["a compare-and-set of what was there", [write("a", [1, 2]), swap("a", "b", [3, 4]), read("b", [5, 6])]],
    ["a compare-and-set that was refused with reason", [write("a", [1, 2]), swap("b", "c", [3, 4], false)]],
    [
      "two unknown compare-and-sets, the second upon the first",
      [
        write("a", [1, 2]),
        unknown(swap("b", "c", [3, 4])),
        unknown(swap("a", "b", [5, 6])),
        read("c", [7, 8]),
      ],
    ],
  ])("%s", (_, history) => {
    expect(checkRegister(history)).toEqual({ ok: true });
    expect(anyOrderFits(registerModel(), history)).toBe(true);
  });
});

describe("a register's history is not linearizable with", () => {
  it.each<[string, RegisterOperation[], number]>([
    ["a stale read", [write("a", [1, 2]), write("b", [3, 4]), read("a", [5, 6])], 2],
    ["a lost write", [write("a", [1, 2]), read(null, [3, 4])], 1],
    [
      "a lost update: two compare-and-sets of one value",
      [write("a", [1, 2]), swap("a", "b", [3, 6]), swap("a", "c", [4, 5])],
      2,
    ],
    [
      "a deleted value that returns",
      [write("a", [1, 2]), write(null, [3, 4]), read(null, [5, 6]), read("a", [7, 8])],
      3,
    ],
    ["a value that nobody wrote", [write("a", [1, 2]), read("z", [3, 4])], 1],
    ["a read of a write that had not begun", [read("a", [1, 2]), write("a", [3, 4])], 0],
    ["a read of an unknown write that had not begun", [read("a", [1, 2]), unknown(write("a", [3, 4]))], 0],
    ["a read of a failed write", [write("a", [1, 2]), failed(write("b", [3, 4])), read("b", [5, 6])], 2],
    [
      "an unknown write that took effect twice",
      [unknown(write("u", [1, 2])), read("u", [3, 4]), write("a", [5, 6]), read("u", [7, 8])],
      3,
    ],
    [
      "two reads that saw two writes in different orders",
      [write("a", [1, 10]), write("b", [2, 9]), read("a", [3, 4]), read("b", [5, 6]), read("a", [7, 8])],
      4,
    ],
    ["a compare-and-set refused although it fitted", [write("a", [1, 2]), swap("a", "c", [3, 4], false)], 1],
  ])("%s", (_, history, stuckAt) => {
    expect(checkRegister(history)).toMatchObject({ ok: false, undecided: false, stuckAt: history[stuckAt] });
    expect(anyOrderFits(registerModel(), history)).toBe(false);
  });

  it("a reason that names the operation, where it stands, and what was there", () => {
    const history = [write("a", [1, 2]), write(null, [3, 4]), read("a", [5, 6])];
    expect(checkRegister(history)).toMatchObject({
      reason: 'read of "a" (5 to 6) fits nowhere after 2 of 3 operations, in nothing',
    });
  });
});

it("the value at the beginning is the caller's", () => {
  expect(checkRegister([read("a", [1, 2])], { initial: "a" }).ok).toBe(true);
  expect(checkRegister([read(null, [1, 2])], { initial: "a" }).ok).toBe(false);
});

describe("one-time keys", () => {
  const take = (requestId: string, key: string | null, [start, end]: Span): TakeOperation => ({
    requestId,
    key,
    start,
    end,
    outcome: "ok",
  });
  const lost = (requestId: string, [start, end]: Span): TakeOperation => ({
    ...take(requestId, null, [start, end]),
    outcome: "unknown",
  });

  it.each<[string, boolean, TakeOperation[]]>([
    ["each to one request", true, [take("r", "1", [1, 2]), take("s", "2", [3, 4]), take("t", null, [5, 6])]],
    ["the same request gets the same", true, [take("r", "1", [1, 2]), take("r", "1", [3, 4])]],
    [
      "a lost answer, asked for again",
      true,
      [lost("r", [1, 2]), take("s", "1", [3, 4]), take("r", "2", [5, 6])],
    ],
    [
      "a lost answer that took the last",
      true,
      [lost("r", [1, 2]), take("s", "1", [3, 4]), take("t", null, [5, 6])],
    ],
    ["one key twice", false, [take("r", "1", [1, 2]), take("s", "1", [3, 4])]],
    ["two keys for one request", false, [take("r", "1", [1, 2]), take("r", "2", [3, 4])]],
    ["none left while there was one", false, [take("r", "1", [1, 2]), take("t", null, [3, 4])]],
    ["a key that never was in stock", false, [take("r", "3", [1, 2])]],
    [
      "more than there were",
      false,
      [take("r", "1", [1, 2]), lost("s", [3, 4]), take("t", null, [5, 6]), take("u", "2", [7, 8])],
    ],
  ])("%s: %s", (_, fits, history) => {
    expect(checkTakes(["1", "2"], history).ok).toBe(fits);
    expect(anyOrderFits(takeModel(["1", "2"]), history)).toBe(fits);
  });
});

describe("the bound on the search", () => {
  it("gives an answer that is no success, and says that it is undecided", () => {
    const history = [write("a", [1, 2]), read("a", [3, 4]), read("a", [5, 6])];
    expect(checkRegister(history, { stepsMax: 1 })).toMatchObject({
      ok: false,
      undecided: true,
      reason: expect.stringMatching(/^undecided after 1 steps/),
    });
  });

  it.each([
    ["that nobody noticed", []],
    ["that were all read", unknownWrites.map((_, i) => read(`u${i}`, [100 + 2 * i, 101 + 2 * i]))],
  ])("is far away with 20 unknown writes %s, also if the history is wrong", (_, reads) => {
    const right = [...unknownWrites, ...reads, write("a", [200, 201])];
    expect(checkRegister([...right, read("a", [202, 203])], { stepsMax: 20_000 })).toEqual({ ok: true });
    expect(checkRegister([...right, read("z", [202, 203])], { stepsMax: 20_000 })).toMatchObject({
      undecided: false,
    });
  });
});

it("an operation that ends before it starts is refused as an error of the caller", () => {
  expect(() => checkRegister([write("a", [2, 1])])).toThrow("ends after its start");
});

/** Tries them all: every order that real time allows, of every choice of the unknown operations. */
function anyOrderFits<State, Operation extends HistoryOperation>(
  model: SequentialModel<State, Operation>,
  history: readonly Operation[],
): boolean {
  const fits = (state: State, left: readonly Operation[]): boolean => {
    if (left.every(({ outcome }) => outcome !== "ok")) return true;
    return left.some((operation) => {
      const others = left.filter((other) => other !== operation);
      if (others.some(({ outcome, end }) => outcome === "ok" && end < operation.start)) return false;
      const after = model.next(state, operation);
      return after !== undefined && fits(after, others);
    });
  };
  return fits(
    model.initial,
    history.filter(({ outcome }) => outcome !== "failed"),
  );
}

describe("random histories are judged as by trying all orders:", () => {
  const outcome = fc.constantFrom("ok", "ok", "ok", "unknown", "failed");
  const span = fc.tuple(fc.nat(12), fc.nat(5)).map(([start, lasts]) => ({ start, end: start + lasts }));
  const sizes = { minLength: 1, maxLength: 7 };

  const compared = <State, Operation extends HistoryOperation>(
    model: SequentialModel<State, Operation>,
    operations: fc.Arbitrary<Operation>,
  ) => {
    const seen = { fitting: 0, wrong: 0 };
    fc.assert(
      fc.property(fc.array(operations, sizes), (history) => {
        const expected = anyOrderFits(model, history);
        seen[expected ? "fitting" : "wrong"]++;
        expect(checkHistory(model, history).ok).toBe(expected);
      }),
      { numRuns: 4_000 },
    );
    expect(Math.min(seen.fitting, seen.wrong)).toBeGreaterThan(200);
  };

  it("registers with compare-and-set", () => {
    const value = fc.constantFrom<Value>(null, "a", "b");
    const register = fc.oneof(
      fc.record({ kind: fc.constant("write" as const), value }),
      fc.record({ kind: fc.constant("read" as const), value }),
      fc.record({
        kind: fc.constant("compareAndSet" as const),
        expected: value,
        value,
        swapped: fc.constant(true),
      }),
      fc.record({
        kind: fc.constant("compareAndSet" as const),
        expected: value,
        value,
        swapped: fc.constant(false),
      }),
    );
    const operation = fc.tuple(register, outcome, span).map(([kind, how, when]): RegisterOperation => {
      const swapped = how === "unknown" && kind.kind === "compareAndSet" ? { swapped: true } : {};
      return { ...kind, ...swapped, ...when, outcome: how };
    });
    compared(registerModel(), operation);
  });

  it("one-time keys", () => {
    const operation = fc.record({
      requestId: fc.constantFrom("r", "s", "t", "u"),
      key: fc.constantFrom("1", "2", null),
      outcome,
      when: span,
    });
    compared(
      takeModel(["1", "2"]),
      operation.map(({ when, ...take }): TakeOperation => ({ ...take, ...when })),
    );
  });

  it("a list that is appended to, whose every operation depends on the order of all before", () => {
    type Appending = HistoryOperation & { readonly item: string; readonly list: string | null };
    const list: SequentialModel<string, Appending> = {
      initial: "",
      next: (state, { item, list: answer, outcome: how }) => {
        const after = state + item;
        return how === "unknown" || answer === null || answer === after ? after : undefined;
      },
      readOnly: ({ item }) => item === "",
      show: (state) => state,
      describe: ({ item, list: answer, outcome: how }) => `${item} ${how === "unknown" ? "" : answer}`,
    };
    const operation = fc.record({
      item: fc.constantFrom("a", "b", ""),
      list: fc.constantFrom(null, null, "a", "ab", "ba", "aab", "bab"),
      outcome,
      when: span,
    });
    compared(
      list,
      operation.map(({ when, ...append }): Appending => ({ ...append, ...when })),
    );
  });
});

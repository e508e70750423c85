/**
 * What a register and a stock of one-time keys do when their operations come one after the other, for
 * linearizability.ts: a key of a store, and the keys of one owner that are handed out once each. Pure.
 */

import {
  type CheckOptions,
  checkHistory,
  type HistoryOperation,
  type SequentialModel,
  type Verdict,
} from "./linearizability.ts";

/** What a register holds, as a text; null if nothing: a delete is a write of null. */
export type Value = string | null;

export type RegisterOperation = HistoryOperation &
  (
    | { readonly kind: "write"; readonly value: Value }
    /** `value`: what was read; of an unknown read, anything. */
    | { readonly kind: "read"; readonly value: Value }
    /** Writes `value` if there is `expected`. `swapped`: what it answered; of an unknown one, true. */
    | {
        readonly kind: "compareAndSet";
        readonly expected: Value;
        readonly value: Value;
        readonly swapped: boolean;
      }
  );

/** A register that holds `initial` at first. */
export function registerModel(initial: Value = null): SequentialModel<Value, RegisterOperation> {
  return {
    initial,
    next(state, operation) {
      switch (operation.kind) {
        case "write":
          return operation.value;
        case "read":
          return operation.value === state ? state : undefined;
        case "compareAndSet": {
          if ((operation.expected === state) !== operation.swapped) return undefined;
          return operation.swapped ? operation.value : state;
        }
      }
    },
    readOnly: (operation) =>
      operation.kind === "read" || (operation.kind === "compareAndSet" && !operation.swapped),
    show: shown,
    bounds(operation) {
      const value = shown(operation.value);
      if (operation.kind === "write") return { before: undefined, after: value };
      if (operation.kind === "read") return { before: value, after: value };
      if (operation.swapped) return { before: shown(operation.expected), after: value };
      return { before: undefined, after: undefined };
    },
    describe(operation) {
      const { kind, value } = operation;
      if (kind !== "compareAndSet") return `${kind} of ${shown(value)}`;
      const { expected, swapped } = operation;
      return `compareAndSet of ${shown(expected)} to ${shown(value)}${swapped ? "" : ", refused"}`;
    },
  };
}

/** Is the history of one register, one key of a store, linearizable? */
export function checkRegister(
  history: readonly RegisterOperation[],
  { initial = null, ...options }: CheckOptions & { readonly initial?: Value } = {},
): Verdict<RegisterOperation> {
  return checkHistory(registerModel(initial), history, options);
}

/** A key is taken for a request; the request that asks again gets the same. */
export interface TakeOperation extends HistoryOperation {
  readonly requestId: string;
  /** The key handed out, or null if none was left; of an unknown one, anything. */
  readonly key: string | null;
}

/** Who has which key; null: one that no answer has named yet. */
type Holders = ReadonlyMap<string, string | null>;

/**
 * A stock of `keys`, each handed out at most once, in any order. What an unknown request got stays open until an
 * answer names it: all that matters until then is that one key less is left.
 */
export function takeModel(keys: readonly string[]): SequentialModel<Holders, TakeOperation> {
  const stock = new Set(keys);
  return {
    initial: new Map(),
    next(holders, { requestId, key, outcome }) {
      const held = holders.get(requestId);
      const left = stock.size - holders.size;
      if (outcome === "unknown") {
        return held === undefined && left > 0 ? new Map([...holders, [requestId, null]]) : undefined;
      }
      if (key === null) return held === undefined && left === 0 ? holders : undefined;
      if (held === key) return holders;
      const free = stock.has(key) && ![...holders.values()].includes(key);
      const allowed = held === null || (held === undefined && left > 0);
      return free && allowed ? new Map([...holders, [requestId, key]]) : undefined;
    },
    readOnly: ({ key, outcome }) => outcome === "ok" && key === null,
    show: (holders) =>
      `{${[...holders]
        .map(([requestId, key]) => `${requestId} has ${key ?? "an unknown key"}`)
        .sort()
        .join(", ")}}`,
    describe: ({ requestId, key, outcome }) =>
      `take by ${requestId} of ${outcome === "unknown" ? "an unknown key" : (key ?? "nothing")}`,
  };
}

/** Was each of `keys` handed out at most once, and to each request always the same? */
export function checkTakes(
  keys: readonly string[],
  history: readonly TakeOperation[],
  options: CheckOptions = {},
): Verdict<TakeOperation> {
  return checkHistory(takeModel(keys), history, options);
}

function shown(value: Value): string {
  return value === null ? "nothing" : JSON.stringify(value);
}

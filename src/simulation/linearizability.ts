/**
 * Is a history of concurrent operations on one object linearizable: can each be given one instant between its call and
 * its return so that, in this order, a sequential model gives the same results? Locality (Herlihy and Wing 1990): a
 * store is linearizable if each of its keys is, so a history holds one key's operations.
 *
 * The search is Wing and Gong's (1993) with Lowe's memory of configurations (2017), as in Porcupine and Knossos. An
 * *unknown* operation may take effect at any time from its call on, or never. It is tried only where it matters: not
 * if what follows it leads to the same state without it, or before it; the linearization that uses the fewest of them,
 * each as late as can be, has none of these places. So those that nobody ever noticed cost next to nothing.
 */

import { assert } from "../base/assert.ts";
import { simulationLimits } from "./limits.ts";

export interface HistoryOperation {
  /** Place of the call in the order of all calls and returns: a sequence number, or a time. */
  readonly start: number;
  /** Place of the return. Only what ended before another's start was before it. Not looked at unless `ok`. */
  readonly end: number;
  /** `failed` took no effect and never will; `unknown` may, at any time from its start. */
  readonly outcome: "ok" | "failed" | "unknown";
}

/** What one object does when its operations come one after the other. Pure; states are never changed in place. */
export interface SequentialModel<State, Operation> {
  readonly initial: State;
  /**
   * The state after `operation`; undefined (which no state is) if it can't have had its result in this one. Of an
   * unknown operation, the state if it takes effect, or undefined if it would have none.
   */
  next(state: State, operation: Operation): State | undefined;
  /** True if the operation changes no state at all. */
  readOnly(operation: Operation): boolean;
  /** A state in words. Equal for equal states alone. */
  show(state: State): string;
  /**
   * Saves work: the only state, in words, in which the operation can be next, and the only one it can lead to;
   * undefined if there are several.
   */
  bounds?(operation: Operation): { readonly before: string | undefined; readonly after: string | undefined };
  /** An operation in words. Equal for those that do the same and have the same result alone. */
  describe(operation: Operation): string;
}

export type Verdict<Operation> =
  | { readonly ok: true }
  | {
      readonly ok: false;
      /** True if the search gave up at its bound: the history may be linearizable. To be reported all the same. */
      readonly undecided: boolean;
      readonly reason: string;
      /** The operation that is due first where the search came farthest, and that fits nowhere there. */
      readonly stuckAt: Operation;
    };

export interface CheckOptions {
  /** How many steps of the model the search may try. */
  readonly stepsMax?: number;
}

/** Never throws because of a wrong history; asserts that no operation ends before it starts. */
export function checkHistory<State, Operation extends HistoryOperation>(
  model: SequentialModel<State, Operation>,
  history: readonly Operation[],
  { stepsMax = simulationLimits.linearizationStepsMax }: CheckOptions = {},
): Verdict<Operation> {
  const verdict = new Search(model, history, stepsMax, true).verdict();
  if (verdict.ok || verdict.undecided) return verdict;
  // Who looks ahead is stuck before anything is wrong; without it, the first one that is wrong can be named.
  const named = new Search(model, history, stepsMax, false).verdict();
  return named.ok || named.undecided ? verdict : named;
}

/** Some operations have been given their places. */
interface Configuration<State, Operation> {
  /** So many of the known operations, in the order of their starts, are all placed. */
  readonly placed: number;
  /** Those that are placed beyond, ascending. */
  readonly beyond: readonly number[];
  /** How many of each group of unknown operations are placed. */
  readonly used: readonly number[];
  readonly state: State;
  /** If the last one placed was unknown: it, and the state before. */
  readonly unproved: { readonly operation: Operation; readonly before: State } | undefined;
}

class Search<State, Operation extends HistoryOperation> {
  readonly #model: SequentialModel<State, Operation>;
  readonly #known: readonly Operation[];
  /** Unknown operations that do the same: whichever of them started first goes first. */
  readonly #groups: readonly (readonly Operation[])[];
  readonly #stepsMax: number;
  readonly #waiting: Configuration<State, Operation>[] = [];
  readonly #seen = new Set<string>();
  readonly #words = new Map<State, string>();
  /** Which known operations need a state, and which operations bring one about; by the state's words. */
  readonly #needing = new Map<string, number[]>();
  readonly #bringing = new Map<string, { readonly known: number[]; readonly groups: number[] }>();
  #steps = 0;
  #farthest: Configuration<State, Operation>;
  /** The states in which the search was stuck that far. */
  #stuckStates = new Set<string>();

  constructor(
    model: SequentialModel<State, Operation>,
    history: readonly Operation[],
    stepsMax: number,
    looksAhead: boolean,
  ) {
    this.#model = model;
    this.#stepsMax = stepsMax;
    const inOrder = [...history].sort((a, b) => a.start - b.start);
    this.#known = inOrder.filter(({ outcome }) => outcome === "ok");
    for (const { start, end } of this.#known) assert(start <= end, "an operation ends after its start");
    // What is unknown and changes nothing tells nothing.
    const unknown = inOrder.filter(
      (operation) => operation.outcome === "unknown" && !model.readOnly(operation),
    );
    const groups = new Map<string, Operation[]>();
    for (const operation of unknown) {
      const words = model.describe(operation);
      const group = groups.get(words);
      if (group === undefined) groups.set(words, [operation]);
      else group.push(operation);
    }
    this.#groups = [...groups.values()];
    if (looksAhead) this.#index();
    const used = this.#groups.map(() => 0);
    this.#farthest = { placed: 0, beyond: [], used, state: model.initial, unproved: undefined };
  }

  verdict(): Verdict<Operation> {
    this.#waiting.push(this.#farthest);
    for (let next = this.#waiting.pop(); next !== undefined; next = this.#waiting.pop()) {
      if (next.placed === this.#known.length) return { ok: true };
      this.#remember(next);
      this.#expand(next);
      if (this.#steps > this.#stepsMax) return this.#stuck(true);
    }
    return this.#stuck(false);
  }

  #index(): void {
    if (this.#model.bounds === undefined) return;
    for (const [index, operation] of this.#known.entries()) {
      const { before, after } = this.#model.bounds(operation);
      if (before !== undefined) listOf(this.#needing, before, () => []).push(index);
      if (after !== undefined && after !== before) this.#bringersOf(after).known.push(index);
    }
    for (const [index, [operation]] of this.#groups.entries()) {
      const { after } = this.#model.bounds(operation as Operation);
      if (after !== undefined) this.#bringersOf(after).groups.push(index);
    }
  }

  #bringersOf(words: string) {
    return listOf(this.#bringing, words, () => ({ known: [], groups: [] }));
  }

  #remember(configuration: Configuration<State, Operation>): void {
    const farther = progress(configuration) - progress(this.#farthest);
    if (farther < 0) return;
    if (farther > 0) {
      this.#farthest = configuration;
      this.#stuckStates = new Set();
    }
    this.#stuckStates.add(this.#show(configuration.state));
  }

  /** Puts what may come next on the stack. Unknown operations are tried last, so they go first. */
  #expand(from: Configuration<State, Operation>): void {
    const { candidates, endsBefore } = this.#candidates(from);
    const children: Configuration<State, Operation>[] = [];
    for (const index of candidates) {
      const operation = this.#known[index] as Operation;
      const state = this.#step(from, operation);
      if (state === undefined) continue;
      const child = { ...this.#withPlaced(from, index), used: from.used, state, unproved: undefined };
      // A read that fits now may as well be now: whatever follows it now could follow it then.
      if (this.#model.readOnly(operation)) {
        this.#push(child);
        return;
      }
      if (!this.#strands(from.state, child)) children.push(child);
    }
    for (const [index, group] of this.#groups.entries()) {
      const count = from.used[index] ?? 0;
      const operation = group[count];
      if (operation === undefined || operation.start > endsBefore) continue;
      const state = this.#step(from, operation);
      if (state === undefined) continue;
      const used = from.used.with(index, count + 1);
      const child = { ...from, used, state, unproved: { operation, before: from.state } };
      if (!this.#strands(from.state, child)) this.#push(child);
    }
    for (const child of children.reverse()) this.#push(child);
  }

  /** True if an operation that is left needs the state that has just been left, and nothing brings it about again. */
  #strands(state: State, after: Configuration<State, Operation>): boolean {
    const words = this.#show(state);
    const needing = this.#needing.get(words);
    if (needing === undefined || this.#show(after.state) === words) return false;
    const isLeft = (index: number): boolean => index >= after.placed && !after.beyond.includes(index);
    if (!needing.some(isLeft)) return false;
    const { known, groups } = this.#bringersOf(words);
    const groupIsLeft = (index: number): boolean =>
      (after.used[index] ?? 0) < (this.#groups[index]?.length ?? 0);
    return !known.some(isLeft) && !groups.some(groupIsLeft);
  }

  /** The known operations that may come next: those that started before all others that are left have ended. */
  #candidates({ placed, beyond }: Configuration<State, Operation>): {
    readonly candidates: readonly number[];
    readonly endsBefore: number;
  } {
    const candidates: number[] = [];
    let endsBefore = Number.POSITIVE_INFINITY;
    for (let index = placed; index < this.#known.length; index++) {
      const { start, end } = this.#known[index] as Operation;
      if (start > endsBefore) break;
      if (beyond.includes(index)) continue;
      candidates.push(index);
      endsBefore = Math.min(endsBefore, end);
    }
    return { candidates, endsBefore };
  }

  /** The state after; undefined if the operation can't be next, or shows that the unknown one need not be here. */
  #step(from: Configuration<State, Operation>, operation: Operation): State | undefined {
    const { state, unproved } = from;
    this.#steps++;
    const after = this.#model.next(state, operation);
    if (after === undefined || unproved === undefined) return after;
    const without = this.#model.next(unproved.before, operation);
    if (without === undefined) return after;
    const words = this.#show(after);
    if (this.#show(without) === words) return undefined;
    if (operation.outcome === "unknown") return after;
    const later = this.#model.next(without, unproved.operation);
    return later !== undefined && this.#show(later) === words ? undefined : after;
  }

  #withPlaced(
    { placed, beyond }: Configuration<State, Operation>,
    index: number,
  ): Pick<Configuration<State, Operation>, "placed" | "beyond"> {
    if (index !== placed) return { placed, beyond: [...beyond, index].sort((a, b) => a - b) };
    let next = placed + 1;
    let inRow = 0;
    while (beyond[inRow] === next) {
      next++;
      inRow++;
    }
    return { placed: next, beyond: inRow === 0 ? beyond : beyond.slice(inRow) };
  }

  #push(configuration: Configuration<State, Operation>): void {
    const { placed, beyond, used, state, unproved } = configuration;
    const before = unproved === undefined ? "" : `${this.#show(unproved.before)}>`;
    const words = `${placed};${beyond.join()};${used.join()};${before}${this.#show(state)}`;
    if (this.#seen.has(words)) return;
    this.#seen.add(words);
    this.#waiting.push(configuration);
  }

  #show(state: State): string {
    const known = this.#words.get(state);
    if (known !== undefined) return known;
    const words = this.#model.show(state);
    this.#words.set(state, words);
    return words;
  }

  #stuck(undecided: boolean): Verdict<Operation> {
    const { candidates } = this.#candidates(this.#farthest);
    const left = candidates.map((index) => this.#known[index] as Operation);
    const stuckAt = left.reduce((first, operation) => (operation.end < first.end ? operation : first));
    const { start, end } = stuckAt;
    const states = [...this.#stuckStates].join(" or ");
    const where = `after ${progress(this.#farthest)} of ${this.#known.length} operations, in ${states}`;
    const reason = undecided
      ? `undecided after ${this.#stepsMax} steps; it came as far as ${where}`
      : `${this.#model.describe(stuckAt)} (${start} to ${end}) fits nowhere ${where}`;
    return { ok: false, undecided, reason, stuckAt };
  }
}

function progress({ placed, beyond }: Configuration<unknown, unknown>): number {
  return placed + beyond.length;
}

function listOf<List>(lists: Map<string, List>, name: string, empty: () => List): List {
  let list = lists.get(name);
  if (list === undefined) {
    list = empty();
    lists.set(name, list);
  }
  return list;
}

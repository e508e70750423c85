/**
 * The shadow model: for each row the last acknowledged operation, the one in flight and the unknown ones
 * that may still land, as one word a row and small maps. It changes by events alone (events.ts), live and
 * in recovery, so the journal rebuilds it exactly. At most one write is in flight for a row, and for all
 * one-time keys of a user. What is acceptable follows from it: judge.ts compares that with what stores and
 * answers show.
 */

import { assert, unreachable } from "../../src/index.ts";
import type { DriverEvent, WriteIntent } from "./events.ts";
import { driverLimits } from "./limits.ts";
import { OperationClock } from "./operation_clock.ts";
import type { Population, RowNumber, Unit } from "./population.ts";

/** A state of a row: the operation that made it, and flags. */
export type StateWord = number;

const absentFlag = 2 ** 31;
const takenFlag = 2 ** 30;
const operationMask = 2 ** 29 - 1;

export const stateWord = {
  present: (operation: number): StateWord => operation,
  absent: (operation: number): StateWord => operation + absentFlag,
  taken: (upload: number): StateWord => upload + takenFlag,
  isAbsent: (word: StateWord): boolean => word >= absentFlag,
  isTaken: (word: StateWord): boolean => word < absentFlag && word >= takenFlag,
  /** The operation that wrote the value; the upload, of a taken key. */
  operation: (word: StateWord): number => word & operationMask,
} as const;

interface UnknownState {
  readonly word: StateWord;
  readonly settledAtMs: number;
}

/** How many free one-time keys a user can have, at least and at most. */
export interface KeyBounds {
  readonly lower: number;
  readonly upper: number;
  /** Free by what was acknowledged, whatever takes are in flight or unknown. */
  readonly free: number;
}

export class Model {
  readonly population: Population;
  readonly clock = new OperationClock();
  /** Writes acknowledged since the journal began. */
  acknowledgedWrites = 0;
  readonly #fixed: Uint32Array;
  readonly #uploaded: StateWord[] = [];
  /** By row, or by the first row of a user's keys. */
  readonly #inFlight = new Map<RowNumber, WriteIntent>();
  readonly #lanes = new Map<number, RowNumber>();
  readonly #unknown = new Map<RowNumber, UnknownState[]>();
  /** Takes by user whose outcome is unknown: their request numbers. */
  readonly #unknownTakes = new Map<number, number[]>();
  /** By taken row, the request that holds it. */
  readonly #holders = new Map<RowNumber, number>();
  readonly #watches = new Map<RowNumber, ReadWatch[]>();
  #lastOperation = 0;

  constructor(population: Population) {
    this.population = population;
    this.#fixed = new Uint32Array(population.fixedRows);
    for (const unit of population.units()) {
      for (let row = unit.first; row < unit.first + unit.count; row++) {
        if (!population.presentAtStart(unit, row)) this.#fixed[row] = stateWord.absent(0);
      }
    }
  }

  /** A number for the next write. */
  nextOperation(): number {
    assert(this.#lastOperation < driverLimits.operationsMax, "operations have numbers left");
    return this.#lastOperation + 1;
  }

  get writesInFlight(): number {
    return this.#lanes.size;
  }

  /** True if a write waits for its answer in the row, or in the row's user's keys. */
  isBusy(lane: RowNumber): boolean {
    return this.#inFlight.has(lane);
  }

  /** Where the one write in flight of a row is counted. */
  laneOf(unit: Unit, row: RowNumber): RowNumber {
    return unit.backend === "public_keys" ? unit.first : row;
  }

  apply(event: DriverEvent): void {
    switch (event.type) {
      case "put":
      case "remove":
      case "upload":
      case "take":
        this.#begin(event);
        return;
      case "acknowledged":
        this.#acknowledge(event.operation);
        return;
      case "refused":
        this.#end(event.operation);
        return;
      case "taken":
        this.#take(event.operation, event.row, event.upload);
        return;
      case "unknown":
        this.#lose(event.operation, event.settledAtMs);
        return;
      case "tick":
        this.clock.tick(event.operation, event.nowMs);
        return;
      case "settled":
        this.#settle(event.row, event.operation, event.removes);
        return;
      case "incarnation":
        this.#settleOthers();
        return;
      case "restart":
        for (const operation of [...this.#lanes.keys()]) this.#lose(operation, event.settledAtMs);
        return;
      default:
        unreachable(event);
    }
  }

  /** The state that was acknowledged last. */
  acknowledged(row: RowNumber): StateWord {
    const fixed = this.population.fixedRows;
    return (row < fixed ? this.#fixed[row] : this.#uploaded[row - fixed]) ?? stateWord.absent(0);
  }

  /** States that writes in flight and unknown ones may have made of the row; not for taken keys. */
  possible(row: RowNumber, lane: RowNumber): StateWord[] {
    const words = (this.#unknown.get(row) ?? []).map((state) => state.word);
    const intent = this.#inFlight.get(lane);
    if (intent !== undefined) {
      const word = wordIn(intent, row);
      if (word !== undefined) words.push(word);
    }
    return words;
  }

  /** The request that holds a taken key. */
  holder(row: RowNumber): number | undefined {
    return this.#holders.get(row);
  }

  /** Requests of a user that may have taken a key without our knowing. */
  possibleTakes(user: number): readonly number[] {
    const unknown = this.#unknownTakes.get(user) ?? [];
    const intent = this.#inFlight.get(this.population.unit(user, "public_keys").first);
    return intent?.type === "take" && !unknown.includes(intent.request)
      ? [...unknown, intent.request]
      : unknown;
  }

  /** How many free keys a user has, given what is in flight and unknown. */
  keyBounds(unit: Unit): KeyBounds {
    let free = 0;
    let uploading = 0;
    for (const row of this.population.rowsOfUnit(unit)) {
      const word = this.acknowledged(row);
      if (!stateWord.isAbsent(word)) free += stateWord.isTaken(word) ? 0 : 1;
      else if (this.possible(row, unit.first).length > 0) uploading++;
    }
    const takes = this.possibleTakes(unit.user).length;
    return { lower: Math.max(0, free - takes), upper: free + uploading, free };
  }

  /** Starts to record what a read of the unit may see; `unwatch` it when the answer is there. */
  watch(unit: Unit): ReadWatch {
    const watch = new ReadWatch(this, unit);
    const others = this.#watches.get(unit.first);
    if (others === undefined) this.#watches.set(unit.first, [watch]);
    else others.push(watch);
    return watch;
  }

  unwatch(watch: ReadWatch): void {
    const first = watch.unit.first;
    const others = (this.#watches.get(first) ?? []).filter((other) => other !== watch);
    if (others.length === 0) this.#watches.delete(first);
    else this.#watches.set(first, others);
  }

  #begin(intent: WriteIntent): void {
    assert(intent.operation > this.#lastOperation, "operation numbers rise");
    this.#lastOperation = intent.operation;
    if (intent.type === "upload") this.#makeRoom(intent.user, intent.rows);
    const unit = this.#unitOf(intent);
    const lane = "row" in intent ? intent.row : unit.first;
    assert(!this.#inFlight.has(lane), "a row has one write in flight");
    this.#inFlight.set(lane, intent);
    this.#lanes.set(intent.operation, lane);
    for (const watch of this.#watches.get(unit.first) ?? []) watch.started(intent);
  }

  #unitOf(intent: WriteIntent): Unit {
    if ("row" in intent) return this.population.unitOf(intent.row);
    return this.population.unit(intent.user, "public_keys");
  }

  #makeRoom(user: number, rows: readonly RowNumber[]): void {
    for (const row of rows) {
      if (row < this.population.rows) continue;
      const made = this.population.addKeyRow(user);
      assert(made === row, "new keys have the next rows");
      this.#uploaded.push(stateWord.absent(0));
    }
  }

  /** Takes an operation out of flight; undefined if it was lost before (a late answer changes nothing). */
  #end(operation: number): WriteIntent | undefined {
    const lane = this.#lanes.get(operation);
    if (lane === undefined) return undefined;
    const intent = this.#inFlight.get(lane);
    this.#lanes.delete(operation);
    this.#inFlight.delete(lane);
    return intent;
  }

  #acknowledge(operation: number): void {
    const intent = this.#end(operation);
    if (intent === undefined) return;
    this.acknowledgedWrites++;
    switch (intent.type) {
      case "put":
      case "remove":
        this.#setAcknowledged(intent.row, wordOf(intent));
        this.#supersede(intent.row, this.clock.timeOf(operation));
        return;
      case "upload":
        for (const row of intent.rows) {
          this.#setAcknowledged(row, stateWord.present(operation));
          this.#unknown.delete(row);
        }
        return;
      case "take": // no key was left
        return;
      default:
        unreachable(intent);
    }
  }

  #take(operation: number, row: RowNumber, upload: number): void {
    const intent = this.#end(operation);
    if (intent?.type !== "take") return;
    this.acknowledgedWrites++;
    const unknown = (this.#unknownTakes.get(intent.user) ?? []).filter(
      (request) => request !== intent.request,
    );
    if (unknown.length === 0) this.#unknownTakes.delete(intent.user);
    else this.#unknownTakes.set(intent.user, unknown);
    if (this.#holders.has(row)) return; // judged before; the first holder stays
    this.#holders.set(row, intent.request);
    this.#setAcknowledged(row, stateWord.taken(upload));
    this.#unknown.delete(row);
  }

  #lose(operation: number, settledAtMs: number): void {
    const intent = this.#end(operation);
    if (intent === undefined) return;
    switch (intent.type) {
      case "put":
      case "remove":
        this.#addUnknown(intent.row, { word: wordOf(intent), settledAtMs });
        return;
      case "upload":
        for (const row of intent.rows)
          this.#addUnknown(row, { word: stateWord.present(operation), settledAtMs });
        return;
      case "take": {
        const requests = this.#unknownTakes.get(intent.user) ?? [];
        if (!requests.includes(intent.request))
          this.#unknownTakes.set(intent.user, [...requests, intent.request]);
        return;
      }
      default:
        unreachable(intent);
    }
  }

  #addUnknown(row: RowNumber, state: UnknownState): void {
    this.#unknown.set(row, [...(this.#unknown.get(row) ?? []), state]);
  }

  /** Forgets the unknown writes that can't land behind one that began at `startedMs`. */
  #supersede(row: RowNumber, startedMs: number): void {
    const left = (this.#unknown.get(row) ?? []).filter((state) => state.settledAtMs >= startedMs);
    if (left.length === 0) this.#unknown.delete(row);
    else this.#unknown.set(row, left);
  }

  #settle(row: RowNumber, operation: number, removes: boolean): void {
    const word = removes ? stateWord.absent(operation) : stateWord.present(operation);
    this.#setAcknowledged(row, word);
    const left = (this.#unknown.get(row) ?? []).filter((state) => state.word !== word);
    if (left.length === 0) this.#unknown.delete(row);
    else this.#unknown.set(row, left);
  }

  #settleOthers(): void {
    for (const [row, states] of this.#unknown) {
      this.#unknown.set(
        row,
        states.map((state) => ({ ...state, settledAtMs: 0 })),
      );
    }
  }

  #setAcknowledged(row: RowNumber, word: StateWord): void {
    const fixed = this.population.fixedRows;
    if (row < fixed) this.#fixed[row] = word;
    else this.#uploaded[row - fixed] = word;
  }
}

/** The state that a put or a removal makes. */
function wordOf(intent: WriteIntent & { readonly row: RowNumber }): StateWord {
  return intent.type === "put" ? stateWord.present(intent.operation) : stateWord.absent(intent.operation);
}

/** The state that an intent makes of a row; undefined if it says nothing of it (a take: any free key). */
function wordIn(intent: WriteIntent, row: RowNumber): StateWord | undefined {
  switch (intent.type) {
    case "put":
    case "remove":
      return intent.row === row ? wordOf(intent) : undefined;
    case "upload":
      return intent.rows.includes(row) ? stateWord.present(intent.operation) : undefined;
    case "take":
      return undefined;
  }
}

/**
 * What a read of one unit may see between its start and its answer: what was acknowledged or possible when it
 * began, and every write that began meanwhile.
 */
export class ReadWatch {
  readonly unit: Unit;
  readonly #before: Uint32Array;
  readonly #since = new Map<RowNumber, StateWord[]>();
  #lower = 0;
  #upper = 0;
  /** True once a write of the unit began or was in flight: what the read saw may be older than its answer. */
  disturbed = false;

  constructor(model: Model, unit: Unit) {
    this.unit = unit;
    const keys = unit.backend === "public_keys";
    this.#before = new Uint32Array(keys ? 0 : unit.count);
    if (keys) {
      const bounds = model.keyBounds(unit);
      this.#lower = bounds.lower;
      this.#upper = bounds.upper;
      return;
    }
    for (let row = unit.first; row < unit.first + unit.count; row++) {
      this.#before[row - unit.first] = model.acknowledged(row);
      const possible = model.possible(row, row);
      if (possible.length > 0) this.#since.set(row, possible);
      this.disturbed ||= model.isBusy(row);
    }
  }

  /** Every state of the row that the read may have seen; the acknowledged one first. */
  candidates(row: RowNumber): StateWord[] {
    return [this.#before[row - this.unit.first] ?? stateWord.absent(0), ...(this.#since.get(row) ?? [])];
  }

  /** How many free keys a count may show. */
  get keyBounds(): { readonly lower: number; readonly upper: number } {
    return { lower: Math.max(0, this.#lower), upper: this.#upper };
  }

  started(intent: WriteIntent): void {
    this.disturbed = true;
    switch (intent.type) {
      case "put":
      case "remove":
        this.#since.set(intent.row, [...(this.#since.get(intent.row) ?? []), wordOf(intent)]);
        return;
      case "upload":
        this.#upper += intent.rows.length;
        return;
      case "take":
        this.#lower -= 1;
        return;
      default:
        unreachable(intent);
    }
  }
}

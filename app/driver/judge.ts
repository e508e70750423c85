/**
 * Compares what a store or an answer shows of a row with what the model accepts. A verdict is undefined, or a
 * sentence that says what was found and what should have been there.
 */

import type { Row } from "../../actors/records.ts";
import { Expiries } from "./expiry.ts";
import { type Model, type ReadWatch, type StateWord, stateWord } from "./model.ts";
import { decodeOneTimeRow } from "./one_time_rows.ts";
import type { RowNumber, Unit } from "./population.ts";
import { Values } from "./values.ts";

export type Verdict = string | undefined;

/** Clocks of one machine read at different moments: an expiry so near may be seen either way. */
const expirySlackMs = 250;

/** When a read may have seen what it shows, wall-clock ms. */
export interface Window {
  readonly fromMs: number;
  readonly toMs: number;
}

/** What a take's answer means. */
export type TakeVerdict =
  | { readonly upload: number; readonly wrong?: undefined }
  | { readonly wrong: string; readonly upload?: undefined };

export class Judge {
  readonly values: Values;
  readonly expiries: Expiries;
  readonly #model: Model;

  constructor(model: Model) {
    this.#model = model;
    this.values = new Values(model.population.seed);
    this.expiries = new Expiries(model.population.seed, model.clock);
  }

  /** Whether a row as it lies in the authority's store is a state that the model accepts at `nowMs`. */
  stored(unit: Unit, row: RowNumber, stored: Row | undefined, nowMs: number): Verdict {
    const value = stored?.value ?? null;
    if (unit.backend === "public_keys") return this.#storedKey(unit, row, value);
    const words = [this.#model.acknowledged(row), ...this.#model.possible(row, row)];
    for (const word of words) {
      const expiresAtMs = this.expiries.of(unit.backend, stateWord.operation(word));
      if (value === null) {
        if (stateWord.isAbsent(word) || (expiresAtMs > 0 && nowMs >= expiresAtMs - expirySlackMs))
          return undefined;
      } else if (this.#isValueOf(word, unit, row, value) && stored?.expiresAtMs === expiresAtMs) {
        return undefined;
      }
    }
    return `${this.#found(value)}, not ${words.map(describeWord).join(" or ")}`;
  }

  /** Whether a read of a single row (`value` null: not there) shows a state that was acceptable meanwhile. */
  read(watch: ReadWatch, row: RowNumber, value: Uint8Array | null, window: Window): Verdict {
    const words = watch.candidates(row);
    for (const word of words) {
      if (this.#readShows(word, watch.unit, row, value, window)) return undefined;
    }
    return `a read shows ${this.#found(value)}, not ${words.map(describeWord).join(" or ")}`;
  }

  /**
   * The one unknown write of a row, if a read proves that it happened: nothing else explains what it shows.
   */
  settledBy(
    watch: ReadWatch,
    row: RowNumber,
    value: Uint8Array | null,
    window: Window,
  ): StateWord | undefined {
    if (watch.disturbed) return undefined;
    const words = watch.candidates(row);
    if (words.length !== 2) return undefined;
    const shown = words.filter((word) => this.#readShows(word, watch.unit, row, value, window));
    return shown.length === 1 && shown[0] !== words[0] ? shown[0] : undefined;
  }

  /** Whether a take may get this row with these bytes: never what another request holds. */
  take(unit: Unit, row: RowNumber | undefined, request: number, value: Uint8Array): TakeVerdict {
    if (row === undefined) return { wrong: "a take gets a key that was never uploaded" };
    const holder = this.#model.holder(row);
    if (holder !== undefined && holder !== request) {
      return { wrong: `a take gets a key that is held already (request ${request}, holder ${holder})` };
    }
    const uploads = this.#uploadsOf(unit, row);
    const upload = uploads.find((operation) => this.values.matches(value, unit.backend, row, operation));
    if (upload === undefined) return { wrong: `a take shows ${this.#found(value)}, not what was uploaded` };
    return { upload };
  }

  #storedKey(unit: Unit, row: RowNumber, value: Uint8Array | null): Verdict {
    const model = this.#model;
    const word = model.acknowledged(row);
    if (value === null) {
      return stateWord.isAbsent(word) ? undefined : `nothing is there, not ${describeWord(word)}`;
    }
    const key = decodeOneTimeRow(value);
    if (key === undefined) return "bytes that are no one-time key";
    if (
      !this.#uploadsOf(unit, row).some((upload) => this.values.matches(key.bytes, unit.backend, row, upload))
    ) {
      return `${this.#found(key.bytes)}, not ${describeWord(word)}`;
    }
    const holder = model.holder(row);
    if (!key.taken) return holder === undefined ? undefined : `free again, though request ${holder} holds it`;
    const holders = holder === undefined ? model.possibleTakes(unit.user) : [holder];
    return holders.some((request) => requestId(request) === key.requestId)
      ? undefined
      : `taken by ${key.requestId}, not by ${holders.map(requestId).join(" or ") || "anyone"}`;
  }

  /** Operations that may have uploaded what lies in a key's row. */
  #uploadsOf(unit: Unit, row: RowNumber): number[] {
    const word = this.#model.acknowledged(row);
    if (!stateWord.isAbsent(word)) return [stateWord.operation(word)];
    return this.#model.possible(row, unit.first).map(stateWord.operation);
  }

  #readShows(word: StateWord, unit: Unit, row: RowNumber, value: Uint8Array | null, window: Window): boolean {
    const expiresAtMs = this.expiries.of(unit.backend, stateWord.operation(word));
    if (value === null) {
      return stateWord.isAbsent(word) || (expiresAtMs > 0 && window.toMs >= expiresAtMs - expirySlackMs);
    }
    if (expiresAtMs > 0 && window.fromMs > expiresAtMs + expirySlackMs) return false;
    return this.#isValueOf(word, unit, row, value);
  }

  #isValueOf(word: StateWord, unit: Unit, row: RowNumber, value: Uint8Array): boolean {
    return (
      !stateWord.isAbsent(word) && this.values.matches(value, unit.backend, row, stateWord.operation(word))
    );
  }

  #found(value: Uint8Array | null): string {
    if (value === null) return "nothing";
    const origin = this.values.origin(value);
    return origin === undefined
      ? `${value.length} bytes`
      : `the value of operation ${origin.operation} (row ${origin.row}, ${value.length} bytes)`;
  }
}

/** How a request is named to the system. */
export function requestId(request: number): string {
  return `request-${request}`;
}

function describeWord(word: StateWord): string {
  const operation = stateWord.operation(word);
  if (stateWord.isAbsent(word))
    return operation === 0 ? "absent from the start" : `removed by operation ${operation}`;
  return stateWord.isTaken(word) ? `taken, uploaded by ${operation}` : `the value of operation ${operation}`;
}

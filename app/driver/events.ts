/**
 * What the driver knows, as a sequence of events: an intent before its request is sent, its outcome before
 * it is counted. The model is what these events make of it, and the journal is these events on disk, so a
 * recovered model is exact by construction. Here: the events and their bytes. Pure.
 */

import type { RowNumber } from "./population.ts";

/** An operation that writes; `operation` is a number never used before. */
export type WriteIntent =
  | { readonly type: "put" | "remove"; readonly operation: number; readonly row: RowNumber }
  | {
      readonly type: "upload";
      readonly operation: number;
      readonly user: number;
      readonly rows: readonly RowNumber[];
    }
  /** `request` names the request id: the operation that asked first. */
  | { readonly type: "take"; readonly operation: number; readonly user: number; readonly request: number };

export type WriteOutcome =
  | { readonly type: "acknowledged" | "refused"; readonly operation: number }
  /** A take got the key that `upload` had put into `row`. */
  | { readonly type: "taken"; readonly operation: number; readonly row: RowNumber; readonly upload: number }
  /** A write that starts after `settledAtMs` (ms since 1970) and is acknowledged supersedes this one. */
  | { readonly type: "unknown"; readonly operation: number; readonly settledAtMs: number };

export type DriverEvent =
  | WriteIntent
  | WriteOutcome
  /** Operations from this one on began at `nowMs` or later. */
  | { readonly type: "tick"; readonly operation: number; readonly nowMs: number }
  /** A read showed an unknown write's state: it happened. */
  | {
      readonly type: "settled";
      readonly row: RowNumber;
      readonly operation: number;
      readonly removes: boolean;
    }
  /** A new process serves: what the old one had not admitted never will be. */
  | { readonly type: "incarnation" }
  /** The driver itself started again: what was in flight is unknown. */
  | { readonly type: "restart"; readonly settledAtMs: number };

/** The first byte of each event on disk. Never renumbered. */
const tags = {
  put: 1,
  remove: 2,
  upload: 3,
  take: 4,
  acknowledged: 5,
  refused: 6,
  taken: 7,
  unknown: 8,
  tick: 9,
  settled: 10,
  incarnation: 11,
  restart: 12,
} as const;

const uploadRowsMax = 255;

/** Bytes that `writeEvent` needs at most. */
export const eventBytesMax = 10 + 4 * uploadRowsMax;

/** Writes an event at `at` and returns where it ends; `eventBytesMax` bytes must be free there. */
export function writeEvent(event: DriverEvent, into: Buffer, at: number): number {
  let end = into.writeUInt8(tags[event.type], at);
  switch (event.type) {
    case "put":
    case "remove":
      end = into.writeUInt32LE(event.operation, end);
      return into.writeUInt32LE(event.row, end);
    case "upload":
      end = into.writeUInt32LE(event.operation, end);
      end = into.writeUInt32LE(event.user, end);
      end = into.writeUInt8(event.rows.length, end);
      for (const row of event.rows) end = into.writeUInt32LE(row, end);
      return end;
    case "take":
      end = into.writeUInt32LE(event.operation, end);
      end = into.writeUInt32LE(event.user, end);
      return into.writeUInt32LE(event.request, end);
    case "acknowledged":
    case "refused":
      return into.writeUInt32LE(event.operation, end);
    case "taken":
      end = into.writeUInt32LE(event.operation, end);
      end = into.writeUInt32LE(event.row, end);
      return into.writeUInt32LE(event.upload, end);
    case "unknown":
      end = into.writeUInt32LE(event.operation, end);
      return into.writeDoubleLE(event.settledAtMs, end);
    case "tick":
      end = into.writeUInt32LE(event.operation, end);
      return into.writeDoubleLE(event.nowMs, end);
    case "settled":
      end = into.writeUInt32LE(event.row, end);
      end = into.writeUInt32LE(event.operation, end);
      return into.writeUInt8(event.removes ? 1 : 0, end);
    case "incarnation":
      return end;
    case "restart":
      return into.writeDoubleLE(event.settledAtMs, end);
  }
}

/** All events of a whole block of the journal, in order. Throws RangeError where the bytes are no events. */
export function* readEvents(block: Buffer): Generator<DriverEvent> {
  const cursor = new Cursor(block);
  while (!cursor.atEnd) yield readEvent(cursor);
}

/** Reads numbers one after the other. */
class Cursor {
  readonly #block: Buffer;
  #at = 0;

  constructor(block: Buffer) {
    this.#block = block;
  }

  get atEnd(): boolean {
    return this.#at >= this.#block.length;
  }

  u8(): number {
    this.#at += 1;
    return this.#block.readUInt8(this.#at - 1);
  }

  u32(): number {
    this.#at += 4;
    return this.#block.readUInt32LE(this.#at - 4);
  }

  f64(): number {
    this.#at += 8;
    return this.#block.readDoubleLE(this.#at - 8);
  }
}

/** Fields stand in the order in which `writeEvent` writes them: object literals evaluate in source order. */
function readEvent(from: Cursor): DriverEvent {
  const tag = from.u8();
  switch (tag) {
    case tags.put:
      return { type: "put", operation: from.u32(), row: from.u32() };
    case tags.remove:
      return { type: "remove", operation: from.u32(), row: from.u32() };
    case tags.upload: {
      const [operation, user, count] = [from.u32(), from.u32(), from.u8()];
      return { type: "upload", operation, user, rows: Array.from({ length: count }, () => from.u32()) };
    }
    case tags.take:
      return { type: "take", operation: from.u32(), user: from.u32(), request: from.u32() };
    case tags.acknowledged:
      return { type: "acknowledged", operation: from.u32() };
    case tags.refused:
      return { type: "refused", operation: from.u32() };
    case tags.taken:
      return { type: "taken", operation: from.u32(), row: from.u32(), upload: from.u32() };
    case tags.unknown:
      return { type: "unknown", operation: from.u32(), settledAtMs: from.f64() };
    case tags.tick:
      return { type: "tick", operation: from.u32(), nowMs: from.f64() };
    case tags.settled:
      return { type: "settled", row: from.u32(), operation: from.u32(), removes: from.u8() === 1 };
    case tags.incarnation:
      return { type: "incarnation" };
    case tags.restart:
      return { type: "restart", settledAtMs: from.f64() };
    default:
      throw new RangeError(`no event begins with ${tag}`);
  }
}

/**
 * The ring of src/platform/ring.ts under the model checker: a memory of a few words, each accessed by a step of its
 * own, and what the two ends of a channel do with the ring (src/platform/channel.ts), as programs. Records are known
 * by their number, so what is lost, doubled, out of order or torn is seen.
 */

import { type Cell, cells, type RingMemory, RingReader, RingWriter } from "../../src/platform/ring.ts";
import {
  type Access,
  type Model,
  type Program,
  reader as readerId,
  type Shared,
  type ThreadId,
  writer as writerId,
} from "./explore.ts";

export interface RingModel {
  readonly words: number;
  /** How many words each record has. */
  readonly records: readonly number[];
  /** What the counters of words begin with. */
  readonly start?: number;
  readonly deaths?: readonly ThreadId[];
  /** Asks whether to ring after each record, or after all that found room. */
  readonly wakes: "each" | "all";
  /** Accesses that nothing orders are no fault by themselves: only what they do. */
  readonly overlooksRaces?: boolean;
  readonly Writer?: typeof RingWriter<number>;
  readonly Reader?: typeof RingReader<readonly number[]>;
}

/** A record's words: its first has its length as well. */
const lengthUnit = 1_000;

function wordOf(record: number, index: number, words: number): number {
  return (index === 0 ? words * lengthUnit : 0) + record * 10 + index;
}

class ModelMemory implements RingMemory<number, readonly number[]> {
  readonly words: number;
  readonly #thread: ThreadId;
  readonly #access: Access;
  readonly #all: number;
  readonly #overlooksRaces: boolean;

  constructor(thread: ThreadId, access: Access, { words, overlooksRaces = false }: RingModel) {
    this.words = words;
    this.#overlooksRaces = overlooksRaces;
    this.#thread = thread;
    this.#access = access;
    this.#all = 2 ** words - 1;
  }

  load(cell: Cell): number {
    return this.#access.step(`load ${nameOf(cell)}`, (shared) => this.#load(shared, cell));
  }

  store(cell: Cell, value: number): void {
    this.#access.step(`store ${nameOf(cell)} ${value}`, (shared) => this.#store(shared, cell, value));
  }

  exchange(cell: Cell, value: number): number {
    return this.#access.step(`exchange ${nameOf(cell)} ${value}`, (shared) => {
      const before = this.#load(shared, cell);
      this.#store(shared, cell, value);
      return before;
    });
  }

  fill(place: number, words: number, record: number): void {
    for (let index = 0; index < words; index++) this.#write(place + index, wordOf(record, index, words));
  }

  skip(place: number): void {
    this.#write(place, 0);
  }

  size(place: number): number {
    return Math.floor(this.#read(place) / lengthUnit);
  }

  take(place: number, words: number): readonly number[] {
    return Array.from({ length: words }, (_, index) => this.#read(place + index));
  }

  bell(): void {
    this.#access.step("bell", ({ bells }) => {
      bells[1 - this.#thread] = (bells[1 - this.#thread] ?? 0) + 1;
    });
  }

  hear(): void {
    this.#access.step("hears a bell", ({ bells }) => {
      bells[this.#thread] = 0;
    });
  }

  #load(shared: Shared, cell: Cell): number {
    const other = 1 - this.#thread;
    shared.known[this.#thread] = (shared.known[this.#thread] ?? 0) | (shared.released[cell * 2 + other] ?? 0);
    return shared.cells[cell] ?? 0;
  }

  #store(shared: Shared, cell: Cell, value: number): void {
    shared.cells[cell] = value;
    if (cell === cells.head) shared.published++;
    shared.released[cell * 2 + this.#thread] = this.#all;
    shared.released[cell * 2 + 1 - this.#thread] = shared.known[this.#thread] ?? 0;
  }

  #read(place: number): number {
    return this.#access.step(`read word ${place}`, (shared) => {
      this.#plain(shared, place);
      return shared.words[place] ?? 0;
    });
  }

  #write(place: number, value: number): void {
    this.#access.step(`write word ${place}`, (shared) => {
      this.#plain(shared, place);
      shared.words[place] = value;
    });
  }

  /** Each word is written by one thread and read by the other: any two accesses of both must be ordered. */
  #plain(shared: Shared, place: number): void {
    const bit = 1 << place;
    const isOrdered = ((shared.known[this.#thread] ?? 0) & bit) !== 0;
    if (!isOrdered && !this.#overlooksRaces) throw new Error(`a race for word ${place}`);
    shared.known[1 - this.#thread] = (shared.known[1 - this.#thread] ?? 0) & ~bit;
    for (let cell = 0; cell < shared.cells.length; cell++) {
      shared.released[cell * 2 + this.#thread] = (shared.released[cell * 2 + this.#thread] ?? 0) & ~bit;
    }
  }
}

function nameOf(cell: Cell): string {
  return Object.keys(cells)[cell] ?? "";
}

interface WriterLocal {
  readonly ring: { head: number; tail: number };
  written: number;
  stage: "write" | "ask" | "wait";
  /** There was no room. */
  isFull: boolean;
}

function writerProgram(model: RingModel): Program<WriterLocal> {
  const { records, start = 0, wakes, Writer = RingWriter<number> } = model;
  return {
    start: { ring: { head: start, tail: start }, written: 0, stage: "write", isFull: false },
    clone: (local) => ({ ...local, ring: { ...local.ring } }),
    isReady: ({ written, stage }, { bells, isAlive }) => {
      if (isAlive[readerId] === false) return false;
      if (stage === "wait") return (bells[writerId] ?? 0) > 0;
      return stage === "ask" || written < records.length;
    },
    run: (local, access) => {
      const memory = new ModelMemory(writerId, access, model);
      const ring = new Writer(memory, local.ring);
      switch (local.stage) {
        case "write":
          local.isFull = !ring.write(local.written, records[local.written] ?? 1);
          if (!local.isFull) local.written++;
          if (local.isFull || wakes === "each" || local.written === records.length) local.stage = "ask";
          return;
        case "ask":
          if (ring.wakes()) memory.bell();
          local.stage = local.isFull ? "wait" : "write";
          return;
        case "wait":
          memory.hear();
          local.stage = "write";
      }
    },
  };
}

interface ReaderLocal {
  readonly ring: { tail: number; head: number; freed: number };
  taken: number;
  stage: "look" | "ask" | "sleep" | "asleep" | "end";
}

function readerProgram(model: RingModel): Program<ReaderLocal> {
  const { records, start = 0, Reader = RingReader<readonly number[]> } = model;
  return {
    start: { ring: { tail: start, head: start, freed: 0 }, taken: 0, stage: "sleep" },
    clone: (local) => ({ ...local, ring: { ...local.ring } }),
    isReady: ({ stage }, { bells, isAlive }) => {
      if (stage === "end") return false;
      return stage !== "asleep" || (bells[readerId] ?? 0) > 0 || isAlive[writerId] === false;
    },
    run: (local, access) => {
      const memory = new ModelMemory(readerId, access, model);
      const ring = new Reader(memory, local.ring);
      switch (local.stage) {
        case "look": {
          const record = ring.read();
          if (record !== undefined) check(record, local.taken++, records);
          local.stage = record === undefined ? "sleep" : "ask";
          return;
        }
        case "ask":
          if (ring.wakes()) memory.bell();
          local.stage = "look";
          return;
        case "sleep":
          local.stage = ring.sleep() ? "asleep" : "look";
          return;
        case "asleep":
          // The port closes after the writer's last access: what is dry then stays dry.
          if (access.step("sees the end", ({ isAlive }) => isAlive[writerId] === false))
            drain(local, ring, records);
          else {
            memory.hear();
            local.stage = "look";
          }
          return;
        case "end":
      }
    },
  };
}

function drain(local: ReaderLocal, ring: RingReader<readonly number[]>, records: readonly number[]): void {
  for (let record = ring.read(); record !== undefined; record = ring.read()) {
    check(record, local.taken++, records);
  }
  local.stage = "end";
}

function check(record: readonly number[], expected: number, records: readonly number[]): void {
  const words = records[expected] ?? 0;
  const whole = Array.from({ length: words }, (_, index) => wordOf(expected, index, words));
  if (JSON.stringify(record) !== JSON.stringify(whole)) {
    throw new Error(`record ${expected} is torn: ${JSON.stringify(record)}`);
  }
}

export function ringModel(model: RingModel): Model<WriterLocal, ReaderLocal> {
  const { words, records, start = 0, deaths = [] } = model;
  const all = 2 ** words - 1;
  return {
    shared: {
      cells: [start, start, 0, 0, 0],
      words: new Array<number>(words).fill(0),
      bells: [0, 0],
      isAlive: [true, true],
      published: 0,
      known: [all, all],
      released: new Array<number>(2 * Object.keys(cells).length).fill(0),
    },
    writer: writerProgram(model),
    reader: readerProgram(model),
    deaths,
    faultAtEnd: ({ isAlive, published }, writer, reader) => {
      if (isAlive[readerId] === false) return undefined;
      if (isAlive[writerId] === true && writer.written < records.length) {
        return `the writer waits for ever: ${writer.written} of ${records.length} records are written`;
      }
      if (reader.taken === published) return undefined;
      return `the reader sleeps for ever: it took ${reader.taken} of ${published} records`;
    },
  };
}

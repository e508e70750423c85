/**
 * The ring between two threads (src/platform/ring.ts) in every order of its accesses: the production classes under the
 * model checker. Each fault that the ring is built against is planted, and must be found by the shortest way there is.
 */

import { describe, expect, test } from "vitest";
import {
  cells,
  type ReaderState,
  type RingMemory,
  RingReader,
  RingWriter,
  type WriterState,
} from "../../src/platform/ring.ts";
import { explore, reader, writer } from "./explore.ts";
import { type RingModel, ringModel } from "./ring_model.ts";

type Record = readonly number[];

/** Does not look again after it said that it sleeps. */
class SleepsWithoutLooking extends RingReader<Record> {
  override sleep(): boolean {
    this.memory.store(cells.readerSleeps, 1);
    return true;
  }
}

/** Frees a record's place before it has copied it. */
class FreesFirst extends RingReader<Record> {
  protected override copy(place: number, words: number, tail: number): Record {
    this.free(tail);
    return this.memory.take(place, words);
  }
}

/** Looks for a writer that waits when a quarter is free, but not when all is taken. */
class ForgetsTheLastQuarter extends RingReader<Record> {
  readonly #own: ReaderState;
  constructor(memory: RingMemory<never, Record>, state: ReaderState) {
    super(memory, state);
    this.#own = state;
  }
  override wakes(): boolean {
    return this.#own.freed * 4 >= this.memory.words && super.wakes();
  }
}

/** Publishes a record before it is written. */
class PublishesFirst extends RingWriter<number> {
  protected override record(place: number, words: number, outgoing: number, head: number): void {
    this.publish(head);
    this.memory.fill(place, words, outgoing);
  }
}

/** Says that it waits, and does not look whether there is room by now. */
class WaitsWithoutLooking extends RingWriter<number> {
  override awaitTaken(): number {
    this.memory.store(cells.writerWaits, 1);
    return 0;
  }
}

/** Looks whether the reader sleeps before it publishes. */
class LooksFirst extends RingWriter<number> {
  /** In the state, which outlives this object in the checker. */
  readonly #own: WriterState & { sawItAsleep?: boolean };
  constructor(memory: RingMemory<number, unknown>, state: WriterState) {
    super(memory, state);
    this.#own = state;
  }
  protected override publish(head: number): void {
    this.#own.sawItAsleep = super.wakes();
    super.publish(head);
  }
  override wakes(): boolean {
    return this.#own.sawItAsleep === true;
  }
}

/** Four words: a record of two is the largest, and every second one begins behind a skip. */
const small = { words: 4, records: [1, 2, 2, 1], wakes: "each" } as const;

describe("in every order of the accesses of a writer and a reader", () => {
  test.each<[string, RingModel]>([
    ["a bell for each record", small],
    ["one bell for all that found room", { words: 4, records: [2, 2, 1, 2], wakes: "all" }],
    ["a ring of eight words, four records at a time", { words: 8, records: [4, 1, 3, 2], wakes: "all" }],
    ["counters that pass 2^31", { ...small, start: 2 ** 31 - 2 }],
    ["counters that pass 2^32", { ...small, start: -2 }],
  ])("nothing is lost, torn or asleep for ever: %s", (_, model) => {
    const found = explore(ringModel(model));
    expect(found).toMatchObject({ fault: undefined, trace: [] });
    // A program that did nothing would be without fault too.
    expect(found.states).toBeGreaterThan(5_000);
    expect(found.ends).toBeGreaterThan(1);
  });

  test("either may die at any step: what was published arrives, and nobody waits for the dead", () => {
    const found = explore(ringModel({ ...small, records: [2, 1, 2], deaths: [writer, reader] }));
    expect(found).toMatchObject({ fault: undefined, trace: [] });
    expect(found.ends).toBeGreaterThan(1_000);
  });
});

/** Whether a fault was found, and in how many steps: with fewer there is none. */
describe("the model checker finds", () => {
  const two = { ...small, records: [1, 1] };
  // The last record needs the place of all others, and the two before it are less than a quarter.
  const large = { words: 16, records: [6, 2, 1, 8], wakes: "each" } as const;
  test.each<[string, RingModel, string, number]>([
    [
      "a reader that sleeps without looking again",
      { ...two, Reader: SleepsWithoutLooking },
      "the reader sleeps for ever",
      7,
    ],
    [
      "a writer that looks for a sleeper too early",
      { ...two, Writer: LooksFirst },
      "the reader sleeps for ever",
      18,
    ],
    [
      "a writer that waits without looking again",
      { ...small, Writer: WaitsWithoutLooking },
      "the writer waits for ever",
      25,
    ],
    [
      "a reader that forgets a waiting writer",
      { ...large, Reader: ForgetsTheLastQuarter },
      "the writer waits for ever",
      43,
    ],
    [
      "a record that is published before it is written",
      { ...small, Writer: PublishesFirst },
      "a race for word",
      6,
    ],
    ["a place that is freed before it is copied", { ...small, Reader: FreesFirst }, "a race for word", 21],
  ])("%s", (_, model, fault, steps) => {
    const found = explore(ringModel(model));
    expect(found.fault).toContain(fault);
    expect(found.trace).toHaveLength(steps);
  });

  test("a torn record even where it is told to overlook the race", () => {
    const found = explore(ringModel({ ...small, Reader: FreesFirst, overlooksRaces: true }));
    expect(found.fault).toContain("is torn");
    expect(found.trace).toHaveLength(22);
  });
});

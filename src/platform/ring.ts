/**
 * A ring of records in memory that two threads share: one writes, one reads, neither ever blocks. This file is the
 * protocol and nothing else. What it does to the memory goes through `RingMemory`, so that the model checker
 * (test/race) runs these very functions, and stops either side before each access; in production V8 inlines them.
 *
 * Records lie whole, one behind the other; one that does not fit before the end begins at the start, behind a skip.
 * `head` and `tail` count words (8 bytes) for ever, modulo 2^32: their difference is what is in use.
 *
 * Always true: a record is read only after `head` was published behind it, and its place is written again only after
 * `tail` was published behind it. Whoever is about to wait says so first and looks again then; whoever gives the other
 * something to do publishes first and looks then whether the other waits. So one of both sees the other: no wake-up is
 * lost. A thread that dies leaves what it had published.
 */

import { assert } from "../base/assert.ts";

/** What both threads see beside the records; accessed atomically. */
export const cells = {
  /** Words that were written: the writer's. */
  head: 0,
  /** Words that were taken: the reader's. */
  tail: 1,
  /** 1: the reader looks no more until it gets a bell. Whoever sets it back owes the bell. */
  readerSleeps: 2,
  /** 1: the writer waits for room, and wants a bell. */
  writerWaits: 3,
  /**
   * 1: the writer, when it has nothing to read itself, looks again instead of sleeping. A hint; nothing rests on it.
   */
  writerLooks: 4,
} as const;

export type Cell = (typeof cells)[keyof typeof cells];

/** Cells are accessed atomically; records are not. */
export interface RingMemory<Outgoing, Incoming> {
  /** Its size: a power of two, at most 2^30. */
  readonly words: number;
  load(cell: Cell): number;
  store(cell: Cell, value: number): void;
  /** Stores a value and returns the one before. */
  exchange(cell: Cell, value: number): number;
  /** Writes a record of so many words. */
  fill(place: number, words: number, outgoing: Outgoing): void;
  /** Says that the next record is at the start. */
  skip(place: number): void;
  /** How many words the record has; 0 for a skip. */
  size(place: number): number;
  /** Copies a record out: what it returns has nothing to do with the ring any more. */
  take(place: number, words: number): Incoming;
}

/** The largest record that an empty ring holds, wherever its head is. */
export function recordWordsMax(ringWords: number): number {
  return ringWords / 2;
}

/** What a writer remembers: its head, and the reader's tail as it was last seen. */
export interface WriterState {
  head: number;
  tail: number;
}

export class RingWriter<Outgoing> {
  protected readonly memory: RingMemory<Outgoing, unknown>;
  readonly #state: WriterState;

  constructor(memory: RingMemory<Outgoing, unknown>, state: WriterState = { head: 0, tail: 0 }) {
    this.memory = memory;
    this.#state = state;
  }

  /** Where the next record begins. */
  get head(): number {
    return this.#state.head;
  }

  /** Writes a record of so many words. False if there is no room: then a bell comes when there is. */
  write(outgoing: Outgoing, words: number): boolean {
    assert(words >= 1 && words <= recordWordsMax(this.memory.words), "a record fits an empty ring");
    if (!this.hasRoom(words)) return false;
    const { head } = this.#state;
    const place = head & (this.memory.words - 1);
    const skipped = this.#skipped(words);
    if (skipped > 0) this.memory.skip(place);
    this.record(skipped > 0 ? 0 : place, words, outgoing, (head + skipped + words) | 0);
    return true;
  }

  /** Whether a record of so many words could be written. If not, a bell comes when there is room. */
  hasRoom(words: number): boolean {
    if (this.#fits(words)) return true;
    this.taken();
    if (this.#fits(words)) return true;
    this.awaitTaken();
    return this.#fits(words);
  }

  /** To be asked after writing: the reader sleeps, and this writer must ring its bell. */
  wakes(): boolean {
    const { memory } = this;
    return memory.load(cells.readerSleeps) === 1 && memory.exchange(cells.readerSleeps, 0) === 1;
  }

  /** Asks for a bell when the reader has taken more, and says up to where it has by now. */
  awaitTaken(): number {
    this.memory.store(cells.writerWaits, 1);
    return this.taken();
  }

  /** Up to where the reader has taken what was written. */
  taken(): number {
    this.#state.tail = this.memory.load(cells.tail);
    return this.#state.tail;
  }

  get readerSleeps(): boolean {
    return this.memory.load(cells.readerSleeps) === 1;
  }

  set looks(looks: boolean) {
    this.memory.store(cells.writerLooks, looks ? 1 : 0);
  }

  protected record(place: number, words: number, outgoing: Outgoing, head: number): void {
    this.memory.fill(place, words, outgoing);
    this.publish(head);
  }

  protected publish(head: number): void {
    this.#state.head = head;
    this.memory.store(cells.head, head);
  }

  #skipped(words: number): number {
    const left = this.memory.words - (this.#state.head & (this.memory.words - 1));
    return left < words ? left : 0;
  }

  #fits(words: number): boolean {
    const { head, tail } = this.#state;
    return ((head - tail) | 0) + this.#skipped(words) + words <= this.memory.words;
  }
}

/**
 * What a reader remembers: its tail, the writer's head as it was last seen, words taken since it looked for a waiter.
 */
export interface ReaderState {
  tail: number;
  head: number;
  freed: number;
}

export class RingReader<Incoming> {
  protected readonly memory: RingMemory<never, Incoming>;
  readonly #state: ReaderState;

  constructor(memory: RingMemory<never, Incoming>, state: ReaderState = { tail: 0, head: 0, freed: 0 }) {
    this.memory = memory;
    this.#state = state;
  }

  /** The next record, copied out; undefined if there is none. */
  read(): Incoming | undefined {
    const { memory } = this;
    const state = this.#state;
    if (state.head === state.tail && !this.hasMore()) return undefined;
    let place = state.tail & (memory.words - 1);
    let words = memory.size(place);
    const skipped = words === 0 ? memory.words - place : 0;
    if (skipped > 0) {
      place = 0;
      words = memory.size(0);
    }
    assert(words >= 1 && words <= recordWordsMax(memory.words), "a record that was published is whole");
    state.freed += skipped + words;
    return this.copy(place, words, (state.tail + skipped + words) | 0);
  }

  /** Looks whether something came. */
  hasMore(): boolean {
    this.#state.head = this.memory.load(cells.head);
    return this.#state.head !== this.#state.tail;
  }

  get writerLooks(): boolean {
    return this.memory.load(cells.writerLooks) === 1;
  }

  /**
   * To be asked after each record: the writer waits for room, and this reader must ring its bell. Not at each record
   * that is taken: a bell costs more than a record. It looks when all is taken that it knows of, so a writer that
   * waits is never forgotten.
   */
  wakes(): boolean {
    const { memory } = this;
    const state = this.#state;
    if (state.freed * 4 < memory.words && state.tail !== state.head) return false;
    state.freed = 0;
    return memory.load(cells.writerWaits) === 1 && memory.exchange(cells.writerWaits, 0) === 1;
  }

  /** From now on the writer rings. False if something came meanwhile: then it does not. */
  sleep(): boolean {
    this.memory.store(cells.readerSleeps, 1);
    if (!this.hasMore()) return true;
    this.memory.store(cells.readerSleeps, 0);
    return false;
  }

  protected copy(place: number, words: number, tail: number): Incoming {
    const incoming = this.memory.take(place, words);
    this.free(tail);
    return incoming;
  }

  protected free(tail: number): void {
    this.#state.tail = tail;
    this.memory.store(cells.tail, tail);
  }
}

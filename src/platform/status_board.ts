/**
 * The status board: shared memory in which each thread shows what it does, readable by all others while it is blocked.
 *
 * State, for each thread: its life, the turn under way, a beat that its event loop makes, the asynchronous handlers
 * that are pending, the names of its handlers, and the last word of a life that ended. Each part has one writer, its
 * thread; only the last word may be the main thread's.
 *
 * A turn is shown by plain stores: a fence would cost as much as the rest of the mark. So a reader may see one turn's
 * number with another's handler; it reads twice and takes what stood still.
 */

import { watchLimits } from "../base/limits.ts";
import type { HandlerKind, StatusBoard, TurnMarks } from "../seams/status_board.ts";

/** Places of a thread's words, 4 bytes each. `runMs` is two of them, for it is a float. */
const place = {
  incarnation: 0,
  threadId: 1,
  beat: 2,
  turn: 3,
  process: 4,
  handler: 5,
  runMs: 6,
  names: 8,
  claimed: 9,
  endedIncarnation: 10,
  endedBytes: 11,
  pending: 12,
} as const;

const { boardNames, boardNameBytes, boardPending, endWordBytes } = watchLimits;
const wordBytes = 4 * (place.pending + 2 * boardPending);
const endAt = wordBytes;
const namesAt = endAt + endWordBytes;
/** A multiple of 8, for the float. */
const threadBytes = Math.ceil((namesAt + boardNames * boardNameBytes) / 8) * 8;

export interface HandlerName {
  readonly definition: string;
  readonly kind: string;
  readonly method: string;
}

/** A handler under way in a process; `process` is its id on its thread. */
export interface ShownTurn extends HandlerName {
  readonly process: number;
}

export interface Shown {
  readonly incarnation: number;
  /** Node's number for the thread's life. */
  readonly threadId: number;
  readonly beat: number;
  /** Turns so far, modulo 2^32. */
  readonly turn: number;
  /** Undefined between two turns. */
  readonly now: ShownTurn | undefined;
  /** Wall-clock ms: the run of turns that `now` belongs to began. */
  readonly runMs: number;
  readonly pending: readonly ShownTurn[];
}

interface Slot {
  readonly words: Int32Array;
  readonly runMs: Float64Array;
  readonly bytes: Uint8Array;
}

/** Memory for a main thread (0) and `threads` workers. */
export function boardMemory(threads: number): SharedArrayBuffer {
  return new SharedArrayBuffer((threads + 1) * threadBytes);
}

function slotOf(memory: SharedArrayBuffer, thread: number): Slot {
  const at = thread * threadBytes;
  return {
    words: new Int32Array(memory, at, wordBytes / 4),
    runMs: new Float64Array(memory, at + 4 * place.runMs, 1),
    bytes: new Uint8Array(memory, at, threadBytes),
  };
}

// --- writing -----------------------------------------------------------------------------------------------------

/** A thread's own part, for one life. */
export class ThreadBoard implements StatusBoard {
  readonly #slot: Slot;
  readonly #incarnation: number;
  readonly #definitions = new Map<string, Marks>();

  constructor(
    memory: SharedArrayBuffer,
    { thread, incarnation, threadId }: { thread: number; incarnation: number; threadId: number },
  ) {
    this.#slot = slotOf(memory, thread);
    this.#incarnation = incarnation;
    const { words } = this.#slot;
    // What an earlier life showed is gone but for its last word.
    words.fill(0, place.threadId, place.endedIncarnation);
    words.fill(0, place.pending);
    words[place.threadId] = threadId;
    words[place.beat] = 1;
    Atomics.store(words, place.incarnation, incarnation);
  }

  running(nowMs: number): void {
    this.#slot.runMs[0] = nowMs;
  }

  idle(): void {
    this.#slot.words[place.process] = 0;
  }

  of(definition: string): TurnMarks {
    let marks = this.#definitions.get(definition);
    if (marks === undefined) {
      marks = new Marks(definition, this.#slot);
      this.#definitions.set(definition, marks);
    }
    return marks;
  }

  /** The event loop turns. */
  beat(): void {
    Atomics.add(this.#slot.words, place.beat, 1);
  }

  /** The last word of this life; one that was left before stands. */
  endsWith(reason: string): void {
    writeEnd(this.#slot, this.#incarnation, reason);
  }
}

/** Shows the turns of one definition's processes. */
class Marks implements TurnMarks {
  readonly #definition: string;
  readonly #slot: Slot;
  readonly #words: Int32Array;
  readonly #handlers = new Map<string, Map<string, number>>();
  /** The latest: most processes get the same message again and again. */
  #kind = "";
  #method = "";
  #handler = 0;

  constructor(definition: string, slot: Slot) {
    this.#definition = definition;
    this.#slot = slot;
    this.#words = slot.words;
  }

  begin(process: number, kind: string, method: string): void {
    if (kind !== this.#kind || method !== this.#method) this.#find(kind, method);
    const words = this.#words;
    words[place.turn] = ((words[place.turn] as number) + 1) | 0;
    words[place.handler] = this.#handler;
    words[place.process] = process;
  }

  enter(process: number, kind: HandlerKind): number {
    const words = this.#words;
    const entered = (words[place.process] as number) * (boardNames + 1) + (words[place.handler] as number);
    this.begin(process, kind, "");
    return entered;
  }

  leave(entered: number): void {
    this.#words[place.handler] = entered % (boardNames + 1);
    this.#words[place.process] = Math.floor(entered / (boardNames + 1));
  }

  awaits(): void {
    const at = this.#pendingOf(0);
    if (at === undefined) return;
    this.#words[at + 1] = this.#words[place.handler] as number;
    this.#words[at] = this.#words[place.process] as number;
  }

  settled(process: number): void {
    const at = this.#pendingOf(process);
    if (at !== undefined) this.#words[at] = 0;
  }

  /** Where the board shows what a process awaits; of process 0: where there is room. */
  #pendingOf(process: number): number | undefined {
    const end = place.pending + 2 * boardPending;
    for (let at: number = place.pending; at < end; at += 2) if (this.#words[at] === process) return at;
    return undefined;
  }

  #find(kind: string, method: string): void {
    let methods = this.#handlers.get(kind);
    if (methods === undefined) {
      methods = new Map();
      this.#handlers.set(kind, methods);
    }
    let handler = methods.get(method);
    if (handler === undefined) {
      handler = this.#writeName(`${this.#definition} ${kind} ${method}`);
      // A name of the caller's choice that no handler has must not be remembered for ever.
      if (handler !== 0) methods.set(method, handler);
    }
    this.#kind = kind;
    this.#method = method;
    this.#handler = handler;
  }

  /** Names are only ever added: a reader that sees the count sees them. 0: there is no room. */
  #writeName(name: string): number {
    const { words, bytes } = this.#slot;
    const index = words[place.names] as number;
    if (index === boardNames) return 0;
    const at = namesAt + index * boardNameBytes;
    const text = cut(name, boardNameBytes - 1);
    bytes[at] = text.length;
    bytes.set(text, at + 1);
    Atomics.store(words, place.names, index + 1);
    return index + 1;
  }
}

function writeEnd({ words, bytes }: Slot, incarnation: number, reason: string): void {
  if (Atomics.load(words, place.endedIncarnation) >= incarnation) return;
  const text = cut(reason, endWordBytes);
  bytes.set(text, endAt);
  words[place.endedBytes] = text.length;
  Atomics.store(words, place.endedIncarnation, incarnation);
}

/** UTF-8, cut between two characters. */
function cut(text: string, bytesMax: number): Uint8Array {
  const whole = new TextEncoder().encode(text);
  if (whole.length <= bytesMax) return whole;
  let end = bytesMax;
  while (end > 0 && ((whole[end] as number) & 0xc0) === 0x80) end--;
  return whole.subarray(0, end);
}

// --- reading -----------------------------------------------------------------------------------------------------

/** What all threads show, for any of them. */
export class BoardReader {
  readonly #slots: readonly Slot[];

  constructor(memory: SharedArrayBuffer) {
    const threads = memory.byteLength / threadBytes;
    this.#slots = Array.from({ length: threads }, (_, thread) => slotOf(memory, thread));
  }

  read(thread: number): Shown {
    const slot = this.#slot(thread);
    const { words } = slot;
    let shown = readOnce(slot);
    // A thread that turns faster than it is read is not the one that is looked for.
    for (let tries = 0; tries < 3 && shown.turn !== Atomics.load(words, place.turn); tries++)
      shown = readOnce(slot);
    return shown;
  }

  /** The last word of a thread's life; undefined if there is none (yet). */
  endOf(thread: number, incarnation: number): string | undefined {
    const { words, bytes } = this.#slot(thread);
    if (Atomics.load(words, place.endedIncarnation) !== incarnation) return undefined;
    return textAt(bytes, endAt, words[place.endedBytes] as number);
  }

  /** For a thread that could not say why it ended. A word that was left before stands. */
  setEnd(thread: number, incarnation: number, reason: string): void {
    writeEnd(this.#slot(thread), incarnation, reason);
  }

  /** True for one thread only of those that see that beat: it tells of it. */
  claim(thread: number, beat: number): boolean {
    const { words } = this.#slot(thread);
    const before = Atomics.load(words, place.claimed);
    return before !== beat && Atomics.compareExchange(words, place.claimed, before, beat) === before;
  }

  #slot(thread: number): Slot {
    const slot = this.#slots[thread];
    if (slot === undefined) throw new RangeError(`there is no thread ${thread} on the board`);
    return slot;
  }
}

function readOnce(slot: Slot): Shown {
  const { words, runMs } = slot;
  const turn = Atomics.load(words, place.turn);
  const pending: ShownTurn[] = [];
  for (let index = 0; index < boardPending; index++) {
    const at = place.pending + 2 * index;
    const shown = turnOf(slot, words[at] as number, words[at + 1] as number);
    if (shown !== undefined) pending.push(shown);
  }
  return {
    incarnation: Atomics.load(words, place.incarnation),
    threadId: words[place.threadId] as number,
    beat: Atomics.load(words, place.beat),
    turn,
    now: turnOf(slot, words[place.process] as number, words[place.handler] as number),
    runMs: runMs[0] as number,
    pending,
  };
}

function turnOf(slot: Slot, process: number, handler: number): ShownTurn | undefined {
  if (process === 0) return undefined;
  if (handler === 0 || handler > Atomics.load(slot.words, place.names))
    return { process, definition: "?", kind: "?", method: "" };
  const at = namesAt + (handler - 1) * boardNameBytes;
  const [definition = "?", kind = "?", ...method] = textAt(
    slot.bytes,
    at + 1,
    slot.bytes[at] as number,
  ).split(" ");
  return { process, definition, kind, method: method.join(" ") };
}

/** A copy: text can't be decoded in shared memory. */
function textAt(bytes: Uint8Array, at: number, length: number): string {
  return new TextDecoder().decode(bytes.slice(at, at + length));
}

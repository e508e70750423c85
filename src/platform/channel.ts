/**
 * One end of the direct way between two threads: a ring of columns for each direction (ring.ts), and a MessagePort for
 * what a ring can't do: it hands over the ring itself before the first batch, carries bells to an end that sleeps and
 * batches that are too large for the ring, and says that the other end is gone.
 *
 * State: what this turn has posted; batches that wait for room; what is on its way, not yet taken by the other end.
 *
 * Always true: order is that of `post`. A batch at the port has its place in the ring: it is posted before that place
 * is published, so the reader finds it in the port when it comes there. Only what `close` could not fit in comes
 * without a place, behind all that the ring holds. At most one window and one batch are on their way, at most
 * `pressureMax` queues wait. `onClose` comes after everything that the other end had sent, and not after our own
 * `close`.
 */

import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import type { channelLimits } from "../base/limits.ts";
import { RingBuffer } from "../base/ring_buffer.ts";
import { type Columns, ownColumns } from "../wire/columns.ts";
import { Patience } from "./patience.ts";
import { RingReader, RingWriter, recordWordsMax } from "./ring.ts";
import { atPort, ringBuffer, SharedRing } from "./ring_memory.ts";
import type { RingWatch, Watched } from "./ring_watch.ts";

export type ChannelLimits = { readonly [Name in keyof typeof channelLimits]: number };

export interface Codec<Message> {
  /** Columns that are good until the next `pack`. */
  pack(messages: readonly Message[]): Columns;
  unpack(columns: Columns): Message[];
}

export interface ChannelEvents<Message> {
  onMessages(messages: readonly Message[]): void;
  /** The other end is gone. */
  onClose(): void;
  /** `message` was posted but can't be packed; the others of its batch are sent. */
  onUnsendable(message: Message, error: unknown): void;
  /** A batch could not be read and is lost. */
  onUnreadable(error: unknown): void;
}

/** A batch that waits. */
interface Batch {
  readonly columns: Columns;
  readonly bytes: number;
  readonly messages: number;
}

/** What is remembered of a batch on its way: where the ring's head was behind it. */
interface Sent {
  readonly bytes: number;
  readonly messages: number;
  readonly end: number;
}

/** Through the port: the other end's ring; a bell; a batch. */
type PortMessage = SharedArrayBuffer | typeof bell | Columns;

const bell = 0;

export class Channel<Message> implements Watched {
  readonly #port: MessagePort;
  readonly #codec: Codec<Message>;
  readonly #events: ChannelEvents<Message>;
  readonly #limits: ChannelLimits;
  readonly #watch: RingWatch;
  readonly #patience = new Patience();
  #pending: Message[] = [];
  readonly #waiting = new RingBuffer<Batch>();
  readonly #sent = new RingBuffer<Sent>();
  /** Messages and bytes of all batches, waiting or sent. */
  #queuedMessages = 0;
  #queuedBytes = 0;
  #sentBytes = 0;
  /**
   * Batches that were sent, less those that came: how far the other end is behind with its work, or with its answers.
   * What it has taken from the ring says nothing of that.
   */
  #ahead = 0;
  /** Made when the first batch is sent. */
  #out: { readonly memory: SharedRing; readonly writer: RingWriter<Columns> } | undefined;
  #in: RingReader<Columns> | undefined;
  /** Came through the port before their place in the ring was read. */
  readonly #parcels = new RingBuffer<Columns>();
  /** What the other end was told last. */
  #saidThatItLooks = false;
  #closed = false;

  constructor(
    port: MessagePort,
    codec: Codec<Message>,
    events: ChannelEvents<Message>,
    limits: ChannelLimits,
    watch: RingWatch,
  ) {
    this.#port = port;
    this.#codec = codec;
    this.#events = events;
    this.#limits = limits;
    this.#watch = watch;
    watch.add(this);
    port.on("close", () => this.#ended());
  }

  /** Lets messages in. What came before waits in the port and in the ring. */
  start(): void {
    if (!this.#closed) this.#port.on("message", (value: PortMessage) => this.#receive(value));
  }

  /** Queues a message for the next `flush`. False if the channel is closed, or holds all it may. */
  post(message: Message): boolean {
    if (this.#closed || this.pressure() >= this.#limits.pressureMax) return false;
    const pending = this.#pending;
    pending.push(message);
    if (pending.length >= this.#batchMessages()) this.flush();
    return true;
  }

  /** Small while the other end has little to do, so that both work at once; large when it is behind. */
  #batchMessages(): number {
    const { batchMessagesMin, batchMessagesMax } = this.#limits;
    return Math.min(batchMessagesMax, batchMessagesMin * (1 + this.#ahead));
  }

  /** Packs what was posted since the last time, and sends what the window allows. */
  flush(): void {
    if (this.#pending.length === 0 || this.#closed) return;
    const messages = this.#pending;
    this.#pending = [];
    this.#acknowledge(this.#out?.writer.taken());
    this.#pack(messages);
    this.#wakePeer();
  }

  /**
   * How far the other end is behind: messages or bytes that it has not taken, whichever weighs more, as a
   * share of what a queue should hold. From 1 on, new requests should be refused. Below 1 it is as of the last flush.
   */
  pressure(): number {
    const pressure = this.#pressure();
    if (pressure < 1 || this.#out === undefined) return pressure;
    this.#acknowledge(this.#out.writer.taken());
    return this.#pressure();
  }

  #pressure(): number {
    const messages = (this.#pending.length + this.#queuedMessages) / this.#limits.queueMessagesMax;
    return Math.max(messages, this.#queuedBytes / this.#limits.queueBytesMax);
  }

  /** Sends all that is queued, whatever the window, and leaves. */
  close(): void {
    if (this.#closed) return;
    this.flush();
    this.#closed = true;
    this.#watch.forget(this);
    for (let batch = this.#waiting.shift(); batch !== undefined; batch = this.#waiting.shift()) {
      this.#tell(batch.columns);
    }
    this.#port.close();
  }

  /** The other end is known to be gone: takes what it had sent, then ends as if its closing had been seen. */
  finish(): void {
    for (let next = receiveMessageOnPort(this.#port); next !== undefined && !this.#closed; ) {
      this.#receive(next.message as PortMessage);
      next = receiveMessageOnPort(this.#port);
    }
    this.#ended();
    this.#port.close();
  }

  #ended(): void {
    while (this.#in !== undefined && this.#take(this.#in) > 0);
    for (
      let left = this.#parcels.shift();
      left !== undefined && !this.#closed;
      left = this.#parcels.shift()
    ) {
      this.#deliver(left);
    }
    if (this.#closed) return;
    this.#closed = true;
    this.#watch.forget(this);
    this.#pending = [];
    this.#waiting.clear();
    this.#sent.clear();
    this.#events.onClose();
  }

  #tell(message: PortMessage): void {
    this.#port.postMessage(message);
  }

  // --- out -------------------------------------------------------------------------------------------------

  #pack(messages: readonly Message[]): void {
    let columns: Columns;
    try {
      columns = this.#codec.pack(messages);
    } catch (error) {
      if (messages.length > 1) for (const message of messages) this.#pack([message]);
      else for (const message of messages) this.#events.onUnsendable(message, error);
      return;
    }
    const bytes = bytesOf(columns);
    this.#queuedMessages += messages.length;
    this.#queuedBytes += bytes;
    if (this.#waiting.length === 0 && this.#send(columns, bytes, messages.length)) return;
    this.#waiting.push({ columns: ownColumns(columns), bytes, messages: messages.length });
  }

  /** Sends what waits, as far as there is room. */
  #sendWaiting(): void {
    for (let batch = this.#waiting.peek(); batch !== undefined; batch = this.#waiting.peek()) {
      if (!this.#send(batch.columns, batch.bytes, batch.messages)) return;
      this.#waiting.shift();
    }
  }

  /** False if there is no room: then a bell comes when there is. */
  #send(columns: Columns, bytes: number, messages: number): boolean {
    const { memory, writer } = this.#ring();
    // The last batch may pass the window, so that one larger than the window can be sent at all.
    if (this.#isWindowFull() && this.#stillAfter(writer.awaitTaken())) return false;
    let words = memory.measure(columns);
    let record = columns;
    if (words > recordWordsMax(memory.words)) {
      record = atPort;
      words = memory.measure(record);
      if (!writer.hasRoom(words)) return false;
      this.#tell(ownColumns(columns));
    }
    if (!writer.write(record, words)) return false;
    this.#sent.push({ bytes, messages, end: writer.head });
    this.#sentBytes += bytes;
    const { batchMessagesMin, batchMessagesMax } = this.#limits;
    // No further than to the largest batches: an end that never answers gets those.
    this.#ahead = Math.min(this.#ahead + 1, batchMessagesMax / batchMessagesMin);
    return true;
  }

  #isWindowFull(): boolean {
    return this.#sentBytes >= this.#limits.windowBytes;
  }

  #stillAfter(taken: number): boolean {
    this.#acknowledge(taken);
    return this.#isWindowFull();
  }

  #ring() {
    if (this.#out === undefined) {
      const shared = ringBuffer(this.#limits.ringBytes);
      const memory = new SharedRing(shared);
      this.#out = { memory, writer: new RingWriter<Columns>(memory) };
      this.#tell(shared);
    }
    return this.#out;
  }

  #wakePeer(): void {
    if (this.#out?.writer.wakes() === true) this.#tell(bell);
  }

  /** The other end has taken all before this place. */
  #acknowledge(taken: number | undefined): void {
    if (taken === undefined) return;
    for (let sent = this.#sent.peek(); sent !== undefined; sent = this.#sent.peek()) {
      if (((taken - sent.end) | 0) < 0) return;
      this.#sent.shift();
      this.#sentBytes -= sent.bytes;
      this.#queuedBytes -= sent.bytes;
      this.#queuedMessages -= sent.messages;
    }
  }

  // --- in --------------------------------------------------------------------------------------------------

  #receive(value: PortMessage): void {
    if (this.#closed) return;
    if (value instanceof SharedArrayBuffer) this.#in = new RingReader<Columns>(new SharedRing(value));
    else if (value !== bell) {
      this.#parcels.push(value);
      return;
    }
    this.#heardBell();
    let isAwake = true;
    try {
      isAwake = this.look();
    } finally {
      // Whatever a message's handler threw: no bell comes while this end has not said that it sleeps.
      if (isAwake && !this.#closed) this.#watch.wake(this);
    }
  }

  /** It may say that there is room. */
  #heardBell(): void {
    if (this.#waiting.length === 0) return;
    this.#acknowledge(this.#out?.writer.taken());
    this.#sendWaiting();
    this.#wakePeer();
  }

  look(): boolean {
    const reader = this.#in;
    if (reader === undefined) return false;
    // After many messages the processes have their turn before it is asked whether the ring is dry.
    if (this.#take(reader) >= this.#limits.lookAgainMessages) return true;
    if (this.#closed) return false;
    if (this.#looksOn(reader)) return true;
    return !reader.sleep();
  }

  #looksOn(reader: RingReader<Columns>): boolean {
    const patience = this.#patience;
    const looksOn = patience.dry(performance.now(), reader.writerLooks);
    if (patience.wantsToLook !== this.#saidThatItLooks && this.#out !== undefined) {
      this.#saidThatItLooks = patience.wantsToLook;
      this.#out.writer.looks = patience.wantsToLook;
    }
    return looksOn && this.#watch.hasCore;
  }

  /** Takes what is in the ring, as much as one turn should: how many messages. */
  #take(reader: RingReader<Columns>): number {
    let taken = 0;
    while (taken < this.#limits.takeMessagesMax && !this.#closed) {
      const columns = reader.read();
      if (columns === undefined) break;
      if (this.#patience.isDry) this.#patience.came(performance.now());
      if (reader.wakes()) this.#tell(bell);
      if (this.#ahead > 0) this.#ahead--;
      taken += this.#deliver(columns === atPort ? this.#parcel() : columns);
    }
    return taken;
  }

  get isPeerAwake(): boolean {
    return this.#out?.writer.readerSleeps === false;
  }

  /** Posted before its place was published, so it is there. */
  #parcel(): Columns | undefined {
    const parcel = this.#parcels.shift();
    if (parcel !== undefined) return parcel;
    for (;;) {
      const next = receiveMessageOnPort(this.#port)?.message as Columns | typeof bell | undefined;
      if (next !== bell) return next;
      // A bell that this look into the port has overtaken.
      this.#heardBell();
    }
  }

  /** How many messages it had. */
  #deliver(columns: Columns | undefined): number {
    let messages: Message[];
    try {
      if (columns === undefined) throw new RangeError("a batch is missing in the port");
      messages = this.#codec.unpack(columns);
    } catch (error) {
      this.#events.onUnreadable(error);
      return 1;
    }
    this.#events.onMessages(messages);
    return messages.length;
  }
}

/** At most: one character beyond ASCII makes all of a text two bytes wide. */
function bytesOf({ length, text }: Columns): number {
  return length + 2 * text.length;
}

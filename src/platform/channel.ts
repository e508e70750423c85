/**
 * One end of the direct way between two threads: a MessagePort that carries batches of columns. They are copied: to
 * hand over a buffer's memory takes three times as long as to copy 30 KB (Node 20).
 *
 * State: what this turn has posted; batches that wait because the window is full; batches on their way, not
 * yet taken by the other end; how many batches we took. A batch starts with that last number, so
 * traffic both ways acknowledges itself; when a quarter of the window has been taken without traffic back,
 * the bare number is sent.
 *
 * Always true: order is that of `post`. At most one window and one batch are on their way, at most
 * `pressureMax` queues wait. `onClose` comes after everything that the other end had sent, and not after
 * our own `close`.
 */

import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { channelLimits } from "../base/limits.ts";
import { RingBuffer } from "../base/ring_buffer.ts";
import type { Columns } from "../wire/columns.ts";

export type ChannelLimits = { readonly [Name in keyof typeof channelLimits]: number };

export interface Codec<Message> {
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

interface Batch {
  readonly columns: Columns;
  readonly bytes: number;
  readonly messages: number;
}

/** What is remembered of a batch on its way. */
interface Sent {
  readonly bytes: number;
  readonly messages: number;
}

export class Channel<Message> {
  readonly #port: MessagePort;
  readonly #codec: Codec<Message>;
  readonly #events: ChannelEvents<Message>;
  readonly #limits: ChannelLimits;
  #pending: Message[] = [];
  readonly #waiting = new RingBuffer<Batch>();
  readonly #sent = new RingBuffer<Sent>();
  /** Messages and bytes of all batches, waiting or sent. */
  #queuedMessages = 0;
  #queuedBytes = 0;
  #sentBytes = 0;
  /** Batches that the other end says it took, out of all we sent. */
  #acknowledged = 0;
  /** Batches we took, and what of them we have not acknowledged. */
  #taken = 0;
  #unacknowledgedBatches = 0;
  #unacknowledgedBytes = 0;
  #closed = false;

  constructor(
    port: MessagePort,
    codec: Codec<Message>,
    events: ChannelEvents<Message>,
    limits: ChannelLimits = channelLimits,
  ) {
    this.#port = port;
    this.#codec = codec;
    this.#events = events;
    this.#limits = limits;
    port.on("close", () => this.#ended());
  }

  /** Lets messages in. What came before waits in the port. */
  start(): void {
    if (!this.#closed) this.#port.on("message", (value: unknown) => this.#receive(value));
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
    return Math.min(batchMessagesMax, batchMessagesMin * (1 + this.#sent.length));
  }

  /** Packs what was posted since the last time, and sends what the window allows. */
  flush(): void {
    if (this.#pending.length === 0 || this.#closed) return;
    const messages = this.#pending;
    this.#pending = [];
    this.#pack(messages);
    this.#send();
  }

  /**
   * How far the other end is behind: messages or bytes that it has not taken, whichever weighs more, as a
   * share of what a queue should hold. From 1 on, new requests should be refused.
   */
  pressure(): number {
    const messages = (this.#pending.length + this.#queuedMessages) / this.#limits.queueMessagesMax;
    return Math.max(messages, this.#queuedBytes / this.#limits.queueBytesMax);
  }

  /** Sends all that is queued, whatever the window, and leaves. */
  close(): void {
    if (this.#closed) return;
    this.flush();
    for (let batch = this.#waiting.shift(); batch !== undefined; batch = this.#waiting.shift()) {
      this.#transfer(batch);
    }
    this.#closed = true;
    this.#port.close();
  }

  /** The other end is known to be gone: takes what it had sent, then ends as if its closing had been seen. */
  finish(): void {
    for (let next = receiveMessageOnPort(this.#port); next !== undefined && !this.#closed; ) {
      this.#receive(next.message);
      next = receiveMessageOnPort(this.#port);
    }
    this.#ended();
    this.#port.close();
  }

  #ended(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#pending = [];
    this.#waiting.clear();
    this.#sent.clear();
    this.#events.onClose();
  }

  // --- out -------------------------------------------------------------------------------------------------

  #pack(messages: readonly Message[]): void {
    try {
      const columns = this.#codec.pack(messages);
      const bytes = bytesOf(columns);
      this.#waiting.push({ columns, bytes, messages: messages.length });
      this.#queuedMessages += messages.length;
      this.#queuedBytes += bytes;
    } catch (error) {
      if (messages.length > 1) for (const message of messages) this.#pack([message]);
      else for (const message of messages) this.#events.onUnsendable(message, error);
    }
  }

  #send(): void {
    for (let batch = this.#waiting.peek(); batch !== undefined; batch = this.#waiting.peek()) {
      const { windowBatches, windowBytes } = this.#limits;
      // The last batch may pass the window. Were it held back instead, the other end could have taken all
      // the rest without reaching the quarter that it acknowledges at: both would wait for ever.
      if (this.#sent.length >= windowBatches || this.#sentBytes >= windowBytes) return;
      this.#waiting.shift();
      this.#sent.push({ bytes: batch.bytes, messages: batch.messages });
      this.#sentBytes += batch.bytes;
      this.#transfer(batch);
    }
  }

  #transfer({ columns }: Batch): void {
    new Float64Array(columns.buffer, 0, 1)[0] = this.#taken;
    this.#unacknowledgedBatches = 0;
    this.#unacknowledgedBytes = 0;
    this.#port.postMessage(columns);
  }

  #acknowledge(taken: number): void {
    while (this.#acknowledged < taken) {
      const sent = this.#sent.shift();
      if (sent === undefined) return;
      this.#acknowledged++;
      this.#sentBytes -= sent.bytes;
      this.#queuedBytes -= sent.bytes;
      this.#queuedMessages -= sent.messages;
    }
    this.#send();
  }

  // --- in --------------------------------------------------------------------------------------------------

  #receive(value: unknown): void {
    if (this.#closed) return;
    if (typeof value === "number") this.#acknowledge(value);
    else this.#take(value as Columns);
  }

  #take(columns: Columns): void {
    const bytes = bytesOf(columns);
    this.#taken++;
    this.#unacknowledgedBatches++;
    this.#unacknowledgedBytes += bytes;
    this.#acknowledge(new Float64Array(columns.buffer, 0, 1)[0] ?? 0);
    const messages = this.#unpack(columns);
    if (messages !== undefined) this.#events.onMessages(messages);
    if (this.#closed) return;
    const { windowBatches, windowBytes } = this.#limits;
    if (this.#unacknowledgedBatches * 4 >= windowBatches || this.#unacknowledgedBytes * 4 >= windowBytes) {
      this.#unacknowledgedBatches = 0;
      this.#unacknowledgedBytes = 0;
      this.#port.postMessage(this.#taken);
    }
  }

  #unpack(columns: Columns): Message[] | undefined {
    try {
      return this.#codec.unpack(columns);
    } catch (error) {
      this.#events.onUnreadable(error);
      return undefined;
    }
  }
}

/** At most: one character beyond Latin-1 makes all of a text two bytes wide. */
function bytesOf({ buffer, text }: Columns): number {
  return buffer.byteLength + 2 * text.length;
}

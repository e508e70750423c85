/**
 * One thread's end of the mesh: a channel to every other thread, and the news of who lives.
 *
 * State: the channels of the threads that are up, by thread; which of them have messages to flush. What a
 * turn posts is sent once, when nothing more was posted since the last look, or when a batch is full. A thread is
 * `up` from `connect` until its port closes; its messages never come before its `up`, nor after its `down`. The `down`
 * waits a moment for the word that says how the thread ended; `post` is false meanwhile.
 */

import type { MessagePort } from "node:worker_threads";
import { assert } from "../base/assert.ts";
import { channelLimits, watchLimits } from "../base/limits.ts";
import type { Logger } from "../seams/log.ts";
import type { Transport } from "../seams/transport.ts";
import { Channel, type ChannelLimits, type Codec } from "./channel.ts";
import { guarded, inMicrotask } from "./microtask.ts";
import { RingWatch } from "./ring_watch.ts";

export interface Peer {
  readonly thread: number;
  readonly incarnation: number;
}

export interface TransportOptions<Message> extends Peer {
  readonly codec: Codec<Message>;
  readonly log: Logger;
  readonly limits?: ChannelLimits;
  /** How a thread's life ended, as far as anybody has said. Default: it is never known. */
  readonly endOf?: (thread: number, incarnation: number) => string | undefined;
}

type MessagesHandler<Message> = (messages: readonly Message[]) => void;
type ThreadHandler = (thread: number, incarnation: number, up: boolean, reason?: string) => void;
type UnsendableHandler<Message> = (thread: number, message: Message, error: unknown) => void;

export class ThreadTransport<Message> implements Transport<Message> {
  readonly thread: number;
  readonly incarnation: number;
  readonly #codec: Codec<Message>;
  readonly #log: Logger;
  readonly #limits: ChannelLimits;
  readonly #channels = new Map<
    number,
    { readonly incarnation: number; readonly channel: Channel<Message> }
  >();
  readonly #watch = new RingWatch();
  readonly #unflushed = new Set<Channel<Message>>();
  /** Messages posted, and how many of them the last look had seen. */
  #posted = 0;
  #seen = 0;
  readonly #look = guarded(() => {
    if (this.#posted !== this.#seen) {
      // In microtasks: whoever waits to go on posts before the next look.
      this.#seen = this.#posted;
      inMicrotask(this.#look);
      return;
    }
    // What is posted while they flush (the refusal of a message that can't be packed) is looked at by itself.
    const channels = [...this.#unflushed];
    this.#unflushed.clear();
    for (const channel of channels) channel.flush();
  });
  readonly #endOf: TransportOptions<Message>["endOf"];
  /** Threads whose port has closed, and of which nobody has said how they ended. */
  readonly #ending = new Map<number, { readonly incarnation: number; readonly timer: NodeJS.Timeout }>();
  #messagesHandler: MessagesHandler<Message> | undefined;
  #threadHandler: ThreadHandler | undefined;
  #unsendableHandler: UnsendableHandler<Message> | undefined;
  #closed = false;
  /** Batches that could not be read: a defect. */
  unreadable = 0;

  constructor(options: TransportOptions<Message>) {
    this.thread = options.thread;
    this.incarnation = options.incarnation;
    this.#codec = options.codec;
    this.#log = options.log;
    this.#limits = options.limits ?? channelLimits;
    this.#endOf = options.endOf;
  }

  /** The other threads that are up now. */
  peers(): Peer[] {
    return [...this.#channels].map(([thread, { incarnation }]) => ({ thread, incarnation }));
  }

  post(thread: number, message: Message): boolean {
    const channel = this.#channels.get(thread)?.channel;
    if (channel === undefined || !channel.post(message)) return false;
    this.#posted++;
    if (this.#unflushed.size === 0) inMicrotask(this.#look);
    this.#unflushed.add(channel);
    return true;
  }

  /** How full the way to a thread is: 0 is empty; from 1 on, refuse new requests to it; 0 if it is down. */
  pressure(thread: number): number {
    return this.#channels.get(thread)?.channel.pressure() ?? 0;
  }

  onMessages(handler: MessagesHandler<Message>): void {
    assert(this.#messagesHandler === undefined, "onMessages is called once");
    this.#messagesHandler = handler;
    for (const { channel } of this.#channels.values()) channel.start();
  }

  onThread(handler: ThreadHandler): void {
    this.#threadHandler = handler;
  }

  /**
   * A message that was posted can't be packed (a function, a symbol, a cycle): it was dropped, late.
   * Default: a log line.
   */
  onUnsendable(handler: UnsendableHandler<Message>): void {
    this.#unsendableHandler = handler;
  }

  /** A thread's life begins; one before it that has not been seen to end, ends. */
  connect({ thread, incarnation }: Peer, port: MessagePort): void {
    this.disconnect(thread);
    if (this.#closed) {
      port.close();
      return;
    }
    const channel = new Channel(
      port,
      this.#codec,
      {
        onMessages: (messages) => this.#messagesHandler?.(messages),
        onClose: () => this.#down(thread, incarnation, channel),
        onUnsendable: (message, error) => this.#unsendable(thread, message, error),
        onUnreadable: (error) => {
          this.unreadable++;
          this.#log.error({ error, from: thread }, "a batch of messages can't be read and is lost");
        },
      },
      this.#limits,
      this.#watch,
    );
    this.#channels.set(thread, { incarnation, channel });
    this.#threadHandler?.(thread, incarnation, true);
    if (this.#messagesHandler !== undefined) channel.start();
  }

  /** A thread is known to have ended: what it had sent is taken, then its `down` is told, unless it was. */
  disconnect(thread: number): void {
    this.#channels.get(thread)?.channel.finish();
    const ending = this.#ending.get(thread);
    if (ending !== undefined) this.#tellEnd(thread, ending.incarnation);
  }

  /** Sends all that was posted and leaves the mesh. No handler is called from now on; `post` is false. */
  close(): void {
    this.#closed = true;
    for (const { channel } of this.#channels.values()) channel.close();
    this.#channels.clear();
    this.#unflushed.clear();
    for (const { timer } of this.#ending.values()) clearTimeout(timer);
    this.#ending.clear();
  }

  #down(thread: number, incarnation: number, channel: Channel<Message>): void {
    this.#unflushed.delete(channel);
    if (this.#channels.get(thread)?.channel !== channel) return;
    this.#channels.delete(thread);
    if (this.#endOf === undefined || this.#endOf(thread, incarnation) !== undefined)
      this.#tellEnd(thread, incarnation);
    else this.#awaitWord(thread, incarnation, performance.now() + watchLimits.endWordMs);
  }

  /** One that ran out of memory could say nothing: the main thread says it, when the pool has told it. */
  #awaitWord(thread: number, incarnation: number, deadlineMs: number): void {
    const look = (): void => {
      if (this.#endOf?.(thread, incarnation) === undefined && performance.now() < deadlineMs)
        this.#awaitWord(thread, incarnation, deadlineMs);
      else this.#tellEnd(thread, incarnation);
    };
    this.#ending.set(thread, { incarnation, timer: setTimeout(look, watchLimits.endWordPollMs) });
  }

  #tellEnd(thread: number, incarnation: number): void {
    clearTimeout(this.#ending.get(thread)?.timer);
    this.#ending.delete(thread);
    if (this.#endOf === undefined) this.#threadHandler?.(thread, incarnation, false);
    else this.#threadHandler?.(thread, incarnation, false, this.#endOf(thread, incarnation) ?? "unknown");
  }

  #unsendable(thread: number, message: Message, error: unknown): void {
    if (this.#unsendableHandler !== undefined) this.#unsendableHandler(thread, message, error);
    else this.#log.error({ error, to: thread }, "a message can't be sent to another thread and is lost");
  }
}

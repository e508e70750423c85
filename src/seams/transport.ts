/**
 * How envelopes reach another thread. Production: `src/platform/threads.ts` (batches of columns through rings in
 * shared memory). Simulated: delay, loss, duplication, reordering; always through the real codec.
 */

export interface Transport<Message> {
  /** The thread that this end belongs to. */
  readonly thread: number;
  /** This thread's life: rises each time the thread is replaced. */
  readonly incarnation: number;
  /**
   * Hands a message over; never blocks. Order is kept for each receiver. False if that thread is not known, is
   * down, or is so far behind that not even a reply can be held: the message was dropped.
   */
  post(thread: number, message: Message): boolean;
  /**
   * How far a thread is behind: 0 is not at all; from 1 on, refuse new requests to it with `overloaded`, so that
   * replies and signals, which still pass for a while, find room.
   */
  pressure?(thread: number): number;
  /** Called, later than `post`, with a message that could not be packed: it was dropped. Set once by the host. */
  onUnsendable?(handler: (thread: number, message: Message, error: unknown) => void): void;
  /** Set once by the host, before anything is delivered. */
  onMessages(handler: (messages: readonly Message[]) => void): void;
  /**
   * A thread's life ended (`up` false, and how, if it is known) or a new one began (`up` true). Called on every other
   * thread.
   */
  onThread(handler: (thread: number, incarnation: number, up: boolean, reason?: string) => void): void;
}

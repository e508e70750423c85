/**
 * The driver's end of the loopback socket. Requests wait in a buffer until `flush`, so that the journal can
 * be written first; answers come in batches, one for each chunk of bytes, so that their outcomes can be
 * journaled together. A lost connection or a missing answer ends a request as unknown; the connection is
 * tried again with exponential backoff until `close`.
 */

import { connect, type Socket } from "node:net";
import { hasCode } from "../../src/index.ts";
import { decodeAnswer, encodeFrame, FrameReader, isRefusal } from "../protocol.ts";
import { driverLimits } from "./limits.ts";

/** `refused`: nothing was done. `unknown`: it may have been done, or still be. */
export type Outcome =
  | { readonly type: "done"; readonly result: unknown }
  | { readonly type: "refused"; readonly code: string }
  | { readonly type: "unknown"; readonly code: string };

export interface ClientEvents {
  /** The socket is up; `anew` if another process than before listens there. */
  connected(anew: boolean): void;
  /** After the outcomes of one batch were handed out. */
  settled(): void;
}

interface PendingRequest {
  readonly sentMs: number;
  readonly done: (outcome: Outcome) => void;
}

export class Client {
  readonly #events: ClientEvents;
  readonly #pending = new Map<number, PendingRequest>();
  #socket: Socket | undefined;
  #outgoing: Uint8Array[] = [];
  #port = 0;
  #anew = false;
  #up = false;
  #closed = false;
  #backoffMs: number = driverLimits.reconnectMinMs;
  #retry: NodeJS.Timeout | undefined;
  #expiry: NodeJS.Timeout | undefined;
  #lastId = 0;

  constructor(events: ClientEvents) {
    this.#events = events;
  }

  get connected(): boolean {
    return this.#up;
  }

  get inFlight(): number {
    return this.#pending.size;
  }

  /** A process listens on this port of this machine: connect to it, and no longer to an earlier one. */
  connect(port: number): void {
    this.#anew = this.#port !== 0;
    this.#port = port;
    this.#backoffMs = driverLimits.reconnectMinMs;
    this.#expiry ??= setInterval(() => this.#expire(), driverLimits.expireEveryMs);
    this.#drop();
    this.#dial();
  }

  /** Buffers a request; `done` is called exactly once. Only while connected. */
  request(backend: string, operation: string, message: unknown, done: (outcome: Outcome) => void): void {
    this.#lastId = (this.#lastId + 1) >>> 0;
    this.#outgoing.push(encodeFrame([this.#lastId, backend, operation, message]));
    this.#pending.set(this.#lastId, { sentMs: performance.now(), done });
  }

  /** Sends what was buffered. */
  flush(): void {
    if (this.#outgoing.length === 0) return;
    const bytes = Buffer.concat(this.#outgoing);
    this.#outgoing = [];
    this.#socket?.write(bytes);
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#expiry);
    this.#drop();
  }

  #dial(): void {
    if (this.#closed) return;
    const socket = connect({ port: this.#port, host: "127.0.0.1", noDelay: true });
    const frames = new FrameReader();
    this.#socket = socket;
    socket.on("connect", () => {
      this.#up = true;
      this.#backoffMs = driverLimits.reconnectMinMs;
      const anew = this.#anew;
      this.#anew = false;
      this.#events.connected(anew);
    });
    socket.on("data", (chunk) => this.#receive(socket, frames, chunk));
    socket.on("error", () => undefined); // "close" follows and says all that matters
    socket.on("close", () => {
      if (this.#socket === socket) this.#lost();
    });
  }

  #receive(socket: Socket, frames: FrameReader, chunk: Buffer): void {
    if (this.#socket !== socket) return;
    try {
      for (const body of frames.push(chunk)) this.#answer(body);
    } catch (error) {
      if (!hasCode(error, "wire")) throw error;
      socket.destroy(error);
    }
    this.#events.settled();
  }

  #answer(body: Uint8Array): void {
    const [id, status, third] = decodeAnswer(body);
    const request = this.#pending.get(id);
    if (request === undefined) return; // it was given up
    this.#pending.delete(id);
    if (status === 0) request.done({ type: "done", result: third });
    else request.done({ type: isRefusal(third) ? "refused" : "unknown", code: third });
  }

  /** Ends the requests that have waited too long, as unknown. */
  #expire(): void {
    const oldestMs = performance.now() - driverLimits.requestTimeoutMs;
    let ended = false;
    for (const [id, request] of this.#pending) {
      if (request.sentMs > oldestMs) break;
      this.#pending.delete(id);
      request.done({ type: "unknown", code: "no_answer" });
      ended = true;
    }
    if (ended) this.#events.settled();
  }

  /** The connection ended by itself: dial again, a little later each time. */
  #lost(): void {
    this.#drop();
    if (this.#closed) return;
    this.#retry = setTimeout(() => this.#dial(), this.#backoffMs);
    this.#backoffMs = Math.min(driverLimits.reconnectMaxMs, this.#backoffMs * 2);
  }

  #drop(): void {
    clearTimeout(this.#retry);
    const socket = this.#socket;
    this.#socket = undefined;
    this.#up = false;
    this.#outgoing = [];
    socket?.destroy();
    if (this.#pending.size === 0) return;
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const request of pending) request.done({ type: "unknown", code: "disconnected" });
    this.#events.settled();
  }
}

/**
 * The threads of one node and the ways between them. A way keeps the order of its messages, delays each by chance,
 * and may be held. Every message is packed when it is posted and unpacked when it arrives, by the production codec.
 *
 * Always true: what a thread hears of another one's life comes in the order in which it happened, with the messages:
 * none before `up`, none after `down`.
 */

import { assert } from "../base/assert.ts";
import type { Envelope } from "../core/envelope.ts";
import { packBatch, unpackBatch } from "../core/envelope_codec.ts";
import type { Transport } from "../seams/transport.ts";
import type { Columns } from "../wire/columns.ts";
import type { SimulatedThread } from "./thread.ts";
import type { Timeline } from "./timeline.ts";

export interface MeshOptions {
  /** Shortest and longest time on the way, ms. */
  linkDelayMs: readonly [number, number];
}

type Parcel =
  | { readonly type: "message"; readonly columns: Columns }
  | { readonly type: "life"; readonly incarnation: number; readonly up: boolean };

/** From one thread to another, over all their lives. */
class Way {
  readonly #waiting: Parcel[] = [];
  #lastMs = 0;
  #due = 0;
  #held = false;

  /** `arrived` is called once for each parcel, in their order. */
  send(
    parcel: Parcel,
    timeline: Timeline,
    delayMs: number,
    label: string,
    arrived: (parcel: Parcel) => void,
  ) {
    const atMs = Math.max(this.#lastMs, timeline.nowMs + delayMs);
    this.#lastMs = atMs;
    this.#waiting.push(parcel);
    timeline.schedule(atMs - timeline.nowMs, label, () => {
      this.#due++;
      this.#deliver(arrived);
    });
  }

  hold(): void {
    this.#held = true;
  }

  release(arrived: (parcel: Parcel) => void): void {
    this.#held = false;
    this.#deliver(arrived);
  }

  #deliver(arrived: (parcel: Parcel) => void): void {
    while (this.#due > 0 && !this.#held) {
      const parcel = this.#waiting.shift();
      assert(parcel !== undefined, "what is due was sent");
      this.#due--;
      arrived(parcel);
    }
  }
}

/** One thread's end. */
class End implements Transport<Envelope> {
  readonly life: SimulatedThread;
  readonly thread: number;
  readonly incarnation: number;
  readonly #mesh: Mesh;
  /** The lives that this thread knows of. */
  readonly known = new Map<number, number>();
  #messages: ((messages: readonly Envelope[]) => void) | undefined;
  #lives: ((thread: number, incarnation: number, up: boolean) => void) | undefined;
  #unsendable: ((thread: number, message: Envelope, error: unknown) => void) | undefined;

  constructor(mesh: Mesh, life: SimulatedThread) {
    this.#mesh = mesh;
    this.life = life;
    this.thread = life.thread;
    this.incarnation = life.incarnation;
  }

  post(thread: number, message: Envelope): boolean {
    if (!this.life.alive || !this.known.has(thread)) return false;
    let columns: Columns;
    try {
      columns = packBatch([message]);
    } catch (error) {
      this.life.defer(0, "unsendable", () => this.#unsendable?.(thread, message, error));
      return true;
    }
    this.#mesh.send(this, thread, { type: "message", columns }, `${message.kind} ${message.method}`);
    return true;
  }

  onUnsendable(handler: (thread: number, message: Envelope, error: unknown) => void): void {
    this.#unsendable = handler;
  }

  onMessages(handler: (messages: readonly Envelope[]) => void): void {
    this.#messages = handler;
  }

  onThread(handler: (thread: number, incarnation: number, up: boolean) => void): void {
    this.#lives = handler;
  }

  take(from: number, parcel: Parcel): void {
    if (parcel.type === "message") {
      this.#messages?.(unpackBatch(parcel.columns));
      return;
    }
    if (parcel.up) this.known.set(from, parcel.incarnation);
    else if (this.known.get(from) === parcel.incarnation) this.known.delete(from);
    this.#lives?.(from, parcel.incarnation, parcel.up);
  }
}

export class Mesh {
  readonly options: MeshOptions;
  readonly #timeline: Timeline;
  readonly #ends = new Map<number, End>();
  readonly #ways = new Map<string, Way>();

  constructor(timeline: Timeline, options: MeshOptions) {
    this.#timeline = timeline;
    this.options = options;
  }

  /** The other threads that are up. */
  peers(of: number): { readonly thread: number; readonly incarnation: number }[] {
    return [...this.#ends.values()]
      .filter(({ thread }) => thread !== of)
      .map(({ thread, incarnation }) => ({ thread, incarnation }));
  }

  /** A life begins: it knows who is up, they hear of it. */
  join(life: SimulatedThread): Transport<Envelope> {
    const end = new End(this, life);
    for (const { thread, incarnation } of this.peers(life.thread)) end.known.set(thread, incarnation);
    this.#tell(end, true);
    this.#ends.set(life.thread, end);
    return end;
  }

  /** A life has ended: what it had sent still arrives, then the news of its end. */
  leave(life: SimulatedThread): void {
    const end = this.#ends.get(life.thread);
    if (end?.life !== life) return;
    this.#ends.delete(life.thread);
    this.#tell(end, false);
  }

  /** From now on nothing arrives from one thread at the other; it waits. */
  hold(from: number, to: number): void {
    this.#way(from, to).hold();
  }

  release(from: number, to: number): void {
    this.#way(from, to).release((parcel) => this.#arrive(from, to, parcel));
  }

  send(from: End, to: number, parcel: Parcel, label: string): void {
    const delayMs = from.life.delayMs("simulation.link", this.options.linkDelayMs);
    if (parcel.type === "message") this.#timeline.trace.columns(parcel.columns);
    const described = `${from.life.name} to ${to}: ${label}`;
    this.#way(from.thread, to).send(parcel, this.#timeline, delayMs, described, (arrived) =>
      this.#arrive(from.thread, to, arrived),
    );
  }

  #tell(about: End, up: boolean): void {
    for (const { thread } of this.#ends.values()) {
      if (thread === about.thread) continue;
      const parcel: Parcel = { type: "life", incarnation: about.incarnation, up };
      this.send(about, thread, parcel, up ? "up" : "down");
    }
  }

  #arrive(from: number, to: number, parcel: Parcel): void {
    this.#ends.get(to)?.take(from, parcel);
  }

  #way(from: number, to: number): Way {
    const key = `${from}>${to}`;
    let way = this.#ways.get(key);
    if (way === undefined) {
      way = new Way();
      this.#ways.set(key, way);
    }
    return way;
  }
}

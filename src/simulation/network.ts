/**
 * The network between nodes: it delays, loses, repeats and reorders messages, and is cut, one way or both; a cut way
 * loses what is sent, or holds it until it heals, as TCP's retransmissions do. Every message is packed when it sets out
 * and unpacked when it arrives, by the production codec.
 *
 * Always true: without faults nothing is lost, and messages of one way arrive in the order in which they set out. What
 * was on its way to a node that died is lost, and those that asked it are told.
 */

import { assert } from "../base/assert.ts";
import type { ClusterMessage } from "../core/cluster_calls.ts";
import { packClusterMessage, unpackClusterMessage } from "../core/cluster_codec.ts";
import type { Cluster, ClusterAddress } from "../seams/cluster.ts";
import { simulationLimits } from "./limits.ts";
import type { SimulatedThread } from "./thread.ts";
import type { Timeline } from "./timeline.ts";

/** How the way from one node to another is now. All may be changed at any time. */
export interface NetworkWay {
  /** Shortest and longest time on the way, ms. */
  delayMs: readonly [number, number];
  /** Share of the messages that are lost, 0 to 1. */
  lossShare: number;
  /** Share of the requests that arrive twice, of those that `mayRepeat` allows. */
  repeatShare: number;
  /** Share of the messages that may be overtaken: each is late by up to ten times the longest delay. */
  reorderShare: number;
  /** `drop`: what sets out is lost; `hold`: it waits until the way is open again. */
  cut: "open" | "drop" | "hold";
}

export type NetworkFault = "lost" | "repeated" | "reordered" | "cut" | "held" | "reset";

interface Parcel {
  readonly to: ClusterAddress;
  readonly bytes: Uint8Array;
  readonly label: string;
  /** Its place among those that set out on the way. */
  readonly place: number;
  readonly repeats: boolean;
}

interface Way extends NetworkWay {
  readonly name: string;
  /** What chance decides on it, each by a stream of its own. */
  readonly site: Readonly<Record<"delay" | "loss" | "reorder" | "late" | "repeat" | "repeatAfter", string>>;
  /** When the last message that keeps its place arrives. */
  lastMs: number;
  /** Rises with each reset: what set out before never arrives. */
  connection: number;
  readonly held: Parcel[];
  /** Messages that set out so far. */
  sent: number;
  /** The latest place that has arrived. */
  arrived: number;
}

export class SimulatedNetwork {
  readonly #timeline: Timeline;
  readonly #ways = new Map<string, Way>();
  readonly #ends = new Map<string, End>();
  /** Hears of each fault that changed what became of a message. */
  onFault: ((fault: NetworkFault, from: string, to: string) => void) | undefined;
  /** Which requests may arrive twice: those that their receiver takes as often as they come. Default: none. */
  mayRepeat: (name: string, method: string) => boolean = () => false;

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  way(from: string, to: string): NetworkWay {
    return this.#way(from, to);
  }

  /** The way works again: what was held arrives. */
  heal(from: string, to: string): void {
    const way = this.#way(from, to);
    way.cut = "open";
    for (const parcel of way.held.splice(0)) this.#travel(from, way, parcel);
  }

  /** The connection breaks: what is on its way, either way, is lost, and both sides hear of it. */
  reset(from: string, to: string): void {
    for (const [a, b] of [
      [from, to],
      [to, from],
    ] as const) {
      const way = this.#way(a, b);
      if (way.sent > way.arrived) this.onFault?.("reset", a, b);
      way.connection++;
      way.arrived = way.sent;
      way.held.length = 0;
      this.#tellDown(a, b);
    }
  }

  /** A thread's end of the network, for its life. */
  join(life: SimulatedThread, nodeOf: (name: string) => string | undefined): Cluster<ClusterMessage> {
    const end = new End(this, life, nodeOf);
    this.#ends.set(`${life.node}.${life.thread}`, end);
    return end;
  }

  /** Those that wait for a dead node are told, as by a refused connection. */
  nodeDied(node: string): void {
    for (const { life } of this.#ends.values())
      if (life.alive && life.node !== node) this.#tellDown(life.node, node);
  }

  send(from: SimulatedThread, to: ClusterAddress, message: ClusterMessage): void {
    const way = this.#way(from.node, to.node);
    const label = `${way.name}: ${described(message)}`;
    const parcel = { to, bytes: packClusterMessage(message), label, place: ++way.sent, repeats: false };
    this.#timeline.trace.bytes(parcel.bytes);
    if (way.cut === "hold") {
      way.held.push(parcel);
      this.onFault?.("held", from.node, to.node);
      return;
    }
    const chance = (what: keyof Way["site"]): number => from.random.next(way.site[what]);
    const isCut = way.cut === "drop";
    if (isCut || (way.lossShare > 0 && chance("loss") < way.lossShare)) {
      this.onFault?.(isCut ? "cut" : "lost", from.node, to.node);
      return;
    }
    this.#travel(from.node, way, parcel);
    if (way.repeatShare > 0 && message.type === "call" && this.mayRepeat(message.name, message.method)) {
      if (chance("repeat") >= way.repeatShare) return;
      this.#travel(from.node, way, { ...parcel, repeats: true }, chance("repeatAfter"));
    }
  }

  /** `late`: 0 to 1, how far it is overtaken; without it, chance decides by the way's share. */
  #travel(from: string, way: Way, parcel: Parcel, late?: number): void {
    const { connection } = way;
    const [least, most] = way.delayMs;
    const sender = this.#ends.get(`${from}.0`);
    assert(sender !== undefined, "who sends has joined");
    const { random } = sender.life;
    const delayMs = least + random.next(way.site.delay) * (most - least);
    let lateness = late;
    if (lateness === undefined && way.reorderShare > 0 && random.next(way.site.reorder) < way.reorderShare) {
      lateness = random.next(way.site.late);
    }
    const nowMs = this.#timeline.nowMs;
    const inOrder = lateness === undefined;
    const atMs = inOrder
      ? Math.max(way.lastMs, nowMs + delayMs)
      : nowMs + delayMs + (lateness ?? 0) * 10 * most;
    if (inOrder) way.lastMs = atMs;
    this.#timeline.schedule(atMs - nowMs, parcel.label, () => {
      if (way.connection === connection) this.#arrive(from, way, parcel);
    });
  }

  #arrive(from: string, way: Way, { to, bytes, place, repeats }: Parcel): void {
    const end = this.#ends.get(`${to.node}.${to.thread}`);
    if (end === undefined || !end.life.alive) {
      this.#tellDown(from, to.node);
      return;
    }
    if (to.incarnation !== anyLife && to.incarnation !== end.life.incarnation) return;
    if (repeats) this.onFault?.("repeated", from, to.node);
    else if (place < way.arrived) this.onFault?.("reordered", from, to.node);
    way.arrived = Math.max(way.arrived, place);
    end.take(unpackClusterMessage(bytes));
  }

  /** `of` hears that `node` does not listen, if the way back is open. */
  #tellDown(of: string, node: string): void {
    const back = this.#way(node, of);
    if (back.cut !== "open") return;
    for (const end of this.#ends.values()) {
      if (end.life.node === of) end.life.defer(back.delayMs[1], `${node} is down`, () => end.down(node));
    }
  }

  #way(from: string, to: string): Way {
    const name = `${from}>${to}`;
    let way = this.#ways.get(name);
    if (way === undefined) {
      const site = (what: string): string => `network ${name} ${what}`;
      way = {
        name,
        site: {
          delay: site("delay"),
          loss: site("loss"),
          reorder: site("reorder"),
          late: site("late"),
          repeat: site("repeat"),
          repeatAfter: site("repeat after"),
        },
        delayMs: simulationLimits.networkDelayMs,
        lossShare: 0,
        repeatShare: 0,
        reorderShare: 0,
        cut: "open",
        lastMs: 0,
        connection: 0,
        held: [],
        sent: 0,
        arrived: 0,
      };
      this.#ways.set(name, way);
    }
    return way;
  }
}

/** A request is to a node, whichever life it has when it arrives. */
const anyLife = 0;

class End implements Cluster<ClusterMessage> {
  readonly life: SimulatedThread;
  readonly nodeOf: (name: string) => string | undefined;
  readonly #network: SimulatedNetwork;
  #message: ((message: ClusterMessage) => void) | undefined;
  #down: ((node: string) => void) | undefined;

  constructor(
    network: SimulatedNetwork,
    life: SimulatedThread,
    nodeOf: (name: string) => string | undefined,
  ) {
    this.#network = network;
    this.life = life;
    this.nodeOf = (name) => {
      const node = nodeOf(name);
      return node === life.node ? undefined : node;
    };
  }

  request(node: string, message: ClusterMessage): void {
    if (this.life.alive) this.#network.send(this.life, { node, thread: 0, incarnation: anyLife }, message);
  }

  answer(to: ClusterAddress, message: ClusterMessage): void {
    if (this.life.alive) this.#network.send(this.life, to, message);
  }

  onMessage(handler: (message: ClusterMessage) => void): void {
    this.#message = handler;
  }

  onDown(handler: (node: string) => void): void {
    this.#down = handler;
  }

  take(message: ClusterMessage): void {
    this.#message?.(message);
  }

  down(node: string): void {
    this.#down?.(node);
  }
}

function described(message: ClusterMessage): string {
  switch (message.type) {
    case "call":
    case "cast":
      return `${message.type} ${message.name} ${message.method}`;
    case "reply":
      return `reply ${message.ref}`;
    case "ping":
    case "pong":
      return message.type;
  }
}

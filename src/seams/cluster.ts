/**
 * The way to named processes of other nodes: request and reply, as NATS or a gateway gives it. A message arrives at
 * most once, or is lost, or arrives late; nothing is said of the order of two. So a call whose answer does not come is
 * *unknown*: it may have taken effect, or may still.
 *
 * A production implementation is the composer's; the simulator has one with every fault (simulation/network.ts).
 */

/** Where an answer goes: a thread's life on some node. */
export interface ClusterAddress {
  readonly node: string;
  readonly thread: number;
  readonly incarnation: number;
}

export interface Cluster<Message> {
  /** The node on which a process of this name lives; undefined: this one, or nobody's. */
  nodeOf(name: string): string | undefined;
  /** To the main thread of a node. */
  request(node: string, message: Message): void;
  /** To the thread that asked; dropped if that life has ended. */
  answer(to: ClusterAddress, message: Message): void;
  /** Set once by the host. */
  onMessage(handler: (message: Message) => void): void;
  /** A node does not listen, or its connection broke: what was asked of it may or may not have been done. */
  onDown(handler: (node: string) => void): void;
}

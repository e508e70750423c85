/**
 * What one play of the swarm consists of: topology, settings, and decisions (operations of clients and faults), all
 * drawn from the seed before it begins. A plan is plain data: it is written down, shrunk and played again. What is
 * drawn during the play (delays, which message of a bad way is lost) has a stream of its own for each place, so that a
 * decision that is taken out does not shift the others' chances.
 */

import type { MirrorPolicy } from "../../actors/log_mirror.ts";
import type { ShardProcess, Tuning } from "../../actors/shard_options.ts";
import type { Order } from "../../src/simulation/index.ts";

export interface Topology {
  readonly nodesPerSite: number;
  readonly shards: number;
  /** Worker threads of each node. */
  readonly threads: number;
}

export interface Settings {
  readonly tuning: Partial<Tuning>;
  readonly routing: "sticky_queue" | "consistent_hash";
  readonly writers: number;
  /** What a log does while its mirror is down. Without: there are no mirrors. */
  readonly mirror?: MirrorPolicy;
  /** By node, ms: how much its clock is ahead. */
  readonly skewMs: Readonly<Record<string, number>>;
  /** Prefixes that go there, back, and there again. */
  readonly reversed: readonly string[];
}

export interface BurstWrite {
  readonly key: string;
  readonly value: string;
}

/** The client does it at `atMs` at the earliest, and one after the other. */
export type Operation = { readonly atMs: number; readonly client: number; readonly key: string } & (
  | { readonly type: "put"; readonly value: string; readonly expiresInMs: number }
  /** All at once, in this order: none waits for another's answer. `key` is the first one's. */
  | { readonly type: "burst"; readonly writes: readonly BurstWrite[] }
  | { readonly type: "delete" | "get" | "list" | "count" }
  | { readonly type: "add"; readonly member: string; readonly value: string }
  | { readonly type: "remove" | "has"; readonly member: string }
  | { readonly type: "upload"; readonly ids: readonly string[] }
  | { readonly type: "take"; readonly requestId: string }
);

export interface WayChange {
  readonly lossShare?: number;
  readonly repeatShare?: number;
  readonly reorderShare?: number;
  readonly cut?: "drop" | "hold";
  readonly delayMs?: readonly [number, number];
}

/** So long after a decision gets into this state: what a move does in between takes a few ms. */
export interface Moment {
  readonly state: "announced" | "blocking" | "swapped";
  readonly afterMs: number;
}

/** `when`: the next such moment after `atMs`, if it comes soon. */
export type Fault = { readonly atMs: number; readonly when?: Moment } & (
  | {
      readonly type: "way";
      readonly from: string;
      readonly to: string;
      readonly change: WayChange;
      readonly forMs: number;
    }
  | { readonly type: "isolate"; readonly node: string; readonly cut: "drop" | "hold"; readonly forMs: number }
  | { readonly type: "reset"; readonly from: string; readonly to: string }
  | {
      readonly type: "link";
      readonly site: string;
      readonly failShare: number;
      readonly delayMs: number;
      readonly down: boolean;
      readonly forMs: number;
    }
  | { readonly type: "poison"; readonly site: string; readonly row: string; readonly forMs: number }
  | {
      readonly type: "store";
      readonly site: string;
      readonly shard: number;
      readonly failShare: number;
      readonly slowMs: number;
      readonly forMs: number;
    }
  | {
      readonly type: "control";
      readonly node: string;
      readonly failShare: number;
      readonly cut: boolean;
      /** It has no majority: what it knows can be read. */
      readonly writesOnly: boolean;
      readonly forMs: number;
    }
  | { readonly type: "sync fails"; readonly node: string; readonly count: number }
  | { readonly type: "disk full"; readonly node: string; readonly forMs: number }
  | { readonly type: "disk slow"; readonly node: string; readonly slowMs: number; readonly forMs: number }
  | { readonly type: "clock"; readonly node: string; readonly jumpMs: number }
  | { readonly type: "kill"; readonly site: string; readonly shard: number; readonly process: ShardProcess }
  | { readonly type: "kill coordinator"; readonly process: "db_failover" | "db_migration" }
  | { readonly type: "thread"; readonly node: string; readonly thread: number }
  | {
      readonly type: "crash";
      readonly node: string;
      readonly powerLoss: boolean;
      /** Of the disk, while the node is down: all of it is gone, or a bit of the log turned over. */
      readonly damage: "none" | "wipe" | "rot";
      readonly forMs: number;
    }
  /** All that a shard's store holds is gone while its node is down; only of a side that serves nothing. */
  | { readonly type: "lose store"; readonly site: string; readonly shard: number; readonly forMs: number }
  | { readonly type: "abort move" }
  /** The operator rehearses the prefix's move to the side that does not serve it. */
  | { readonly type: "rehearse"; readonly prefix: string }
  /** To so many workers and back again, several times: some of it happens while jobs run. */
  | { readonly type: "resize"; readonly client: number; readonly workers: number; readonly times: number }
);

export type FaultType = Fault["type"];

/** Which data access a client holds, and on which node. */
export interface Client {
  readonly node: string;
  readonly backend: "device_platform" | "blocklist" | "public_keys";
}

/** Something that happens at a time. Taken out, it leaves the others as they are. */
export type Decision = Operation | Fault;

export interface SwarmPlan {
  /** Of what is drawn during the play. */
  readonly seed: number;
  readonly order: Order;
  readonly topology: Topology;
  readonly settings: Settings;
  readonly clients: readonly Client[];
  readonly decisions: readonly Decision[];
}

const operationTypes: ReadonlySet<string> = new Set<Operation["type"]>([
  "put",
  "burst",
  "delete",
  "get",
  "list",
  "count",
  "add",
  "remove",
  "has",
  "upload",
  "take",
]);

export function operationsOf({ decisions }: SwarmPlan): Operation[] {
  return decisions.filter((decision): decision is Operation => operationTypes.has(decision.type));
}

/** What clients ask by these: each write of a burst is one. */
export function callsOf(operations: readonly Operation[]): number {
  return operations.reduce((sum, each) => sum + (each.type === "burst" ? each.writes.length : 1), 0);
}

export function faultsOf({ decisions }: SwarmPlan): Fault[] {
  return decisions.filter((decision): decision is Fault => !operationTypes.has(decision.type));
}

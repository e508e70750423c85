/**
 * A stand-in for the system under test: it speaks the protocol, keeps two sides in memory, replicates after a
 * delay and keeps marks, and can be told to do wrong in the ways that the driver exists to find.
 */

import { createServer, type Server, type Socket } from "node:net";
import { Packr } from "msgpackr";
import type { CohortRecord, ControlRecord, DecisionRecord } from "../../actors/control_store.ts";
import { cohortId, type Row, type RowKey, rowKey, shardOf, splitRowKey } from "../../actors/records.ts";
import { decodeOneTimeRow, encodeFreeKey, encodeTakenKey } from "../../app/driver/one_time_rows.ts";
import { backendNames } from "../../app/driver/population.ts";
import { encodeFrame, FrameReader } from "../../app/protocol.ts";
import { MemorySide } from "./memory_side.ts";

/** What the fake does wrong, each once, at its n-th chance. */
export interface Misdeeds {
  /** Acknowledges a write without doing it. */
  readonly loseWriteAt?: number;
  /** Forgets to mark and to replicate a write. */
  readonly dropMarkAt?: number;
  /** Gives a key out that a former take has. */
  readonly takeTwiceAt?: number;
  /** Shows a removed row again. */
  readonly resurrectAt?: number;
  /** Answers a read with the row's former state. */
  readonly staleReadAt?: number;
}

interface Message {
  readonly key: string;
  readonly member: string;
  readonly value: Uint8Array;
  readonly expiresAtMs?: number;
  readonly keys: readonly { readonly id: string; readonly value: Uint8Array }[] & readonly RowKey[];
  readonly requestId: string;
}

class Refusal extends Error {
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

const codec = new Packr({ useRecords: false, variableMapSize: true });
const replicationDelayMs = 20;
/** A state that was replaced so long ago is out of reach of any read that is under way. */
const staleAfterMs = 200;

export class FakeSystem {
  readonly shards: number;
  readonly sides: readonly [readonly MemorySide[], readonly MemorySide[]];
  readonly poison = new Set<RowKey>();
  /** The keys that a misdeed hit. They are not written again, so that the wrong stays to be found. */
  readonly victims: RowKey[] = [];
  readonly #misdeeds: Misdeeds;
  readonly #marks = new Map<RowKey, number>();
  readonly #former = new Map<RowKey, { readonly row: Row; readonly untilMs: number }>();
  readonly #cohorts: CohortRecord[] = [];
  readonly #decisions: DecisionRecord[] = [];
  readonly #counts = new Map<keyof Misdeeds, number>();
  readonly #blocked = new Set<string>();
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  #copied = false;
  #version = 0;

  constructor(shards: number, prefixes: readonly string[], misdeeds: Misdeeds = {}) {
    this.shards = shards;
    this.#misdeeds = misdeeds;
    const all = (): MemorySide[] => Array.from({ length: shards }, () => new MemorySide());
    this.sides = [all(), all()];
    for (const backend of backendNames) {
      for (const prefix of [...prefixes, "*"]) {
        this.#cohorts.push({ cohort: cohortId(backend, prefix), phase: "live", site: "A", term: 1 });
      }
    }
    this.#server = createServer((socket) => this.#serve(socket));
  }

  /** Listens and returns the port. */
  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    return address.port;
  }

  /** The control store's records. */
  list(prefix: string): Promise<ControlRecord[]> {
    const records: ControlRecord[] = [
      ...this.#cohorts.map((value) => ({ key: `cohort/${value.cohort}`, value, revision: 1 })),
      ...this.#decisions.map((value) => ({ key: `decision/${value.id}`, value, revision: 1 })),
    ];
    return Promise.resolve(records.filter((record) => record.key.startsWith(prefix)));
  }

  /** Copies everything to the peer; until then one range covers all rows. */
  copy(): void {
    for (const [shard, local] of this.sides[0].entries()) {
      for (const row of local.scanSync({ from: "", to: "" }, Number.POSITIVE_INFINITY)) {
        if (!this.poison.has(row.key)) this.sides[1][shard]?.put(row);
        else this.#marks.set(row.key, 0);
      }
    }
    this.#copied = true;
  }

  block(prefix: string): void {
    this.#blocked.add(prefix);
  }

  /** Moves a prefix to the other side: its marks are worked off first. */
  async swap(prefix: string): Promise<void> {
    this.block(prefix);
    await new Promise((resolve) => setTimeout(resolve, 3 * replicationDelayMs));
    const cohorts = backendNames.map((backend) => cohortId(backend, prefix));
    const blockTerm = 10 + 2 * this.#decisions.length;
    this.#decisions.push({
      id: String(this.#decisions.length),
      prefix,
      cohorts,
      from: "A",
      to: "B",
      blockTerm,
      swapTerm: blockTerm + 1,
      state: "swapped",
      owner: "fake",
      leaseUntilMs: 0,
      endedAtMs: Date.now(),
    });
    this.#blocked.delete(prefix);
  }

  /** Cuts every connection; the listener stays. */
  disconnect(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Waits until the only differences are poison. */
  async settle(): Promise<void> {
    const unsettled = (): boolean => [...this.#marks.keys()].some((key) => !this.poison.has(key));
    while (unsettled()) await new Promise((resolve) => setTimeout(resolve, replicationDelayMs));
  }

  async close(): Promise<void> {
    this.disconnect();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    const frames = new FrameReader();
    socket.on("error", () => undefined);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("data", (chunk) => {
      const answers = frames.push(chunk).map((body) => this.#answer(codec.unpack(body)));
      setTimeout(() => socket.write(Buffer.concat(answers)), 1);
    });
  }

  #answer([id, backend, operation, message]: [number, string, string, Message]): Uint8Array {
    try {
      const run =
        backend === "admin" ? this.#accounted(message.keys) : this.#run(backend, operation, message);
      return encodeFrame([id, 0, run]);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return encodeFrame([id, 1, error.code, error.message]);
    }
  }

  #accounted(keys: readonly RowKey[]): string[] {
    return keys.map((key) => {
      if (this.poison.has(key)) return "perror";
      if (this.#marks.has(key)) return "mark";
      return this.#copied ? "none" : "range";
    });
  }

  #run(backend: string, operation: string, message: Message): unknown {
    const own = rowKey(backend, message.key);
    switch (operation) {
      case "get":
        this.#refuseHeld(own);
        return this.#live(this.#shown(own))?.value ?? null;
      case "put":
        return this.#write(own, message.value, message.expiresAtMs ?? 0);
      case "delete":
        return this.#write(own, null, 0);
      case "add":
        return this.#write(rowKey(backend, message.key, message.member), message.value, 0);
      case "remove":
        return this.#write(rowKey(backend, message.key, message.member), null, 0);
      case "list":
        return this.#rowsOf(backend, message.key).map((row) => ({
          member: splitRowKey(row.key).sub,
          value: row.value,
        }));
      case "of":
        return [];
      case "upload":
        for (const { id, value } of message.keys) {
          this.#write(rowKey(backend, message.key, id), encodeFreeKey(value), 0);
        }
        return null;
      case "take":
        return this.#take(backend, message);
      case "count":
        return this.#rowsOf(backend, message.key).filter((row) => row.value?.[0] === 0).length;
      default:
        throw new Refusal("rejected");
    }
  }

  #take(backend: string, message: Message): unknown {
    const rows = this.#rowsOf(backend, message.key);
    const decoded = rows.map((row) => ({
      key: row.key,
      row: decodeOneTimeRow(row.value ?? Buffer.alloc(0)),
    }));
    const own = decoded.find(({ row }) => row?.taken === true && row.requestId === message.requestId);
    const taken = decoded.find(({ row }) => row?.taken === true);
    const free = decoded.find(({ row }) => row?.taken === false);
    const twice = taken !== undefined && own === undefined && this.#misbehaves("takeTwiceAt", taken.key);
    const chosen = own ?? (twice ? taken : free);
    if (chosen?.row === undefined) return null;
    if (!chosen.row.taken)
      this.#write(chosen.key, encodeTakenKey(message.requestId, Date.now(), chosen.row.bytes), 0);
    return { id: splitRowKey(chosen.key).sub, value: chosen.row.bytes };
  }

  #write(key: RowKey, value: Uint8Array | null, expiresAtMs: number): null {
    const at = this.#authority(key);
    const prefix = splitRowKey(key).key;
    for (const blocked of this.#blocked) if (prefix.startsWith(blocked)) throw new Refusal("blocked");
    if (this.victims.includes(key)) throw new Refusal("overloaded");
    this.#refuseHeld(key);
    const mayVanish = splitRowKey(key).backend !== "public_keys";
    if (mayVanish && this.#misbehaves("loseWriteAt", key)) return null;
    const before = this.#read(key);
    if (before !== undefined) this.#former.set(key, { row: before, untilMs: performance.now() });
    const version = ++this.#version;
    this.#store(at, { key, version: [1, 1, version], value, expiresAtMs });
    if (
      value === null &&
      before?.value !== null &&
      before !== undefined &&
      this.#misbehaves("resurrectAt", key)
    ) {
      for (const side of [0, 1] as const) this.#store(side, { ...before, version: [1, 1, ++this.#version] });
      return null;
    }
    if (this.#copied && this.#misbehaves("dropMarkAt", key)) {
      this.#marks.delete(key);
      return null;
    }
    this.#marks.set(key, version);
    setTimeout(() => this.#replicate(key, version), replicationDelayMs);
    return null;
  }

  #replicate(key: RowKey, version: number): void {
    if (this.#marks.get(key) !== version || this.poison.has(key)) return;
    const row = this.#read(key);
    if (row !== undefined) this.#store(this.#authority(key) === 0 ? 1 : 0, row);
    this.#marks.delete(key);
  }

  #misbehaves(how: keyof Misdeeds, key: RowKey): boolean {
    const at = this.#misdeeds[how];
    if (at === undefined || this.victims.includes(key)) return false;
    const count = (this.#counts.get(how) ?? 0) + 1;
    this.#counts.set(how, count);
    if (count === at) this.victims.push(key);
    return count === at;
  }

  #authority(key: RowKey): 0 | 1 {
    const owner = splitRowKey(key).key;
    return this.#decisions.some((decision) => owner.startsWith(decision.prefix)) ? 1 : 0;
  }

  #read(key: RowKey): Row | undefined {
    return this.#side(this.#authority(key), key).get(key);
  }

  #shown(key: RowKey): Row | undefined {
    const former = this.#former.get(key);
    if (former === undefined || performance.now() - former.untilMs < staleAfterMs) return this.#read(key);
    return this.#misbehaves("staleReadAt", key) ? former.row : this.#read(key);
  }

  /** A poison key never reached the other side: after a swap it waits there for an operator. */
  #refuseHeld(key: RowKey): void {
    if (this.poison.has(key) && this.#authority(key) === 1) throw new Refusal("held");
  }

  #rowsOf(backend: string, key: string): Row[] {
    for (const poison of this.poison) if (poison.startsWith(rowKey(backend, key))) this.#refuseHeld(poison);
    const side = this.#side(this.#authority(rowKey(backend, key)), rowKey(backend, key));
    const from = rowKey(backend, key);
    const rows = side.scanSync({ from, to: `${backend}\u0000${key}\u0001` }, Number.POSITIVE_INFINITY);
    return rows.filter((row) => this.#live(row) !== undefined);
  }

  #live(row: Row | undefined): Row | undefined {
    if (row === undefined || row.value === null) return undefined;
    return row.expiresAtMs !== 0 && row.expiresAtMs <= Date.now() ? undefined : row;
  }

  #store(side: 0 | 1, row: Row): void {
    this.#side(side, row.key).put(row);
  }

  #side(side: 0 | 1, key: RowKey): MemorySide {
    const parts = splitRowKey(key);
    const shard = this.sides[side][shardOf(parts.backend, parts.key, this.shards)];
    if (shard === undefined) throw new Error("no such shard");
    return shard;
  }
}

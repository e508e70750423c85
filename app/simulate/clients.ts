/**
 * The clients of a play: each does its operations one after the other, on one node's data access, and writes down what
 * it saw. An operation that finds its node down is not done; an answer that does not come leaves it unknown.
 */

import { blocklist } from "../../actors/backends/blocklist.ts";
import { devicePlatform } from "../../actors/backends/device_platform.ts";
import { publicKeys } from "../../actors/backends/public_keys.ts";
import type { DataAccess } from "../../actors/data_access.ts";
import { rowKey } from "../../actors/records.ts";
import { NanoError } from "../../src/index.ts";
import { isUnknown } from "./acknowledged.ts";
import type { Histories, RegisterEvent } from "./histories.ts";
import type { BurstWrite, Client, Operation } from "./plan.ts";
import type { SiteNode } from "./site_node.ts";
import type { TwoSites } from "./two_sites.ts";

/** A client's patience, ms. */
const timeoutMs = 400;

export interface ClientCounts {
  done: number;
  unknown: number;
  readonly failed: Record<string, number>;
}

export class Clients {
  readonly counts: ClientCounts = { done: 0, unknown: 0, failed: {} };
  /** Hears why an operation was refused. */
  onRefused: ((error: NanoError) => void) | undefined;
  readonly #sites: TwoSites;
  readonly #clients: readonly Client[];
  readonly #histories: Histories;
  /** The order of all calls and returns. */
  #sequence = 0;

  constructor(sites: TwoSites, clients: readonly Client[], histories: Histories) {
    this.#sites = sites;
    this.#clients = clients;
    this.#histories = histories;
  }

  /** Resolves when every operation has ended. */
  async run(operations: readonly Operation[]): Promise<void> {
    const { world } = this.#sites;
    const startMs = world.nowMs;
    await Promise.all(
      this.#clients.map(async (client, index) => {
        for (const operation of operations) {
          if (operation.client !== index) continue;
          await world.until(startMs + operation.atMs);
          await this.#attempt(client, operation);
        }
      }),
    );
  }

  /** The writers of a client's data access, if its node is up and has it. */
  async resize(client: Client, workers: number): Promise<void> {
    const node = this.#sites.siteNode(client.node);
    if (!node.isUp) return;
    const { writers } = await node.access(backendOf(client));
    await node.alive(writers.resize(workers));
  }

  async #attempt(client: Client, operation: Operation): Promise<void> {
    const node = this.#sites.siteNode(client.node);
    if (!node.isUp) return this.#failed("node down");
    try {
      if (client.backend === "device_platform") await this.#keyValue(node, operation);
      else if (client.backend === "blocklist") await this.#relation(node, operation);
      else await this.#oneTime(node, operation);
      this.counts.done++;
    } catch (error) {
      if (isUnknown(error)) this.counts.unknown++;
      else if (error instanceof NanoError) {
        this.onRefused?.(error);
        this.#failed(error.code);
      }
    }
  }

  #failed(code: string): void {
    this.counts.failed[code] = (this.counts.failed[code] ?? 0) + 1;
  }

  async #keyValue(node: SiteNode, operation: Operation): Promise<void> {
    const { key } = operation;
    const register = rowKey(devicePlatform.name, key);
    const { call } = await node.access(devicePlatform);
    if (operation.type === "put") {
      const { value, expiresInMs } = operation;
      const expiresAtMs = expiresInMs === 0 ? 0 : Math.floor(this.#sites.world.wallMs) + expiresInMs;
      const put = (): Promise<null> => call.put({ key, value: encoded(value), expiresAtMs }, { timeoutMs });
      return this.#write(node, register, value, expiresAtMs, put);
    }
    if (operation.type === "burst") return this.#burst(node, call, operation.writes);
    if (operation.type === "delete")
      return this.#write(node, register, null, 0, () => call.delete({ key }, { timeoutMs }));
    return this.#read(node, register, () => call.get({ key }, { timeoutMs }));
  }

  async #burst(
    node: SiteNode,
    call: DataAccess<typeof devicePlatform>["call"],
    writes: readonly BurstWrite[],
  ): Promise<void> {
    const before = new Map<string, string>();
    const written = writes.map(({ key, value }) => {
      const register = rowKey(devicePlatform.name, key);
      const earlier = before.get(key);
      if (earlier !== undefined) this.#histories.ordered(register, earlier, value);
      before.set(key, value);
      const put = (): Promise<null> =>
        call.put({ key, value: encoded(value), expiresAtMs: 0 }, { timeoutMs });
      return this.#write(node, register, value, 0, put);
    });
    const ends = await Promise.allSettled(written);
    for (const end of ends) if (end.status === "rejected") throw end.reason;
  }

  async #relation(node: SiteNode, operation: Operation): Promise<void> {
    const { key } = operation;
    const { call } = await node.access(blocklist);
    if (!("member" in operation)) return this.#list(node, call, key);
    const { member } = operation;
    const register = rowKey(blocklist.name, key, member);
    if (operation.type === "add") {
      const { value } = operation;
      const add = (): Promise<null> => call.add({ key, member, value: encoded(value) }, { timeoutMs });
      return this.#write(node, register, value, 0, add);
    }
    if (operation.type === "remove")
      return this.#write(node, register, null, 0, () => call.remove({ key, member }, { timeoutMs }));
    return this.#read(node, register, () => call.has({ key, member }, { timeoutMs }));
  }

  /** A read of every edge that anybody has written. */
  async #list(node: SiteNode, call: DataAccess<typeof blocklist>["call"], key: string): Promise<void> {
    const prefix = rowKey(blocklist.name, key);
    const started = this.#started();
    const members = await node.alive(call.list({ key }, { timeoutMs }));
    const values = new Map(
      members.map(({ member, value }) => [rowKey(blocklist.name, key, member), decoded(value)]),
    );
    const ended = this.#ended();
    for (const register of new Set([...this.#histories.registers(), ...values.keys()])) {
      if (!register.startsWith(prefix)) continue;
      const value = values.get(register) ?? null;
      this.#histories
        .register(register)
        .push({ kind: "read", value, ...noExpiry, ...started, ...ended, outcome: "ok" });
    }
  }

  async #oneTime(node: SiteNode, operation: Operation): Promise<void> {
    const { key } = operation;
    const { call } = await node.access(publicKeys);
    if (operation.type === "upload") {
      for (const id of operation.ids) this.#histories.offered(key, id);
      const keys = operation.ids.map((id) => ({ id, value: encoded(id) }));
      await node.alive(call.upload({ key, keys }, { timeoutMs }));
    } else if (operation.type === "take") await this.#take(node, call, key, operation.requestId);
    else await node.alive(call.count({ key }, { timeoutMs }));
  }

  /** One that had no answer is asked again, as clients do: it must not get a second key. */
  async #take(
    node: SiteNode,
    call: DataAccess<typeof publicKeys>["call"],
    key: string,
    requestId: string,
  ): Promise<void> {
    for (let tries = 0; tries < 2; tries++) {
      try {
        const taken = await node.alive(call.take({ key, requestId }, { timeoutMs }));
        this.#histories.took(key, { requestId, id: taken?.id ?? null });
        return;
      } catch (error) {
        if (tries > 0 || !isUnknown(error) || !node.isUp) throw error;
      }
    }
  }

  async #write(
    node: SiteNode,
    register: string,
    value: string | null,
    expiresAtMs: number,
    write: () => Promise<unknown>,
  ): Promise<void> {
    const started = this.#started();
    const event = { kind: "write" as const, value, expiresAtMs, ...started };
    const history = this.#histories.register(register);
    const place = history.push({ ...event, end: 0, toMs: 0, outcome: "unknown" }) - 1;
    let outcome: RegisterEvent["outcome"] = "unknown";
    try {
      await node.alive(write());
      outcome = "ok";
    } catch (error) {
      if (!isUnknown(error)) outcome = "failed";
      throw error;
    } finally {
      history[place] = { ...event, ...this.#ended(), outcome };
    }
  }

  async #read(node: SiteNode, register: string, read: () => Promise<Uint8Array | null>): Promise<void> {
    const started = this.#started();
    const bytes = await node.alive(read());
    const value = bytes === null ? null : decoded(bytes);
    const event: RegisterEvent = {
      kind: "read",
      value,
      ...noExpiry,
      ...started,
      ...this.#ended(),
      outcome: "ok",
    };
    this.#histories.register(register).push(event);
  }

  #started(): Pick<RegisterEvent, "start" | "fromMs"> {
    return { start: this.#sequence++, fromMs: this.#sites.world.wallMs };
  }

  #ended(): Pick<RegisterEvent, "end" | "toMs"> {
    return { end: this.#sequence++, toMs: this.#sites.world.wallMs };
  }

  /** What stands in the end where each key is served, as a last read of each. */
  readFinally(shown: (register: string) => string | null | undefined): void {
    for (const register of this.#histories.registers()) {
      const value = shown(register);
      if (value === undefined) continue;
      const event: RegisterEvent = {
        kind: "read",
        value,
        ...noExpiry,
        ...this.#started(),
        ...this.#ended(),
        outcome: "ok",
      };
      this.#histories.register(register).push(event);
    }
  }
}

const noExpiry = { expiresAtMs: 0 } as const;

function backendOf({ backend }: Client) {
  switch (backend) {
    case "device_platform":
      return devicePlatform;
    case "blocklist":
      return blocklist;
    case "public_keys":
      return publicKeys;
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function encoded(text: string): Uint8Array {
  return encoder.encode(text);
}

function decoded(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** Runs a driver in this process against a fake system, through the messages of its parent. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Driver, type DriverWorld } from "../../app/driver/driver.ts";
import type { TrafficSettings } from "../../app/driver/limits.ts";
import type { LoadStore } from "../../app/driver/loading.ts";
import type { DriverResult, FromDriver, JobSettings, MigrationPhase } from "../../app/messages.ts";
import { FakeSystem, type Misdeeds } from "./fake_system.ts";
import type { MemorySide } from "./memory_side.ts";

export const testPrefixes = ["+49", "+55", "+91"];

export const testPace: TrafficSettings = {
  inFlightMax: 64,
  codeWritesMax: 48,
  operationsPerSecond: 20_000,
  writeShare: 0.7,
  skew: 0.9,
  poisonShare: 0.002,
};

export function testSettings(seed: number, dataDirectory: string): JobSettings {
  return {
    dataDirectory,
    users: 120,
    seconds: 1,
    seed,
    threads: 0,
    shards: 3,
    backends: ["device_platform", "profile_picture", "blocklist", "groups", "public_keys"],
    routing: {},
    durability: "group",
    faults: true,
    prefixes: testPrefixes,
    reversedPrefix: "+49",
    poisonKeys: 4,
  };
}

export class DriverRun {
  readonly directory = mkdtempSync(join(tmpdir(), "nanoactor-driver-"));
  readonly settings: JobSettings;
  readonly system: FakeSystem;
  readonly messages: FromDriver[] = [];
  #driver: Driver | undefined;
  #port: number | undefined;
  #wake: () => void = () => undefined;

  constructor(seed: number, misdeeds: Misdeeds = {}) {
    this.settings = testSettings(seed, this.directory);
    this.system = new FakeSystem(this.settings.shards, testPrefixes, misdeeds);
  }

  /** Starts the driver, as its parent does at first and after a kill. */
  async start(): Promise<void> {
    this.#driver = await Driver.prepare(this.settings, this.#world(), testPace);
    for (const key of (await this.heard("loaded")).poisonKeys) this.system.poison.add(key);
  }

  async connect(): Promise<void> {
    this.#port ??= await this.system.listen();
    await this.driver.handle({ type: "connect", port: this.#port });
    await this.heard("traffic_started");
  }

  get driver(): Driver {
    if (this.#driver === undefined) throw new Error("the driver has not started");
    return this.#driver;
  }

  /** Gives the driver up as a SIGKILL would: nothing is closed in order. */
  async abandon(): Promise<void> {
    await this.driver.close();
    this.messages.length = 0;
  }

  /** The next message of a type; messages of this type are taken out in their order. */
  async heard<T extends FromDriver["type"]>(type: T): Promise<FromDriver & { readonly type: T }> {
    for (;;) {
      const index = this.messages.findIndex((message) => message.type === type);
      const [found] = index === -1 ? [] : this.messages.splice(index, 1);
      if (isOfType(found, type)) return found;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Waits, a second of traffic at a time, until something has happened. */
  async until(happened: (acknowledgedWrites: number) => boolean): Promise<void> {
    while (!happened((await this.heard("progress")).progress.acknowledgedWrites));
  }

  /** Every row is audited; resolves with how many keys were judged. */
  async audit(phase: MigrationPhase): Promise<number> {
    await this.driver.handle({ type: "phase", phase });
    return (await this.heard("audited")).keys;
  }

  /** Ends the traffic, lets the fake settle, and compares everything. */
  async finish(): Promise<DriverResult> {
    await this.driver.handle({ type: "finish" });
    await this.heard("idle");
    await this.system.settle();
    await this.driver.handle({ type: "compare", perrorKeys: [...this.system.poison] });
    return (await this.heard("result")).result;
  }

  async close(): Promise<void> {
    await this.driver.close();
    await this.system.close();
    rmSync(this.directory, { recursive: true });
  }

  #world(): DriverWorld {
    const [local, remote] = this.system.sides;
    const reader = (site: string, shard: number): MemorySide => {
      const side = (site === "A" ? local : remote)[shard];
      if (side === undefined) throw new Error("no such shard");
      return side;
    };
    return {
      openStore: (site, shard) => Promise.resolve(loadInto(reader(site, shard))),
      whileLocked: (work) => work(),
      openReader: reader,
      openControl: () =>
        Promise.resolve({ list: (prefix) => this.system.list(prefix), close: () => Promise.resolve() }),
      send: (message) => {
        this.messages.push(message);
        this.#wake();
      },
    };
  }
}

function loadInto(side: MemorySide): LoadStore {
  return {
    apply: (groups) => {
      for (const group of groups) for (const row of group.rows) side.put(row);
      return Promise.resolve(groups.map((group) => group.rows.map(() => ({ status: "applied" as const }))));
    },
    sync: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}

export function isOfType<T extends FromDriver["type"]>(
  message: FromDriver | undefined,
  type: T,
): message is FromDriver & { readonly type: T } {
  return message?.type === type;
}

/** The driver as a child process, beside two real sites on LMDB stores in this one. */

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { backends } from "../../actors/backends/index.ts";
import type { RowKey } from "../../actors/records.ts";
import type { FromDriver, JobSettings, ToDriver } from "../../app/messages.ts";
import { startFrontEnd } from "../../app/system/front_end.ts";
import { isOfType } from "./driver_run.ts";
import { prefixes, shards, startTwoSites, type TwoSites } from "./two_sites.ts";

const driverMain = new URL("../../app/driver/main.js", import.meta.url);

export class DriverProcess {
  readonly folder: string;
  readonly messages: FromDriver[] = [];
  readonly #settings: JobSettings;
  #child: ChildProcess | undefined;
  #wake: () => void = () => undefined;

  constructor(users: number, folder = mkdtempSync(join(tmpdir(), "nanoactor-driver-process-"))) {
    this.folder = folder;
    this.#settings = {
      dataDirectory: this.folder,
      users,
      seconds: 1,
      seed: 1,
      threads: 0,
      shards,
      backends: Object.keys(backends),
      routing: {},
      durability: "group",
      faults: false,
      prefixes,
      reversedPrefix: "+33",
      poisonKeys: 0,
    };
  }

  start(): void {
    const child = fork(driverMain, [JSON.stringify(this.#settings)]);
    child.on("message", (message: FromDriver) => {
      this.messages.push(message);
      this.#wake();
    });
    this.#child = child;
  }

  send(message: ToDriver): void {
    this.#child?.send(message);
  }

  /** The next message of a type. */
  async heard<T extends FromDriver["type"]>(type: T): Promise<FromDriver & { readonly type: T }> {
    for (;;) {
      const failed = this.messages.find((message) => message.type === "failed");
      if (failed?.type === "failed") throw new Error(`the driver failed: ${failed.message}`);
      const index = this.messages.findIndex((message) => message.type === type);
      const [found] = index === -1 ? [] : this.messages.splice(index, 1);
      if (isOfType(found, type)) return found;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** SIGKILL, in the middle of whatever it does. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
    this.messages.length = 0;
  }

  async close(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export interface Served {
  readonly sites: TwoSites;
  readonly port: number;
  close(): Promise<void>;
}

/** Two sites on a driver's data, behind a front end that speaks its protocol. */
export async function serveSites(folder: string): Promise<Served> {
  const sites = await startTwoSites({}, folder);
  const modules = new Map(
    await Promise.all(Object.keys(backends).map(async (name) => [name, await sites.module(name)] as const)),
  );
  const front = await startFrontEnd(async (backend, operation, message) => {
    if (backend === "admin")
      return sites.sites.accounts((message as { readonly keys: readonly RowKey[] }).keys);
    const module = modules.get(backend);
    if (module === undefined) throw new Error(`no backend ${backend}`);
    return module.call.run({ operation, message });
  });
  return {
    sites,
    port: front.port,
    close: async () => {
      await front.close();
      await sites.stop();
    },
  };
}

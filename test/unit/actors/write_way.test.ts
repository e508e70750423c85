import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { devicePlatform } from "../../../actors/backends/device_platform.ts";
import { DataAccess } from "../../../actors/data_access.ts";
import { db_compare } from "../../../actors/db_compare.ts";
import { db_crawler } from "../../../actors/db_crawler.ts";
import { db_dirty_keys } from "../../../actors/db_dirty_keys.ts";
import { db_dirty_log } from "../../../actors/db_dirty_log.ts";
import { db_module } from "../../../actors/db_module.ts";
import { db_perror } from "../../../actors/db_perror.ts";
import { db_queuer } from "../../../actors/db_queuer.ts";
import { db_replay } from "../../../actors/db_replay.ts";
import { db_store } from "../../../actors/db_store.ts";
import { db_switch } from "../../../actors/db_switch.ts";
import { PeerSender } from "../../../actors/peer_sender.ts";
import { shardProcess } from "../../../actors/shard_options.ts";
import { factory_dispatcher } from "../../../src/core/gen_factory.ts";
import type { Definition } from "../../../src/index.ts";
import { shards, startTwoSites, type TwoSites } from "../../e2e/two_sites.ts";
import { projectRoot } from "../../tidy/project.ts";

/** The files that do something, in the order in which they first did. */
class Recorder {
  readonly files: string[] = [];
  readonly #undo: (() => void)[] = [];
  #on = false;

  start(): void {
    this.#on = true;
  }

  saw(file: string): void {
    if (this.#on && !this.files.includes(file)) this.files.push(file);
  }

  /** Every message that one of the definition's handlers takes. */
  watch(definition: Definition): void {
    const file = /dist\/(.*)\.js$/.exec(definition.module)?.[1];
    for (const handlers of [definition.callbacks.call, definition.callbacks.cast]) {
      for (const [name, handler] of Object.entries(handlers ?? {})) {
        this.#replace(handlers, name, (...args: unknown[]) => {
          this.saw(`${file}.ts`);
          return (handler as (...all: unknown[]) => unknown)(...args);
        });
      }
    }
  }

  watchMethod(target: object, name: string, file: string): void {
    const method = Reflect.get(target, name) as (...args: unknown[]) => unknown;
    const saw = (): void => this.saw(file);
    this.#replace(target, name, function (this: unknown, ...args: unknown[]) {
      saw();
      return method.apply(this, args);
    });
  }

  restore(): void {
    for (const undo of this.#undo) undo();
  }

  #replace(target: object, name: string, value: unknown): void {
    const before: unknown = Reflect.get(target, name);
    Reflect.set(target, name, value);
    this.#undo.push(() => Reflect.set(target, name, before));
  }
}

/** The numbered list under "The way of a write". */
function documented(): string[] {
  const text = readFileSync(`${projectRoot}/ARCHITECTURE.md`, "utf8");
  const section = text.slice(text.indexOf("## The way of a write"), text.indexOf("## Threads and shards"));
  return [...section.matchAll(/^\d+\. `([^`]+)`/gm)].map(([, file]) => file ?? "");
}

async function live({ sites, system }: TwoSites): Promise<void> {
  await sites.migration.call.run(sites.migrationPlan({}, { movesFromMs: Number.MAX_SAFE_INTEGER }));
  while ((await sites.migration.call.progress()).phase !== "ready") {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  for (const site of ["A", "B"]) {
    for (let shard = 0; shard < shards; shard++) {
      await system.ref(db_crawler, shardProcess(site, shard, "db_crawler")).call.pause();
    }
  }
}

it("a write passes the files that ARCHITECTURE.md names, in that order, and at most ten", async () => {
  const recorder = new Recorder();
  const behaviours = [db_module, db_switch, db_dirty_keys, db_dirty_log, db_store, db_queuer];
  const beside = [db_replay, db_perror, db_compare, db_crawler];
  for (const each of [factory_dispatcher, ...behaviours, ...beside]) recorder.watch(each);
  recorder.watchMethod(DataAccess.prototype, "run", "actors/data_access.ts");
  recorder.watchMethod(PeerSender.prototype, "send", "actors/peer_sender.ts");
  const two = await startTwoSites({ recheckMs: [5] });
  try {
    await live(two);
    const access = await two.sites.access(devicePlatform, { writers: 2 });
    for (const store of two.openedStores) recorder.watchMethod(store, "apply", "actors/stores/lmdb.ts");
    recorder.start();
    await access.call.put({ key: "+4915112345678", value: Uint8Array.of(1) });
    while (!(await two.sites.settled())) await new Promise((resolve) => setTimeout(resolve, 5));
    const list = documented();
    expect(recorder.files.filter((file) => list.includes(file))).toEqual(list);
    expect(list.length).toBeLessThanOrEqual(10);
    // db_replay hears how the batch went; nobody else has part in a write that goes well.
    const others = recorder.files.filter((file) => !list.includes(file));
    expect(others).toEqual(["actors/db_replay.ts"]);
  } finally {
    recorder.restore();
    await two.remove();
  }
});

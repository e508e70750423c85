/**
 * The driver's process: started by the command with an IPC channel and its settings as a JSON argument. It
 * ends when the channel does; a signal from the terminal is the command's to handle.
 */

import { randomUUID } from "node:crypto";
import { dirname } from "node:path";
import { backends } from "../../actors/backends/index.ts";
import { layout } from "../../actors/stores/data_directory.ts";
import { lockDirectory, whileLocked } from "../../actors/stores/directory_lock.ts";
import { openLmdbReader, openLmdbStore } from "../../actors/stores/lmdb.ts";
import { openLmdbControl } from "../../actors/stores/lmdb_control.ts";
import { jobFiles, lockWaitMs } from "../layout.ts";
import type { FromDriver, JobSettings, ToDriver } from "../messages.ts";
import { Driver, type DriverWorld } from "./driver.ts";
import { defaultTraffic } from "./limits.ts";
import { parseSettings } from "./settings.ts";

/** Loading writes the reverse index with the rows, as the system would. */
const indexedBackends = Object.values(backends)
  .filter(({ kind }) => kind.indexed)
  .map(({ name }) => name);

function send(message: FromDriver): void {
  process.send?.(message);
}

function fail(error: unknown): void {
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const exit = (): never => process.exit(1);
  if (process.send === undefined) exit();
  else process.send({ type: "failed", code: "driver", message } satisfies FromDriver, exit);
}

function worldOf(settings: JobSettings): DriverWorld {
  const { dataDirectory, durability } = settings;
  return {
    openStore: (site, shard) =>
      openLmdbStore({
        path: layout.store(dataDirectory, site, shard),
        indexedBackends,
        durability,
        newStoreId: randomUUID(),
      }),
    whileLocked: (work) => whileLocked(dataDirectory, work, { waitMs: lockWaitMs }),
    openReader: (site, shard) => openLmdbReader(layout.store(dataDirectory, site, shard)),
    openControl: async () => {
      const path = layout.control(dataDirectory);
      await openLmdbControl(path).close();
      return openLmdbControl(path, { readOnly: true });
    },
    send,
  };
}

async function main(): Promise<void> {
  process.on("disconnect", () => process.exit(0));
  process.on("SIGINT", () => undefined);
  process.on("uncaughtException", fail);
  process.on("unhandledRejection", fail);
  const settings = parseSettings(process.argv[2]);
  // Before the journal is touched: a second command's driver would write into a living one's. Released by the end.
  lockDirectory(dirname(jobFiles.journal(settings.dataDirectory)), { waitMs: lockWaitMs });
  const early: ToDriver[] = [];
  let driver: Driver | undefined;
  const handle = (to: Driver, message: ToDriver): void => {
    to.handle(message).catch(fail);
  };
  process.on("message", (message: ToDriver) => {
    if (driver === undefined) early.push(message);
    else handle(driver, message);
  });
  driver = await Driver.prepare(settings, worldOf(settings), defaultTraffic);
  for (const message of early) handle(driver, message);
}

main().catch(fail);

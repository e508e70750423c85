/**
 * Pools of worker threads with one worker each, and comlink, which calls functions of a worker. None of them has
 * messages without an answer: their bursts are calls that are awaited together.
 */

import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { wrap } from "comlink";
import nodeEndpoint from "comlink/dist/esm/node-adapter.mjs";
import { Piscina } from "piscina";
import { Tinypool } from "tinypool";
import { pool as workerpool } from "workerpool";
import { nextMessage, type PutMessage } from "../put_server.ts";
import type { ThreadContender } from "../thread_contender.ts";

/** Of the settings tried the fastest for small tasks. */
const tasksInFlight = 128;

const filename = fileURLToPath(new URL("./pool_worker.js", import.meta.url));

const oneThread = { filename, minThreads: 1, maxThreads: 1, concurrentTasksPerWorker: tasksInFlight };

export function startPiscina(): Promise<ThreadContender> {
  const pool = new Piscina(oneThread);
  return contender(
    (message) => pool.run(message),
    () => pool.destroy(),
  );
}

export function startTinypool(): Promise<ThreadContender> {
  const pool = new Tinypool(oneThread);
  return contender(
    (message) => pool.run(message),
    () => pool.destroy(),
  );
}

export function startWorkerpool(): Promise<ThreadContender> {
  const script = fileURLToPath(new URL("./workerpool_worker.js", import.meta.url));
  const pool = workerpool(script, { minWorkers: 1, maxWorkers: 1, workerType: "thread" });
  return contender(
    async (message) => pool.exec("put", [message]),
    async () => {
      await pool.terminate();
    },
  );
}

export function startComlink(): Promise<ThreadContender> {
  const worker = new Worker(new URL("./comlink_worker.js", import.meta.url));
  const remote = wrap<{ put(message: PutMessage): number }>(nodeEndpoint(worker));
  return contender(
    async (message) => remote.put(message),
    async () => void (await worker.terminate()),
  );
}

async function contender(
  put: ThreadContender["put"],
  stop: ThreadContender["stop"],
): Promise<ThreadContender> {
  await put(nextMessage());
  return {
    put,
    burst: async (count) => void (await Promise.all(Array.from({ length: count }, () => put(nextMessage())))),
    stop,
  };
}

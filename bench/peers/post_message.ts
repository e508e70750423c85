/**
 * What Node itself offers: a message on a worker's port for each call, or one for all calls of a turn, up to 100.
 * State: who waits, by number. No deadlines, no bounds, and nobody notices if the thread dies.
 */

import { Worker } from "node:worker_threads";
import { nextMessage, type PutMessage, putMessage } from "../put_server.ts";
import type { ThreadContender } from "../thread_contender.ts";

/** `ref` 0 asks for no answer. */
export interface PortReply {
  readonly ref: number;
  readonly version: number;
}

/** A batch is an array, and is answered as one. */
export type PortMessage<T> = T | readonly T[];

const batchMax = 100;

export function startPostMessage(): Promise<ThreadContender> {
  return startPort((worker) => (message) => worker.postMessage(message));
}

export function startBatches(): Promise<ThreadContender> {
  return startPort((worker) => {
    let batch: PutMessage[] = [];
    const flush = (): void => {
      if (batch.length === 0) return;
      worker.postMessage(batch);
      batch = [];
    };
    return (message) => {
      batch.push(message);
      if (batch.length === 1) queueMicrotask(flush);
      else if (batch.length === batchMax) flush();
    };
  });
}

async function startPort(
  senderOf: (worker: Worker) => (message: PutMessage) => void,
): Promise<ThreadContender> {
  const worker = new Worker(new URL("./post_message_worker.js", import.meta.url));
  const send = senderOf(worker);
  const waiting = new Map<number, (version: number) => void>();
  let ref = 0;
  const settle = ({ ref: answered, version }: PortReply): void => {
    waiting.get(answered)?.(version);
    waiting.delete(answered);
  };
  worker.on("message", (reply: PortMessage<PortReply>) => {
    if (isBatch(reply)) for (const each of reply) settle(each);
    else settle(reply);
  });
  const put = (message: PutMessage): Promise<number> =>
    new Promise((resolve) => {
      waiting.set(++ref, resolve);
      send(withRef(message, ref));
    });
  await put(putMessage());
  return {
    put,
    burst: async (count) => {
      for (let i = 1; i < count; i++) send(withRef(nextMessage(), 0));
      await put(nextMessage());
    },
    stop: async () => void (await worker.terminate()),
  };
}

/** A new object each time: of one that is twice in a batch, the second would be a mere reference. */
function withRef({ op, key, value, version }: PutMessage, ref: number): PutMessage {
  return { ref, op, key, value, version };
}

export function isBatch<T>(message: PortMessage<T>): message is readonly T[] {
  return Array.isArray(message);
}

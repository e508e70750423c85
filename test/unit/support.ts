/** A host on the real clock for tests of the core: one thread, or one of two that are linked; no log. */

import type { Envelope } from "../../src/core/envelope.ts";
import type { Definition, Ref } from "../../src/core/gen_server.ts";
import { Host } from "../../src/core/host.ts";
import type { Target } from "../../src/core/pid.ts";
import { makeRef } from "../../src/core/ref.ts";
import { nodeExecutor } from "../../src/platform/executor.ts";
import { singleThread } from "../../src/platform/single_thread.ts";
import type { Clock } from "../../src/seams/clock.ts";
import type { Logger } from "../../src/seams/log.ts";
import type { Transport } from "../../src/seams/transport.ts";

export const silentLog: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
};

function realClock(): Clock {
  const timers = new Map<number, NodeJS.Timeout>();
  let next = 1;
  return {
    now: () => Date.now(),
    monotonicMs: () => performance.now(),
    setTimer: (delayMs, callback) => {
      const id = next++;
      timers.set(
        id,
        setTimeout(() => {
          timers.delete(id);
          callback();
        }, delayMs),
      );
      return { id };
    },
    clearTimer: ({ id }) => {
      clearTimeout(timers.get(id));
      timers.delete(id);
    },
  };
}

export function testHost(resources: Record<string, unknown> = {}, link?: Transport<Envelope>): Host {
  return new Host({
    node: "test",
    transport: link ?? singleThread(),
    clock: realClock(),
    random: { next: () => Math.random(), bytes: (_site, count) => new Uint8Array(count) },
    executor: nodeExecutor,
    log: silentLog,
    resources,
    loadDefinition: async ({ module, name }) =>
      ((await import(module)) as Record<string, Definition>)[name] as Definition,
    peers: link === undefined ? [] : [{ thread: 1 - link.thread, incarnation: 1 }],
  });
}

export function refOf<D extends Definition>(host: Host, definition: D, target: Target): Ref<D> {
  return makeRef(host, host.client, definition, target);
}

/** What a worker thread of a system runs: a host on the thread's transport, and nothing else. */

import type { Envelope } from "../core/envelope.ts";
import { Host } from "../core/host.ts";
import { importDefinition } from "../core/import_definition.ts";
import { nodeExecutor } from "./executor.ts";
import type { HostContext, HostHandle } from "./thread_task.ts";

export interface EntryOptions {
  readonly node: string;
}

export function runThread(context: HostContext<Envelope>): HostHandle {
  const { node } = context.options as EntryOptions;
  const host = new Host({
    node,
    transport: context.transport,
    clock: context.clock,
    random: context.random,
    executor: nodeExecutor,
    log: context.log,
    board: context.board,
    resources: context.resources,
    loadDefinition: importDefinition,
    peers: context.transport.peers(),
  });
  return { stop: async () => host.close() };
}

/** What a worker thread of a system runs: a host on the thread's transport, and nothing else. */

import type { Envelope } from "../core/envelope.ts";
import { Host } from "../core/host.ts";
import { importDefinition } from "../core/import_definition.ts";
import { type CapsuleFolder, capsulesIn } from "./capsule_folder.ts";
import { nodeExecutor } from "./executor.ts";
import type { HostContext, HostHandle } from "./thread_task.ts";

export interface EntryOptions {
  readonly node: string;
  readonly capsules: CapsuleFolder | undefined;
  readonly development: boolean;
}

export function runThread(context: HostContext<Envelope>): HostHandle {
  const { node, capsules, development } = context.options as EntryOptions;
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
    development,
    ...capsulesIn(capsules, context.clock, context.log),
  });
  return {
    stop: async () => {
      host.close();
      await host.capsules?.written();
    },
  };
}

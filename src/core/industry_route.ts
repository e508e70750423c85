/**
 * The way from a key to its dispatcher, the same for every sender: through the table that the number of dispatchers
 * gives. Nobody stands between: a job goes from its sender's thread to the dispatcher's.
 */

import { assert } from "../base/assert.ts";
import { type JobWays, jobWays } from "./factory.ts";
import { factory_dispatcher } from "./gen_factory.ts";
import type { Definition } from "./gen_server.ts";
import { dispatcherPartitionOf, routingTable } from "./routing_table.ts";
import type { Self } from "./self.ts";

/** What a process needs to send jobs to an industry: plain data, for `args` and messages. */
export interface IndustryAddress {
  readonly name: string;
  readonly dispatchers: number;
}

/** A process's typed ways to an industry. */
export interface IndustryRef<D extends Definition> {
  at(key: string): JobWays<D>;
}

/** Under this name a dispatcher is registered; it keeps it across restarts. */
export function dispatcherName(industry: string, dispatcher: number): string {
  return `${industry}/${dispatcher}`;
}

/** From 0. */
export function dispatcherOf(key: string, dispatchers: number): number {
  const dispatcher = routingTable(dispatchers)[dispatcherPartitionOf(key)];
  assert(dispatcher !== undefined, "every partition has a dispatcher");
  return dispatcher;
}

/**
 * The ways of a process, on any thread, to an industry that the program started: `address` is `Industry.address`.
 * Deadlines, signals and errors are as those of `self.ref`; a job's errors as those of `Industry.at`.
 */
export function industryRef<D extends Definition>(
  self: Pick<Self, "ref">,
  definition: D,
  { name, dispatchers }: IndustryAddress,
): IndustryRef<D> {
  const refs = Array.from({ length: dispatchers }, (_, dispatcher) =>
    self.ref(factory_dispatcher, dispatcherName(name, dispatcher)),
  );
  return {
    at: (key) => {
      const ref = refs[dispatcherOf(key, dispatchers)];
      assert(ref !== undefined, "every dispatcher has a ref");
      return jobWays(definition, key, (request, options) => ref.call.job(request, options));
    },
  };
}

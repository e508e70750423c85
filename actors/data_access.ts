/**
 * A backend's data access as business code holds it: one typed function for each operation of its kind. Behind it
 * stand two factories of db_module workers: writers, routed as configured, and readers, of which any free one will do.
 */

import {
  type CallOptions,
  type Factory,
  type JobLimits,
  queue,
  type Routing,
  type System,
  stickyQueue,
} from "../src/index.ts";
import type { Backend } from "./backends/backend.ts";
import { db_module, type ModuleOptions, type ModuleRequest } from "./db_module.ts";
import type { Operation } from "./kinds/kind.ts";

/** `get: (message: { key: string }, options?) => Promise<Uint8Array | null>` and so on, from the backend's kind. */
export type OperationCalls<B extends Backend> = {
  readonly [Name in keyof B["kind"]["operations"]]: B["kind"]["operations"][Name] extends Operation<
    infer Message,
    infer Answer
  >
    ? (message: Message, options?: CallOptions) => Promise<Answer>
    : never;
};

export interface DataAccessOptions {
  /** Of writes. Default: stickyQueue(). Errors: `unsafe` when the kind needs an order that it does not keep. */
  readonly routing?: Routing;
  /** Writes that run at once: each waits for a group commit, so there are many. Default: 128. */
  readonly writers?: number;
  /** Default: 64. */
  readonly readers?: number;
  /** Limits of what waits, for either factory. */
  readonly jobs?: JobLimits;
}

export class DataAccess<B extends Backend> {
  readonly backend: B;
  readonly call: OperationCalls<B>;
  readonly writers: Factory<typeof db_module>;
  readonly readers: Factory<typeof db_module>;
  readonly #reads: ReadonlySet<string>;

  private constructor(backend: B, writers: Factory<typeof db_module>, readers: Factory<typeof db_module>) {
    this.backend = backend;
    this.writers = writers;
    this.readers = readers;
    this.#reads = new Set(backend.kind.reads);
    const call: Record<string, unknown> = {};
    for (const name of Object.keys(backend.kind.operations)) {
      call[name] = (message: unknown, options?: CallOptions) => this.run(name, message, options);
    }
    this.call = call as OperationCalls<B>;
  }

  static async open<B extends Backend>(
    system: System,
    backend: B,
    where: Omit<ModuleOptions, "backend">,
    options: DataAccessOptions = {},
  ): Promise<DataAccess<B>> {
    const { routing = stickyQueue(), writers = 128, readers = 64, jobs = {} } = options;
    const { name, kind } = backend;
    const args: ModuleOptions = { ...where, backend: name };
    return new DataAccess(
      backend,
      await system.startFactory(`${name} writers`, db_module, {
        args,
        workers: writers,
        routing,
        affinity: kind.affinity,
        jobs,
      }),
      await system.startFactory(`${name} readers`, db_module, {
        args,
        workers: readers,
        routing: queue(),
        jobs,
      }),
    );
  }

  /**
   * An operation whose name and message come from outside; both are checked. Errors: `bad_argument` naming the field,
   * and those of `db_module`'s run.
   */
  run(operation: string, message: unknown, options?: CallOptions): Promise<unknown> {
    const key = routingKey(message);
    const factory = this.#reads.has(operation) ? this.readers : this.writers;
    return factory.call(key, "run", { key, operation, message } satisfies ModuleRequest, options);
  }
}

/** What the operation is about; a message without it is refused by the operation's own check. */
function routingKey(message: unknown): string {
  if (typeof message !== "object" || message === null) return "";
  if ("key" in message && typeof message.key === "string") return message.key;
  return "member" in message && typeof message.member === "string" ? message.member : "";
}

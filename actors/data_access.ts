/**
 * A backend's data access as business code holds it: one typed function for each operation of its kind. Behind it
 * stand a factory of db_module workers for the writes, routed as configured, and one db_module that takes all reads.
 */

import {
  type CallOptions,
  child,
  type Factory,
  type JobLimits,
  type Ref,
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
  /** Limits of writes that wait. */
  readonly jobs?: JobLimits;
  /** Reads under way at once; beyond it they are refused as `overloaded`. Default: `dataLimits.readsMax`. */
  readonly readsMax?: number;
}

export class DataAccess<B extends Backend> {
  readonly backend: B;
  readonly call: OperationCalls<B>;
  readonly writers: Factory<typeof db_module>;
  readonly #reader: Ref<typeof db_module>;
  readonly #reads: ReadonlySet<string>;

  private constructor(backend: B, writers: Factory<typeof db_module>, reader: Ref<typeof db_module>) {
    this.backend = backend;
    this.writers = writers;
    this.#reader = reader;
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
    const { routing = stickyQueue(), writers = 128, jobs = {}, readsMax } = options;
    const { name, kind } = backend;
    const args: ModuleOptions = { ...where, backend: name, ...(readsMax === undefined ? {} : { readsMax }) };
    const factory = await system.startFactory(`${name} writers`, db_module, {
      args,
      workers: writers,
      routing,
      affinity: kind.affinity,
      jobs,
    });
    const reads = `${name} reads`;
    await system.supervise({ children: [child("reads", db_module, args, { name: reads })] });
    return new DataAccess(backend, factory, system.ref(db_module, reads));
  }

  /**
   * An operation whose name and message come from outside; both are checked. Errors: `bad_argument` naming the field,
   * and those of `db_module`'s run.
   */
  run(operation: string, message: unknown, options?: CallOptions): Promise<unknown> {
    const request: ModuleRequest = { operation, message };
    if (this.#reads.has(operation)) return this.#reader.call.run(request, options);
    return this.writers.call(routingKey(message), "run", request, options);
  }
}

/** What a write is about; a message without it is refused by the operation's own check. */
function routingKey(message: unknown): string {
  const key = (message as { readonly key?: unknown } | null | undefined)?.key;
  return typeof key === "string" ? key : "";
}

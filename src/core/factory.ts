/** A factory as its users hold it: typed ways to a key's next job. */

import type { AllWays } from "./broadcast.ts";
import {
  type FactoryStatistics,
  factory_dispatcher,
  type JobRequest,
  type KeyExplanation,
  type ResizeExplanation,
} from "./gen_factory.ts";
import type { CallOptions, CallsOf, CastsOf, Definition, Ref } from "./gen_server.ts";
import type { Host } from "./host.ts";
import { coreLimits } from "./limits.ts";
import { makeRef } from "./ref.ts";

/** What a factory's users may ask of one key. A cast resolves to nothing and is never answered. */
export interface JobWays<D extends Definition> {
  readonly call: CallsOf<D>;
  readonly cast: CastsOf<D>;
}

/** `send`: how a job reaches its dispatcher. */
export function jobWays<D extends Definition>(
  { callbacks }: D,
  key: string,
  send: (request: JobRequest, options: CallOptions | undefined) => Promise<unknown>,
): JobWays<D> {
  const call: Record<string, unknown> = {};
  for (const method of Object.keys(callbacks.call ?? {})) {
    call[method] = (message: unknown, options?: CallOptions) =>
      send({ key, kind: "call", method, message }, options);
  }
  const cast: Record<string, unknown> = {};
  for (const method of Object.keys(callbacks.cast ?? {})) {
    cast[method] = (message: unknown) => {
      // What became of it is heard by onDiscard and the dispatcher's counters.
      send({ key, kind: "cast", method, message }, unbounded).catch(() => undefined);
    };
  }
  return { call: call as CallsOf<D>, cast: cast as CastsOf<D> };
}

/** Nobody waits for a cast, nor does it end with the request for which a process sent it. */
const unbounded: CallOptions = { timeoutMs: Number.POSITIVE_INFINITY, inherit: false };

export class Factory<D extends Definition> {
  readonly #host: Host;
  readonly #definition: D;
  readonly #dispatcher: Ref<typeof factory_dispatcher>;
  /** The dispatcher's registered name; it keeps it across restarts. */
  readonly name: string;

  constructor(host: Host, definition: D, name: string) {
    this.#host = host;
    this.#definition = definition;
    this.name = name;
    this.#dispatcher = makeRef(host, host.client, factory_dispatcher, name);
  }

  /** The way to `key`'s next job. Errors of a call: as the worker's, `discarded` with `details.reason`, `crashed`. */
  at(key: string): JobWays<D> {
    return jobWays(this.#definition, key, (request, options) => this.#job(request, options));
  }

  /**
   * The ways to every worker at once. What is sent so is no job: each worker takes it behind the job that it has in
   * hand. A call tells each worker's answer, or the error under which there is none, also of those that time out.
   */
  get all(): AllWays<D> {
    const broadcast = (kind: "call" | "cast", method: string, message: unknown, timeoutMs: number) =>
      this.#dispatcher.call.all(
        { kind, method, message, timeoutMs },
        { timeoutMs: Number.POSITIVE_INFINITY },
      );
    const call: Record<string, unknown> = {};
    for (const method of Object.keys(this.#definition.callbacks.call ?? {})) {
      call[method] = (message: unknown, { timeoutMs = coreLimits.callTimeoutMs }: CallOptions = {}) =>
        broadcast("call", method, message, timeoutMs);
    }
    const cast: Record<string, unknown> = {};
    for (const method of Object.keys(this.#definition.callbacks.cast ?? {})) {
      cast[method] = (message: unknown) => {
        broadcast("cast", method, message, Number.POSITIVE_INFINITY).catch(() => undefined);
      };
    }
    return { call: call as AllWays<D>["call"], cast: cast as CastsOf<D> };
  }

  /** A call whose method is data, at less cost than `at`. Errors: as those of `at(key).call`. */
  call(key: string, method: string, message: unknown, options?: CallOptions): Promise<unknown> {
    return this.#job({ key, kind: "call", method, message }, options);
  }

  /**
   * From now on this many workers; no job is lost, the order per key is kept. Errors: `bad_argument`; what a new
   * worker's `init` threw: then nothing changes.
   */
  resize(workers: number): Promise<void> {
    return this.#dispatcher.call.resize(workers, { timeoutMs: Number.POSITIVE_INFINITY });
  }

  /**
   * From now on jobs are discarded (`shutdown`); resolves when every job that had been taken is answered. Then
   * `System.stopFactory` loses nothing.
   */
  drain(): Promise<void> {
    return this.#dispatcher.call.drain(undefined, { timeoutMs: Number.POSITIVE_INFINITY });
  }

  statistics(): Promise<FactoryStatistics> {
    return this.#dispatcher.call.statistics();
  }

  /** Where a job of this key that is sent now goes, why, what is ahead of it, and about how long it waits. */
  explain(key: string): Promise<KeyExplanation> {
    return this.#dispatcher.call.explain(key);
  }

  /** A dry run of `resize`: what would move. Errors: `bad_argument`. */
  explainResize(workers: number): Promise<ResizeExplanation> {
    return this.#dispatcher.call.explainResize(workers);
  }

  #job(request: JobRequest, options: CallOptions | undefined): Promise<unknown> {
    return this.#host.call(this.#host.client, this.name, "job", request, options);
  }
}

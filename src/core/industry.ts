/**
 * gen_industry: several dispatchers, for when one is the bottleneck. Each is a factory's dispatcher with workers of its
 * own, and has a part of the keys (industry_route.ts); they live on worker threads, under one supervisor on the thread
 * that started the industry.
 *
 * State: how many workers there are, whether it drains; the supervisor starts a dispatcher again with both.
 *
 * Always true: a key has one dispatcher for good, so its order is that of a factory; the end of a dispatcher or of its
 * thread concerns the jobs of its keys only, each of which is answered once (`crashed`, `noproc`).
 */

import { assert } from "../base/assert.ts";
import { type ErrorData, hasCode, toErrorData } from "../base/errors.ts";
import type { AllWays, Heard } from "./broadcast.ts";
import { Factory, type JobWays } from "./factory.ts";
import type { DiscardReason, FactoryStatistics, KeyExplanation, ResizeExplanation } from "./gen_factory.ts";
import type { CallOptions, CastsOf, Definition, Ref } from "./gen_server.ts";
import type { Host } from "./host.ts";
import { checkIndustryWorkers, type IndustryPlan, industrySpec, shareOf } from "./industry_options.ts";
import { dispatcherName, dispatcherOf, type IndustryAddress } from "./industry_route.ts";
import type { Pid } from "./pid.ts";
import { dispatcherPartitionOf, partitions } from "./routing_table.ts";
import type { supervisor } from "./supervisor.ts";

/** Sums over the dispatchers that are up; one that starts again counts from 0. */
export interface IndustryStatistics extends FactoryStatistics {
  /** By dispatcher; undefined: it is being started again. */
  readonly dispatchers: readonly (FactoryStatistics | undefined)[];
}

/** `worker` is a number among those of `dispatcher`. */
export interface IndustryKeyExplanation extends KeyExplanation {
  readonly dispatcher: number;
  /** The slot of the table of dispatchers that the key falls into; another one than `partition`. */
  readonly dispatcherPartition: number;
  /** Where the dispatcher lives. */
  readonly thread: number;
}

/** No key changes its dispatcher: what moves, moves among the workers of one. */
export interface IndustryResizeExplanation {
  readonly from: number;
  readonly to: number;
  /** By dispatcher; undefined: it is being started again. Workers, partitions and shares are its own. */
  readonly dispatchers: readonly (ResizeExplanation | undefined)[];
  readonly keysTotal: number;
  readonly finishing: number;
}

/** As those of a factory; each answer says whose worker gave it. */
export interface AllIndustryWays<D extends Definition> {
  readonly call: {
    readonly [K in keyof AllWays<D>["call"]]: AllWays<D>["call"][K] extends (
      ...args: infer Arguments
    ) => Promise<(infer Each)[]>
      ? (...args: Arguments) => Promise<(Each & { readonly dispatcher: number })[]>
      : never;
  };
  readonly cast: CastsOf<D>;
}

export class Industry<D extends Definition> {
  readonly #host: Host;
  readonly #definition: D;
  readonly #plan: IndustryPlan;
  readonly #supervisor: Ref<typeof supervisor>;
  readonly #dispatchers: readonly Factory<D>[];
  #workers: number;
  #draining = false;
  /** Changes are made one after the other. */
  #lastChange: Promise<unknown> = Promise.resolve();
  /** For `industryRef`, by which processes of any thread send jobs. */
  readonly address: IndustryAddress;

  constructor(host: Host, definition: D, plan: IndustryPlan, supervisorRef: Ref<typeof supervisor>) {
    this.#host = host;
    this.#definition = definition;
    this.#plan = plan;
    this.#supervisor = supervisorRef;
    this.#dispatchers = plan.threads.map(
      (_, dispatcher) => new Factory(host, definition, dispatcherName(plan.name, dispatcher)),
    );
    this.#workers = plan.options.workers;
    this.address = { name: plan.name, dispatchers: plan.threads.length };
  }

  /**
   * The way to `key`'s next job. Errors of a call: as a factory's; `crashed` if its dispatcher ended with it, `noproc`
   * while that is being started again.
   */
  at(key: string): JobWays<D> {
    return this.#of(key).at(key);
  }

  /** A call whose method is data, at less cost than `at`. Errors: as those of `at(key).call`. */
  call(key: string, method: string, message: unknown, options?: CallOptions): Promise<unknown> {
    return this.#of(key).call(key, method, message, options);
  }

  /** The ways to every worker at once. Those of a dispatcher that is away are `noproc`, of one that ends, `crashed`. */
  get all(): AllIndustryWays<D> {
    const { callbacks } = this.#definition;
    const call: Record<string, unknown> = {};
    for (const method of Object.keys(callbacks.call ?? {}))
      call[method] = (message: unknown, options?: CallOptions) => this.#callAll(method, message, options);
    const cast: Record<string, unknown> = {};
    for (const method of Object.keys(callbacks.cast ?? {})) {
      cast[method] = (message: unknown) => {
        for (const { all } of this.#dispatchers) (all.cast as Ways)[method]?.(message);
      };
    }
    return { call: call as AllIndustryWays<D>["call"], cast: cast as CastsOf<D> };
  }

  async #callAll(method: string, message: unknown, options: CallOptions | undefined): Promise<unknown[]> {
    const workers = this.#workers;
    const heard = await this.#ask(
      async ({ all }) => (await (all.call as Ways)[method]?.(message, options)) as readonly Heard[],
    );
    return heard.flatMap((answer, dispatcher) => {
      const each = answer.ok ? answer.value : fromNone(answer.error, this.#shareOf(workers, dispatcher));
      return each.map((one) => ({ dispatcher, ...one }));
    });
  }

  /**
   * From now on this many workers in total, split evenly; no job is lost, the order per key is kept. Errors:
   * `bad_argument`; what a new worker's `init` threw: then nothing changes.
   */
  async resize(workers: number): Promise<void> {
    checkIndustryWorkers(workers, this.#dispatchers.length);
    await this.#change(async () => {
      const before = this.#workers;
      try {
        await this.#resizeTo(workers);
      } catch (error) {
        await this.#resizeTo(before);
        throw error;
      }
    });
  }

  /** A dispatcher that is away starts with its new share. */
  async #resizeTo(workers: number): Promise<void> {
    await this.#setSpec(workers, this.#draining);
    await this.#ask((each, dispatcher) => each.resize(this.#shareOf(workers, dispatcher)));
  }

  /**
   * From now on jobs are discarded (`shutdown`); resolves when every job that had been taken is answered. Then
   * `System.stopIndustry` loses nothing.
   */
  async drain(): Promise<void> {
    await this.#change(() => this.#setSpec(this.#workers, true));
    // Whoever ends meanwhile has answered its jobs, and takes no more when it is back.
    await this.#ask((each) => each.drain());
  }

  async statistics(): Promise<IndustryStatistics> {
    const dispatchers = valuesOf(await this.#ask((each) => each.statistics()));
    const sum = (of: (each: FactoryStatistics) => number): number =>
      dispatchers.reduce((total, each) => total + (each === undefined ? 0 : of(each)), 0);
    const discarded = (reason: DiscardReason): number => sum((each) => each.discarded[reason]);
    return {
      workers: sum((each) => each.workers),
      waiting: sum((each) => each.waiting),
      running: sum((each) => each.running),
      done: sum((each) => each.done),
      crashed: sum((each) => each.crashed),
      canceled: sum((each) => each.canceled),
      orderViolations: sum((each) => each.orderViolations),
      discarded: {
        overflow: discarded("overflow"),
        expired: discarded("expired"),
        shutdown: discarded("shutdown"),
        canceled: discarded("canceled"),
        shed: discarded("shed"),
      },
      dispatchers,
    };
  }

  /** As a factory's `explain`, and which dispatcher has the key, and why. Errors: `noproc` while that is away. */
  async explain(key: string): Promise<IndustryKeyExplanation> {
    const dispatcher = dispatcherOf(key, this.#dispatchers.length);
    const dispatcherPartition = dispatcherPartitionOf(key);
    const { why, ...rest } = await this.#of(key).explain(key);
    const reason = `dispatcher ${dispatcher}: it has partition ${dispatcherPartition} of ${partitions}`;
    const thread = this.#plan.threads[dispatcher] ?? 0;
    return { ...rest, why: `${reason}; ${why}`, dispatcher, dispatcherPartition, thread };
  }

  /** A dry run of `resize`: what would move. Errors: `bad_argument`. */
  async explainResize(workers: number): Promise<IndustryResizeExplanation> {
    checkIndustryWorkers(workers, this.#dispatchers.length);
    const from = this.#workers;
    const dispatchers = valuesOf(
      await this.#ask((each, dispatcher) => each.explainResize(this.#shareOf(workers, dispatcher))),
    );
    const sum = (of: (each: ResizeExplanation) => number): number =>
      dispatchers.reduce((total, each) => total + (each === undefined ? 0 : of(each)), 0);
    const keysTotal = sum((each) => each.keysTotal);
    return { from, to: workers, dispatchers, keysTotal, finishing: sum((each) => each.finishing) };
  }

  #of(key: string): Factory<D> {
    const dispatcher = this.#dispatchers[dispatcherOf(key, this.#dispatchers.length)];
    assert(dispatcher !== undefined, "every key has a dispatcher");
    return dispatcher;
  }

  #shareOf(workers: number, dispatcher: number): number {
    return shareOf(workers, this.#dispatchers.length, dispatcher);
  }

  /**
   * What each dispatcher answers, or the error of one that is away or ended before it answered. Errors: those of any
   * that lives, when all have answered.
   */
  async #ask<T>(ask: (each: Factory<D>, dispatcher: number) => Promise<T>): Promise<Answer<T>[]> {
    const answers = await Promise.allSettled(
      this.#dispatchers.map(async (each, dispatcher): Promise<Answer<T>> => {
        const asked = this.#host.registry.whereis(each.name);
        try {
          return { ok: true, value: await ask(each, dispatcher) };
        } catch (error) {
          if (asked !== undefined && (await this.#lives(asked))) throw error;
          return { ok: false, error: toErrorData(error) };
        }
      }),
    );
    return answers.map((answer) => {
      if (answer.status === "rejected") throw answer.reason;
      return answer.value;
    });
  }

  /** What it answered at its end, if it has ended, came before the news of that. */
  async #lives(dispatcher: Pid): Promise<boolean> {
    try {
      await this.#host.requests.sys(dispatcher, "statistics");
      return true;
    } catch (error) {
      return !hasCode(error, "noproc") && !hasCode(error, "crashed");
    }
  }

  #change(change: () => Promise<void>): Promise<void> {
    const changed = this.#lastChange.then(change);
    this.#lastChange = changed.catch(() => undefined);
    return changed;
  }

  /** Waits for a restart that is under way, so that whoever starts after it does so with these. */
  async #setSpec(workers: number, draining: boolean): Promise<void> {
    const spec = industrySpec(this.#plan, { workers, draining });
    await this.#supervisor.call.changeSpec(spec, { timeoutMs: Number.POSITIVE_INFINITY });
    this.#workers = workers;
    this.#draining = draining;
  }
}

type Ways = Readonly<Record<string, (message: unknown, options?: CallOptions) => unknown>>;

type Answer<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: ErrorData };

function valuesOf<T>(answers: readonly Answer<T>[]): (T | undefined)[] {
  return answers.map((answer) => (answer.ok ? answer.value : undefined));
}

function fromNone(error: ErrorData, workers: number): Heard[] {
  return Array.from({ length: workers }, (_, worker) => ({ worker, ok: false, error }));
}

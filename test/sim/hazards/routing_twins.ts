/**
 * A worker whose jobs wait at pause points, and broken dispatchers for it: each leaves out the one thing that a routing
 * hazard rests on, and is gen_factory's own otherwise.
 */

import { Backlog, type Waiting } from "../../../src/core/backlog.ts";
import { type DispatcherOptions, factory_dispatcher } from "../../../src/core/gen_factory.ts";
import {
  type Definition,
  formatPid,
  genServer,
  hasCode,
  NanoError,
  type Pid,
  type Self,
  type Target,
} from "../../../src/index.ts";
import type { PausePoints } from "../../../src/simulation/index.ts";
import { delegating } from "../../fixtures/delegating.ts";
import type { Callbacks } from "./late_messages.ts";

export interface Job {
  readonly key: string;
  readonly n: number;
}

export interface Ran extends Job {
  readonly what: "begins" | "ends";
  readonly worker: string;
}

/** The resource `routed`: each job waits at the point `job KEY N`, and what happened is noted. */
export interface Routed {
  readonly points: PausePoints;
  readonly ran: Ran[];
}

export const routed_worker = genServer(import.meta.url, "routed_worker", {
  init: (_: Readonly<Record<string, never>>, self) => ({ self, ...self.resource<Routed>("routed") }),
  call: {
    run: async ({ self, points, ran }, { key, n }: Job): Promise<number> => {
      const worker = formatPid(self.pid);
      ran.push({ key, n, what: "begins", worker });
      await points.pass(`job ${key} ${n}`);
      ran.push({ key, n, what: "ends", worker });
      return n;
    },
  },
});

const dispatcher: Callbacks<typeof factory_dispatcher> = factory_dispatcher.callbacks;

/** Hands a key's new job straight to the worker that has one of it now; all others wait in one line. */
class OvertakingBacklog<J extends Waiting> {
  bytes = 0;
  readonly #line: J[] = [];
  readonly #straight = new Map<number, J[]>();
  readonly #running = new Map<string, number>();

  get length(): number {
    return this.#line.length + [...this.#straight.values()].reduce((sum, jobs) => sum + jobs.length, 0);
  }

  push(job: J): void {
    const worker = this.#running.get(job.key);
    if (worker === undefined) this.#line.push(job);
    else this.#straight.set(worker, [...(this.#straight.get(worker) ?? []), job]);
  }

  wanted(idle: ReadonlySet<number>): number | undefined {
    for (const worker of idle) {
      if (this.#line.length > 0 || (this.#straight.get(worker)?.length ?? 0) > 0) return worker;
    }
    return undefined;
  }

  take(worker: number): { readonly job: J; readonly lane: string } | undefined {
    const job = this.#straight.get(worker)?.shift() ?? this.#line.shift();
    if (job === undefined) return undefined;
    this.#running.set(job.key, worker);
    return { job, lane: job.key };
  }

  finished(lane: string): void {
    this.#running.delete(lane);
  }

  sweep(): J[] {
    return [];
  }

  clear(): J[] {
    return [...this.#line.splice(0), ...[...this.#straight.values()].flatMap((jobs) => jobs.splice(0))];
  }
}

export const overtaking_dispatcher: Definition = genServer(import.meta.url, "overtaking_dispatcher", {
  ...(dispatcher as Callbacks<Definition>),
  init: async (options: DispatcherOptions, self) => ({
    ...(await dispatcher.init(options, self)),
    backlog: new OvertakingBacklog(),
  }),
});

/** The dispatcher's own start, with something done about what its workers answer, or what it answers itself. */
async function withSelf(options: DispatcherOptions, self: Self, change: Partial<Self>) {
  const state: object = await dispatcher.init(options, self);
  return { ...state, self: delegating(self, change) };
}

/** Its own way to ask, with something done about what fails. */
function answeredThrough(
  self: Self,
  failed: (error: unknown, target: Target) => unknown,
): Self["askCancelable"] {
  return (target, request) => {
    const { ref, callee, answer } = self.askCancelable(target, request);
    return { ref, callee, answer: answer.catch((error: unknown) => failed(error, target)) };
  };
}

/** Whoever asked for the job of a worker that died hears nothing. */
export const deaf_dispatcher: Definition = genServer(import.meta.url, "deaf_dispatcher", {
  ...(dispatcher as Callbacks<Definition>),
  init: (options: DispatcherOptions, self) =>
    withSelf(options, self, {
      askCancelable: answeredThrough(self, (error) => {
        if (hasCode(error, "crashed")) return new Promise(() => undefined);
        throw error;
      }),
    }),
});

/** A job whose worker died is run once more, by the next one. */
export const repeating_dispatcher: Definition = genServer(import.meta.url, "repeating_dispatcher", {
  ...(dispatcher as Callbacks<Definition>),
  init: (options: DispatcherOptions, self) =>
    withSelf(options, self, {
      askCancelable: answeredThrough(self, (error, target) => {
        if (!hasCode(error, "crashed")) throw error;
        throw new NanoError("noproc", "it died", { untakenBy: formatPid(target as Pid) });
      }),
    }),
});

interface ResizedState {
  readonly options: DispatcherOptions;
  backlog: Backlog<Waiting>;
}

/** A resize takes what waits to the new workers and forgets what runs on the old ones. */
export const forgetful_dispatcher: Definition = genServer(import.meta.url, "forgetful_dispatcher", {
  ...(dispatcher as Callbacks<Definition>),
  call: {
    ...dispatcher.call,
    resize: async (state: ResizedState, workers: number): Promise<void> => {
      await dispatcher.call.resize(state as never, workers);
      const fresh = new Backlog<Waiting>(state.options.routing, workers);
      for (const job of state.backlog.clear()) fresh.push(job);
      state.backlog = fresh;
    },
  },
});

/** Drops what it discards, and tells nobody. */
export const silent_dispatcher: Definition = genServer(import.meta.url, "silent_dispatcher", {
  ...(dispatcher as Callbacks<Definition>),
  init: (options: DispatcherOptions, self) => {
    const { onDiscard: _, ...jobs } = options.jobs ?? {};
    return withSelf({ ...options, jobs }, self, {
      replyError: (from, error) => {
        if (error.code !== "discarded") self.replyError(from, error);
      },
    });
  },
});

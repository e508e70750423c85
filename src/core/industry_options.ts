/**
 * What an industry is started with: its options, their checks, and what each dispatcher gets of them. Workers and
 * bounds are given for the whole industry and split evenly. What goes to a dispatcher is plain data: it may live on
 * another thread. Pure.
 */

import { NanoError } from "../base/errors.ts";
import { cross } from "../wire/crossing.ts";
import { type ChildSpec, child, type SupervisorSpec, supervisorSpec } from "./child_spec.ts";
import { discard_observer } from "./factory_discards.ts";
import { checkJobs, checkWorkers, type JobLimits } from "./factory_limits.ts";
import { type DispatcherOptions, type FactoryOptions, factory_dispatcher } from "./gen_factory.ts";
import type { Definition, DefinitionName } from "./gen_server.ts";
import { dispatcherName } from "./industry_route.ts";
import { coreLimits } from "./limits.ts";
import type { Peers } from "./peers.ts";
import { checkRouting } from "./routing.ts";
import { partitions } from "./routing_table.ts";

export interface IndustryOptions<D extends Definition> extends FactoryOptions<D> {
  /** Each takes its part of the keys. 1 to 1,024. */
  readonly dispatchers: number;
  /** In total: at least one for each dispatcher. The load is even if `dispatchers` divides it. */
  readonly workers: number;
  /**
   * `max` and `bytesMax` are in total, an even share for each dispatcher: one that is full discards, although others
   * have room. The other limits are each job's. `onDiscard` runs on the thread that started the industry. `tenantOf` is
   * refused: a dispatcher on another thread can't call it.
   */
  readonly jobs?: JobLimits;
  /** Where workers live. Default: their dispatcher's thread. */
  readonly thread?: FactoryOptions<D>["thread"];
}

/** What an industry is, apart from what may change while it runs. */
export interface IndustryPlan {
  readonly name: string;
  readonly definition: DefinitionName;
  readonly options: IndustryOptions<Definition>;
  /** Where each dispatcher lives. */
  readonly threads: readonly number[];
}

/** What may change while it runs; whatever starts again does so with the newest. */
export interface IndustryState {
  readonly workers: number;
  readonly draining: boolean;
}

/** Errors: `bad_argument` naming the field, `unsafe` as of a factory, `noproc` while no worker thread is up. */
export function planIndustry(
  name: string,
  definition: Definition,
  options: IndustryOptions<Definition>,
  peers: Pick<Peers, "awayFor" | "threads">,
): IndustryPlan {
  const { dispatchers, workers, routing, affinity = "none", jobs = {} } = options;
  if (!Number.isSafeInteger(dispatchers) || dispatchers < 1 || dispatchers > partitions) {
    const text = `dispatchers must be a whole number of 1 to ${partitions}, not ${String(dispatchers)}`;
    throw new NanoError("bad_argument", text, { field: "dispatchers" });
  }
  checkIndustryWorkers(workers, dispatchers);
  checkRouting(routing, affinity, definition.name);
  if (jobs.tenantOf !== undefined) {
    const cure = "leave it out, or use startFactory, whose dispatcher lives on this thread";
    const text = `jobs.tenantOf is a function, which can't reach a dispatcher's thread; ${cure}`;
    throw new NanoError("bad_argument", text, { field: "jobs.tenantOf", cure });
  }
  const { max } = checkJobs(jobs);
  if (max > 0 && max < dispatchers) {
    const cure = `give at least ${dispatchers}, or 0 to have no job wait`;
    const text = `jobs.max is shared by ${dispatchers} dispatchers, ${max} is too little; ${cure}`;
    throw new NanoError("bad_argument", text, { field: "jobs.max", cure });
  }
  checkCrossing(options);
  const threads = placesOf(dispatchers, peers);
  const { module, name: exported } = definition;
  return { name, definition: { module, name: exported }, options, threads };
}

/** On all worker threads in turn. Each stays on its thread, so that they are spread after any death as before. */
function placesOf(dispatchers: number, peers: Pick<Peers, "awayFor" | "threads">): number[] {
  if (peers.awayFor("any") !== undefined) throw new NanoError("noproc", "no worker thread is up");
  const workerThreads = peers.threads().filter((thread) => thread > 0);
  return Array.from({ length: dispatchers }, (_, each) => workerThreads[each % workerThreads.length] ?? 0);
}

/** Errors: `bad_argument`. */
export function checkIndustryWorkers(workers: number, dispatchers: number): void {
  checkWorkers(workers);
  if (workers >= dispatchers) return;
  const cure = `give at least ${dispatchers}, or start the industry with fewer dispatchers`;
  const text = `workers is for the whole industry: ${workers} can't be shared by ${dispatchers} dispatchers; ${cure}`;
  throw new NanoError("bad_argument", text, { field: "workers", cure });
}

/** All but `onDiscard`, which stays here. Errors: `bad_argument`. */
function checkCrossing(options: IndustryOptions<Definition>): void {
  const jobs = { ...options.jobs, onDiscard: undefined };
  for (const [field, value] of Object.entries({ ...options, jobs })) {
    const crossed = cross(value);
    if (!("fault" in crossed)) continue;
    const { path, why } = crossed.fault;
    const at = path === "" ? field : `${field}.${path}`;
    const cure = "give plain data, and make the rest of it in the worker's init";
    const text = `${at} can't reach a dispatcher's thread as it is: ${why}; ${cure}`;
    throw new NanoError("bad_argument", text, { field: at, cure });
  }
}

/** An even share of a total, whole; the first ones get what is left over. */
export function shareOf(total: number, dispatchers: number, dispatcher: number): number {
  return Math.floor(total / dispatchers) + (dispatcher < total % dispatchers ? 1 : 0);
}

/** The industry's supervisor: who hears of discarded jobs, then the dispatchers. */
export function industrySpec(plan: IndustryPlan, state: IndustryState): SupervisorSpec {
  const { name, threads, options } = plan;
  const onDiscard = options.jobs?.onDiscard;
  const observer =
    onDiscard === undefined
      ? []
      : [
          child("discards", discard_observer, onDiscard, {
            name: observerName(name),
            mailbox: observerMailbox,
          }),
        ];
  const dispatchers = threads.map((_, dispatcher) => dispatcherSpec(plan, state, dispatcher));
  // A dispatcher that is ill again and again must not take the healthy ones along.
  const intensity = Number.POSITIVE_INFINITY;
  return supervisorSpec({ intensity, children: [...observer, ...dispatchers] });
}

function dispatcherSpec(
  { name, definition, options, threads }: IndustryPlan,
  { workers, draining }: IndustryState,
  dispatcher: number,
): ChildSpec {
  const { dispatchers, jobs: { onDiscard, ...jobs } = {}, ...factory } = options;
  const { max, bytesMax } = checkJobs(jobs);
  const share = (total: number): number => shareOf(total, dispatchers, dispatcher);
  const own: DispatcherOptions = {
    ...factory,
    definition,
    workers: share(workers),
    jobs: { ...jobs, max: share(max), bytesMax: share(bytesMax) },
    draining,
    ...(onDiscard === undefined ? {} : { discardsTo: observerName(name) }),
  };
  const registered = dispatcherName(name, dispatcher);
  // It ends after its workers, which end in bounded time.
  const rest = { name: registered, thread: threads[dispatcher] ?? 0, type: "supervisor" } as const;
  return child(registered, factory_dispatcher, own, { ...rest, shutdownMs: Number.POSITIVE_INFINITY });
}

function observerName(industry: string): string {
  return `${industry}/discards`;
}

/** Discarded jobs that their handler is too slow for; beyond it they are dead letters (`refused`). */
const observerMailbox = { max: coreLimits.mailboxMax, bytesMax: coreLimits.discardsBytesMax };

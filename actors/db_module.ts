/**
 * db_module: the typed operations of one backend; the only thing business code calls. A worker of a gen_factory: the
 * factory's routing decides which worker takes a key's next operation, the worker finds shard, cohort and site.
 *
 * State: which site serves each cohort at which term, as far as it has heard. Messages: run.
 *
 * Always true: an operation is sent again only when nothing of it was done (moved, blocked, nobody there), or when it
 * is a read; a write's unknown outcome is the caller's to know, as `crashed` or `timeout`.
 */

import { type From, genServer, hasCode, NanoError, postpone, type Ref, type Self } from "../src/index.ts";
import type { Backend } from "./backends/backend.ts";
import { type CohortFinder, cohortFinder } from "./cohorts.ts";
import { db_store } from "./db_store.ts";
import { db_switch } from "./db_switch.ts";
import { checkWritten, type Plan } from "./kinds/kind.ts";
import { dataLimits } from "./limits.ts";
import { type CohortId, type Site, shardOf } from "./records.ts";
import { shardProcess } from "./shard_options.ts";

export interface ModuleOptions {
  readonly backend: string;
  readonly shards: number;
  readonly prefixes: readonly string[];
  /** The site that serves at first, and the other one. */
  readonly sites: readonly [Site, Site];
}

export interface ModuleRequest {
  readonly key: string;
  readonly operation: string;
  readonly message: unknown;
}

interface State {
  readonly self: Self;
  readonly options: ModuleOptions;
  readonly backend: Backend;
  readonly cohortOf: CohortFinder;
  readonly switches: Map<string, Ref<typeof db_switch>>;
  /** Who served each cohort at the latest term that it has heard of. */
  readonly served: Map<CohortId, { readonly site: Site; readonly term: number }>;
  /** Cohorts whose site did not answer: the other one is asked next, for it may serve them by now. */
  readonly doubted: Set<CohortId>;
}

export const db_module = genServer(import.meta.url, "db_module", {
  init: (options: ModuleOptions, self): State => {
    const backends = self.resource<readonly Backend[]>("backends");
    const backend = backends.find(({ name }) => name === options.backend);
    if (backend === undefined) {
      const known = backends.map(({ name }) => name).join(", ");
      throw new NanoError("config", `no backend named ${options.backend}; known: ${known}`, {
        field: "backend",
        cure: "add its declaration to the thread's resource `backends`",
      });
    }
    return {
      self,
      options,
      backend,
      cohortOf: cohortFinder(options.prefixes),
      switches: new Map(),
      served: new Map(),
      doubted: new Set(),
    };
  },

  call: {
    /**
     * One operation of the kind (see actors/kinds). Errors: `bad_argument` naming the field; `blocked` when the
     * prefix stayed read-only for the whole time; `held`, `rejected`, `conflict`; `crashed`, `timeout`: unknown.
     */
    run: (state, { operation, message }: ModuleRequest, from: From<unknown>): Promise<unknown> => {
      const plan = planOf(state.backend, operation, message);
      if (plan.type === "lookup") return lookup(state, plan);
      return followed(state, plan, from.deadlineMs);
    },
  },
});

function planOf(backend: Backend, operation: string, message: unknown): Plan {
  const { operations, name } = backend.kind;
  const found = Object.hasOwn(operations, operation) ? operations[operation] : undefined;
  if (found === undefined) {
    const known = Object.keys(operations).join(", ");
    throw new NanoError("bad_argument", `${backend.name} (${name}) has no ${operation}; it has ${known}`, {
      field: "operation",
    });
  }
  return found.plan(backend, message);
}

type KeyedPlan = Exclude<Plan, { readonly type: "lookup" }>;
type LookupPlan = Extract<Plan, { readonly type: "lookup" }>;

/** Made once: a reference has a function for each handler. */
function switchOf({ self, switches }: State, site: Site, shard: number): Ref<typeof db_switch> {
  const name = shardProcess(site, shard, "db_switch");
  let found = switches.get(name);
  if (found === undefined) {
    found = self.ref(db_switch, name);
    switches.set(name, found);
  }
  return found;
}

async function ask(state: State, site: Site, plan: KeyedPlan): Promise<unknown> {
  const { backend, options } = state;
  const shard = shardOf(backend.name, plan.key, options.shards);
  const { call } = switchOf(state, site, shard);
  const cohort = state.cohortOf(backend.name, plan.key);
  switch (plan.type) {
    case "get":
      return plan.answer(await call.get({ cohort, keys: plan.rows }));
    case "scan":
      return plan.answer(await call.scan({ cohort, range: plan.range, limit: plan.limit }));
    case "write":
      checkWritten(await call.write({ cohort, rows: plan.rows }));
      return null;
    case "amend": {
      const { operation, message, key } = plan;
      return call.amend({ cohort, backend: backend.name, key, operation, message });
    }
  }
}

/**
 * Asks the site that serves the key, following `moved`. What has to wait (a block, a shard that restarts) is handed
 * back to the factory, or the writers would all wait for one prefix; with its caller's deadline near, it is refused.
 */
async function followed(state: State, plan: KeyedPlan, deadlineMs: number): Promise<unknown> {
  const { backend, options, self } = state;
  const cohort = state.cohortOf(backend.name, plan.key);
  const isRead = plan.type === "get" || plan.type === "scan";
  for (;;) {
    const site = siteToAsk(state, cohort);
    try {
      const answer = await ask(state, site, plan);
      if (state.doubted.delete(cohort)) state.served.set(cohort, { site, term: termOf(state, cohort) });
      return answer;
    } catch (error) {
      if (!(error instanceof NanoError)) throw error;
      if (isSilent(error) && !state.doubted.delete(cohort)) state.doubted.add(cohort);
      const late = deadlineMs > 0 && self.clock.now() + dataLimits.retryPauseMs > deadlineMs;
      if (late) throw error;
      if (hasCode(error, "moved") && learn(state, cohort, error)) continue;
      // A read changes nothing, however it ended: the shard's next life answers it.
      const waits = hasCode(error, "moved") || nothingDone(error) || (isRead && hasCode(error, "crashed"));
      if (!waits) throw error;
      const group = `${cohort} in ${shardOf(backend.name, plan.key, options.shards)}`;
      throw postpone(self, { group, afterMs: dataLimits.blockedPauseMs }, error);
    }
  }
}

function siteToAsk({ served, doubted, options }: State, cohort: CohortId): Site {
  const [first, second] = options.sites;
  const site = served.get(cohort)?.site ?? first;
  if (!doubted.has(cohort)) return site;
  return site === first ? second : first;
}

function termOf({ served }: State, cohort: CohortId): number {
  return served.get(cohort)?.term ?? 0;
}

/** The site, or the way to it, may be gone. */
function isSilent({ code }: NanoError): boolean {
  return ["crashed", "timeout", "noproc", "unavailable"].includes(code);
}

/** False if this is no news: the site that serves has not heard of the swap yet, or it is the one in doubt. */
function learn(state: State, cohort: CohortId, { details }: NanoError): boolean {
  const { site, term } = details as { readonly site: Site; readonly term: number };
  state.doubted.delete(cohort);
  if (term <= termOf(state, cohort)) return false;
  state.served.set(cohort, { site, term });
  return true;
}

/** Read-only for now, a newer term at the store, or nobody registered under the name: ask again. */
function nothingDone({ code, details }: NanoError): boolean {
  return code === "blocked" || code === "fenced" || (code === "noproc" && details.sent === false);
}

/** Each site has all edges, if late: one that does not answer is left out. Errors: a site's, when none answers. */
async function lookup(state: State, plan: LookupPlan): Promise<string[]> {
  const answers = await Promise.allSettled(state.options.sites.map((site) => lookupAt(state, site, plan)));
  const answered = answers.filter((answer) => answer.status === "fulfilled");
  const [failed] = answers.filter((answer) => answer.status === "rejected");
  if (answered.length === 0 && failed !== undefined) throw failed.reason;
  const found = new Set(answered.flatMap(({ value }) => value));
  return [...found].sort().slice(0, plan.limit);
}

async function lookupAt({ self, options, backend }: State, site: Site, plan: LookupPlan): Promise<string[]> {
  const request = { backend: backend.name, sub: plan.sub, limit: plan.limit };
  const limits = { timeoutMs: dataLimits.lookupTimeoutMs };
  const shards = Array.from({ length: options.shards }, (_, shard) => {
    const store: Ref<typeof db_store> = self.ref(db_store, shardProcess(site, shard, "db_store"));
    return store.call.lookup(request, limits);
  });
  return (await Promise.all(shards)).flat();
}

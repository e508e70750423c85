/**
 * db_module: the typed operations of one backend; the only thing business code calls. It finds shard, cohort and site.
 * Writes come through a gen_factory, whose routing decides which worker takes a key's next one: a worker does one at a
 * time. Reads need no order: one process takes them all side by side.
 *
 * State: which site serves each cohort, as far as it has heard; reads under way and reads that wait. Messages: run.
 *
 * Always true: an operation is sent again only when nothing of it was done (moved, blocked, nobody there), or when it
 * is a read; a write's unknown outcome is the caller's to know, as `crashed` or `timeout`.
 */

import {
  type From,
  genServer,
  hasCode,
  isSameCall,
  NanoError,
  noReply,
  postpone,
  type Ref,
  type Self,
  toErrorData,
} from "../src/index.ts";
import type { Backend } from "./backends/backend.ts";
import { type CohortFinder, cohortFinder } from "./cohorts.ts";
import { db_store } from "./db_store.ts";
import { db_switch } from "./db_switch.ts";
import { checkWritten, type Plan } from "./kinds/kind.ts";
import { KnownSites } from "./known_sites.ts";
import { dataLimits } from "./limits.ts";
import { type CohortId, type Site, shardOf } from "./records.ts";
import { shardProcess } from "./shard_options.ts";
import { WaitingReads } from "./waiting_reads.ts";

export interface ModuleOptions {
  readonly backend: string;
  readonly shards: number;
  readonly prefixes: readonly string[];
  /** The site that serves at first, and the other one. */
  readonly sites: readonly [Site, Site];
  /** Reads under way at once. Default: `dataLimits.readsMax`. */
  readonly readsMax?: number;
}

export interface ModuleRequest {
  readonly operation: string;
  readonly message: unknown;
}

interface State {
  readonly self: Self;
  readonly options: ModuleOptions;
  readonly backend: Backend;
  readonly cohortOf: CohortFinder;
  readonly switches: Map<string, Ref<typeof db_switch>>;
  readonly sites: KnownSites;
  /** Under way or waiting. */
  reads: number;
  readonly waiting: WaitingReads<Read>;
}

/** A read that is not answered yet. */
interface Read {
  readonly plan: ReadPlan;
  readonly cohort: CohortId;
  readonly from: From<unknown>;
  /** It is tried for all that wait in this group. */
  readonly triedFor?: string;
}

interface FailedRead {
  readonly read: Read;
  /** That was asked. */
  readonly site: Site;
  readonly error: NanoError;
}

export const db_module = genServer(import.meta.url, "db_module", {
  deadlines: "own",
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
      sites: new KnownSites(options.sites),
      reads: 0,
      waiting: new WaitingReads(),
    };
  },

  call: {
    /**
     * One operation of the kind (see actors/kinds). Errors: `bad_argument` naming the field; `blocked` when the
     * prefix stayed read-only for the whole time; `held`, `rejected`, `conflict`; `crashed`, `timeout`: unknown;
     * `overloaded`: as many reads as may be are under way.
     */
    run: (state, { operation, message }: ModuleRequest, from: From<unknown>) => {
      const plan = planOf(state.backend, operation, message);
      switch (plan.type) {
        case "get":
        case "scan":
          return read(state, plan, from);
        case "lookup":
          return lookup(state, plan, from);
        case "write":
        case "amend":
          return written(state, plan, from.deadlineMs);
      }
    },
  },

  cast: {
    failed: (state, { read, site, error }: FailedRead) => {
      const { self, sites, waiting } = state;
      const { plan, cohort, from } = read;
      sites.failed(cohort, site, error);
      if (!isLate(self, from.deadlineMs)) {
        if (hasCode(error, "moved") && sites.moved(cohort, error)) {
          askFor(state, read);
          return;
        }
        // A read changes nothing, however it ended: the shard's next life answers it.
        if (mayWait(error) || hasCode(error, "crashed")) {
          const group = groupOf(state, cohort, plan.key);
          if (waiting.add(group, read)) self.castAfter(dataLimits.blockedPauseMs, "tryNext", group);
          return;
        }
      }
      state.reads--;
      self.replyError(from, toErrorData(error));
    },

    /** Whether what a group waits for is there by now. */
    tryNext: (state, group: string) => {
      const { self, waiting } = state;
      const nowMs = self.clock.now();
      const expired = waiting.take(({ from }) => from.deadlineMs > 0 && from.deadlineMs < nowMs);
      state.reads -= expired.length;
      const next = waiting.next(group);
      if (next === undefined) return;
      self.castAfter(dataLimits.blockedPauseMs, "tryNext", group);
      askFor(state, { ...next, triedFor: group });
    },

    release: (state, group: string) => {
      for (const each of state.waiting.release(group)) askFor(state, each);
    },
  },

  canceled: (state, from: From) => {
    const given = state.waiting.take((read) => isSameCall(read.from, from));
    state.reads -= given.length;
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

type ReadPlan = Extract<Plan, { readonly type: "get" | "scan" }>;
type WritePlan = Extract<Plan, { readonly type: "write" | "amend" }>;
type LookupPlan = Extract<Plan, { readonly type: "lookup" }>;

/** Of the shard that has the key. Made once: a reference has a function for each handler. */
function switchOf(
  { self, switches, backend, options }: State,
  site: Site,
  key: string,
): Ref<typeof db_switch> {
  const name = shardProcess(site, shardOf(backend.name, key, options.shards), "db_switch");
  let found = switches.get(name);
  if (found === undefined) {
    found = self.ref(db_switch, name);
    switches.set(name, found);
  }
  return found;
}

/** Its caller is about to give up. */
function isLate({ clock }: Self, deadlineMs: number): boolean {
  return deadlineMs > 0 && clock.now() + dataLimits.retryPauseMs > deadlineMs;
}

/** What waits for the same thing: a cohort's block or swap, or a shard's restart. */
function groupOf({ backend, options }: State, cohort: CohortId, key: string): string {
  return `${cohort} in ${shardOf(backend.name, key, options.shards)}`;
}

/** Nothing was done: read-only for now, a newer term, a swap under way, or nobody registered under the name. */
function mayWait({ code, details }: NanoError): boolean {
  const passes = code === "moved" || code === "blocked" || code === "fenced";
  return passes || (code === "noproc" && details.sent === false);
}

// --- reads -------------------------------------------------------------------------------------------------------

function read(state: State, plan: ReadPlan, from: From<unknown>) {
  count(state);
  askFor(state, { plan, from, cohort: state.cohortOf(state.backend.name, plan.key) });
  return noReply;
}

/** One read more is under way. Errors: `overloaded`. */
function count(state: State): void {
  const { backend, options } = state;
  const { readsMax = dataLimits.readsMax } = options;
  if (state.reads >= readsMax) {
    const text = `${backend.name}: ${readsMax} reads are under way; ask later, or raise readsMax`;
    throw new NanoError("overloaded", text, { field: "readsMax" });
  }
  state.reads++;
}

/** Answers when the site has; what else an answer means is heard in a turn of its own. */
function askFor(state: State, read: Read): void {
  const { self, sites } = state;
  const { plan, cohort, from, triedFor } = read;
  const site = sites.toAsk(cohort);
  shown(state, site, read).then(
    (answer) => {
      state.reads--;
      self.reply(from, answer);
      if (triedFor !== undefined) self.castSelf("release", triedFor);
    },
    (error) => self.castSelf("failed", { read: { plan, cohort, from }, site, error }),
  );
}

async function shown(state: State, site: Site, { plan, cohort }: Read): Promise<unknown> {
  const { call } = switchOf(state, site, plan.key);
  return plan.type === "get"
    ? plan.answer(await call.get({ cohort, keys: plan.rows }))
    : plan.answer(await call.scan({ cohort, range: plan.range, limit: plan.limit }));
}

// --- writes ------------------------------------------------------------------------------------------------------

async function write(state: State, site: Site, plan: WritePlan, cohort: CohortId): Promise<unknown> {
  const { call } = switchOf(state, site, plan.key);
  if (plan.type === "write") {
    checkWritten(await call.write({ cohort, rows: plan.rows }));
    return null;
  }
  const { operation, message, key } = plan;
  return call.amend({ cohort, backend: state.backend.name, key, operation, message });
}

/**
 * Asks the site that serves the key, following `moved`. What has to wait (a block, a shard that restarts) is handed
 * back to the factory, or the writers would all wait for one prefix; with its caller's deadline near, it is refused.
 */
async function written(state: State, plan: WritePlan, deadlineMs: number): Promise<unknown> {
  const { backend, self, sites, cohortOf } = state;
  const cohort = cohortOf(backend.name, plan.key);
  for (;;) {
    const site = sites.toAsk(cohort);
    try {
      return await write(state, site, plan, cohort);
    } catch (error) {
      if (!(error instanceof NanoError)) throw error;
      sites.failed(cohort, site, error);
      if (isLate(self, deadlineMs)) throw error;
      if (hasCode(error, "moved") && sites.moved(cohort, error)) continue;
      if (!mayWait(error)) throw error;
      const group = groupOf(state, cohort, plan.key);
      throw postpone(self, { group, afterMs: dataLimits.blockedPauseMs }, error);
    }
  }
}

// --- lookups -----------------------------------------------------------------------------------------------------

/** Asks all shards of both sites; other reads go on meanwhile. */
function lookup(state: State, plan: LookupPlan, from: From<unknown>) {
  count(state);
  lookedUp(state, plan, from).then(
    (keys) => {
      state.reads--;
      state.self.reply(from, keys);
    },
    (error) => {
      state.reads--;
      state.self.replyError(from, toErrorData(error));
    },
  );
  return noReply;
}

/** Each site has all edges, if late: one that does not answer is left out. Errors: a site's, when none answers. */
async function lookedUp(state: State, plan: LookupPlan, from: From): Promise<string[]> {
  const answers = await Promise.allSettled(
    state.options.sites.map((site) => lookupAt(state, site, plan, from)),
  );
  const answered = answers.filter((answer) => answer.status === "fulfilled");
  const [failed] = answers.filter((answer) => answer.status === "rejected");
  if (answered.length === 0 && failed !== undefined) throw failed.reason;
  const found = new Set(answered.flatMap(({ value }) => value));
  return [...found].sort().slice(0, plan.limit);
}

async function lookupAt(
  { self, options, backend }: State,
  site: Site,
  plan: LookupPlan,
  from: From,
): Promise<string[]> {
  const request = { backend: backend.name, sub: plan.sub, limit: plan.limit };
  // A read that nobody waits for any more is not begun.
  const limits = { timeoutMs: dataLimits.lookupTimeoutMs, inherit: from };
  const shards = Array.from({ length: options.shards }, (_, shard) => {
    const store: Ref<typeof db_store> = self.ref(db_store, shardProcess(site, shard, "db_store"));
    return store.call.lookup(request, limits);
  });
  return (await Promise.all(shards)).flat();
}

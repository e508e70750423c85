/**
 * What an operator does with keys that db_perror keeps and with those that a swap carried over: asks for another try,
 * accepts a difference, says which side's value stands. Each deed is an entry of the decision log before it is done.
 *
 * Always true: a held key is released only by a new version of it that is marked and durable where it is served, so it
 * is accounted for all along; what the serving side refuses stays held.
 */

import { NanoError, type Self } from "../src/index.ts";
import { type CohortFinder, cohortFinder } from "./cohorts.ts";
import { authorityOf, type ControlStore } from "./control_store.ts";
import { db_dirty_keys } from "./db_dirty_keys.ts";
import { db_perror } from "./db_perror.ts";
import { db_store } from "./db_store.ts";
import { db_switch } from "./db_switch.ts";
import type { DecisionLog, DecisionStep } from "./decision_log.ts";
import { readCohort, readDecisions } from "./decisions.ts";
import { forgetHeld } from "./held_keys.ts";
import { dataLimits } from "./limits.ts";
import { type CohortId, type RowKey, type Site, shardOf, splitRowKey } from "./records.ts";
import { type ShardProcess, shardProcess } from "./shard_options.ts";
import type { SiteOptions } from "./site_shards.ts";

/** Of a held key: what the side shows that serves it now, or what was acknowledged on the side that it left. */
export type Stands = "here" | "left behind";

export interface Deed {
  /** Keys for which it was done. */
  readonly done: readonly RowKey[];
  /** The others, each with why not, in words. */
  readonly refused: readonly { readonly key: RowKey; readonly why: string }[];
}

interface Place {
  readonly key: RowKey;
  readonly cohort: CohortId;
  readonly shard: number;
  /** The site that serves it, and the one that does not. */
  readonly site: Site;
  readonly other: Site;
}

const patience = { timeoutMs: dataLimits.barrierTimeoutMs };

export class Quarantine {
  readonly #self: Self;
  readonly #options: SiteOptions;
  readonly #control: ControlStore;
  readonly #log: DecisionLog;
  readonly #cohortOf: CohortFinder;

  constructor(self: Self, options: SiteOptions, control: ControlStore, log: DecisionLog) {
    this.#self = self;
    this.#options = options;
    this.#control = control;
    this.#log = log;
    this.#cohortOf = cohortFinder(options.prefixes);
  }

  /** Replay tries these quarantined keys again at once, where they are served. */
  async retry(keys: readonly RowKey[]): Promise<Deed> {
    const places = await this.#places(keys, "perror_retried");
    return deedOf(
      await each(places, async ({ key, site, shard }) => {
        const retried = await this.#perror(site, shard).call.retry([key], patience);
        return retried > 0 ? "" : `not in db_perror of ${site}`;
      }),
    );
  }

  /** The sides may differ in these keys: mark and entry go. The next comparison that finds them says so again. */
  async resolve(keys: readonly RowKey[]): Promise<Deed> {
    const places = await this.#places(keys, "perror_resolved");
    return deedOf(
      await each(places, async ({ key, site, shard }) => {
        const resolved = await this.#perror(site, shard).call.resolve([key], patience);
        return resolved > 0 ? "" : `not in db_perror of ${site}`;
      }),
    );
  }

  /** Held keys get a new version with the value that stands, and are shown and written again. */
  async release(keys: readonly RowKey[], stands: Stands): Promise<Deed> {
    const places = await this.#places(keys, "held_released", { stands });
    return deedOf(await each(places, (place) => this.#release(place, stands)));
  }

  async #release({ key, cohort, shard, site, other }: Place, stands: Stands): Promise<string> {
    const ledger = this.#self.ref(db_dirty_keys, shardProcess(site, shard, "db_dirty_keys"));
    if (!(await ledger.call.held(undefined, patience)).includes(key)) return `not held on ${site}`;
    const from = shardProcess(stands === "here" ? site : other, shard, "db_store");
    const [row] = await this.#self.ref(db_store, from).call.get([key], patience);
    const write = { key, value: row?.value ?? null, expiresAtMs: row?.expiresAtMs ?? 0 };
    const admission = this.#self.ref(db_switch, shardProcess(site, shard, "db_switch"));
    const [result] = await admission.call.reconcile({ cohort, rows: [write] }, patience);
    if (result?.ok !== true) return `${result?.code ?? "crashed"}: ${result?.message ?? "no result"}`;
    await forgetHeld(this.#control, key);
    await this.#perror(other, shard).call.resolve([key], patience);
    return "";
  }

  /** Errors: `config` for a key of no cohort. */
  async #places(keys: readonly RowKey[], step: DecisionStep, facts = {}): Promise<Place[]> {
    const decisions = await readDecisions(this.#control);
    const byPrefix = new Map<string, RowKey[]>();
    const places: Place[] = [];
    for (const key of keys) {
      const { backend, key: plain } = splitRowKey(key);
      const cohort = this.#cohortOf(backend, plain);
      const record = await readCohort(this.#control, cohort);
      if (record === undefined) throw new NanoError("config", `${cohort}: no such cohort in control`);
      const { site } = authorityOf(record, decisions);
      const other = this.#options.sites.find((each) => each !== site) ?? site;
      places.push({ key, cohort, shard: shardOf(backend, plain, this.#options.shards), site, other });
      const prefix = cohort.slice(backend.length + 1);
      byPrefix.set(prefix, [...(byPrefix.get(prefix) ?? []), key]);
    }
    for (const [prefix, own] of byPrefix) {
      await this.#log.append({ prefix, decision: "", step, facts, keys: own });
    }
    return places;
  }

  #perror(site: Site, shard: number) {
    const process: ShardProcess = "db_perror";
    return this.#self.ref(db_perror, shardProcess(site, shard, process));
  }
}

/** One key after the other: an operator's list is short, and each answer stands for itself. */
async function each(
  places: readonly Place[],
  deed: (place: Place) => Promise<string>,
): Promise<{ key: RowKey; why: string }[]> {
  const ended: { key: RowKey; why: string }[] = [];
  for (const place of places) {
    try {
      ended.push({ key: place.key, why: await deed(place) });
    } catch (error) {
      if (!(error instanceof NanoError)) throw error;
      ended.push({ key: place.key, why: `${error.code}: ${error.message}` });
    }
  }
  return ended;
}

function deedOf(ended: readonly { readonly key: RowKey; readonly why: string }[]): Deed {
  const done = ended.filter(({ why }) => why === "").map(({ key }) => key);
  return { done, refused: ended.filter(({ why }) => why !== "") };
}

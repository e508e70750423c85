/** Mutants of the failover's coordinator: each is the product's db_failover with one thing broken in it. */

import type { ControlStore, DecisionRecord } from "../../../actors/control_store.ts";
import { db_failover } from "../../../actors/db_failover.ts";
import type { CohortId, Site } from "../../../actors/records.ts";
import { type SiteOptions, SiteShards } from "../../../actors/site_shards.ts";
import { genServer } from "../../../src/index.ts";
import type { Callbacks } from "../hazards/late_messages.ts";

const failover: Callbacks<typeof db_failover> = db_failover.callbacks;

/** Which of a move's barriers on the side that it leaves is the block's: before it they are measured. */
const blockBarrier = 2;

/** The owners hear of the block only when all is drained and verified. */
class EarlyDrain extends SiteShards {
  /** Of the move in work, by site; undefined between moves. */
  #barriers: Map<Site, number> | undefined;
  #unheard: Site | undefined;

  override async pauseCrawlers(): Promise<void> {
    this.#barriers = new Map();
    await super.pauseCrawlers();
  }

  override async refresh(site: Site): Promise<void> {
    const barrier = 1 + (this.#barriers?.get(site) ?? 0);
    this.#barriers?.set(site, barrier);
    if (this.#barriers !== undefined && barrier === blockBarrier) {
      this.#unheard = site;
      return;
    }
    await super.refresh(site);
  }

  override async adopt(site: Site, cohorts: readonly CohortId[]): Promise<number[]> {
    if (this.#unheard !== undefined) await super.refresh(this.#unheard);
    this.#unheard = undefined;
    return super.adopt(site, cohorts);
  }

  override async resumeCrawlers(): Promise<void> {
    this.#barriers = undefined;
    this.#unheard = undefined;
    await super.resumeCrawlers();
  }
}

/** Drains before it blocks: what is written between the two is dirty at the swap. */
export const early_drain_failover = genServer(import.meta.url, "early_drain_failover", {
  ...failover,
  init: async (options: SiteOptions, self) => ({
    ...(await failover.init(options, self)),
    shards: new EarlyDrain(self, options),
  }),
}) as typeof db_failover;

/** Takes a swap for done once it has asked for it, whether or not control has it then, or ever. */
export const hasty_swap_failover = genServer(import.meta.url, "hasty_swap_failover", {
  ...failover,
  init: async (options: SiteOptions, self) => {
    const state: { readonly control: ControlStore } = await failover.init(options, self);
    return { ...state, control: unheard(state.control) };
  },
}) as typeof db_failover;

function unheard(control: ControlStore): ControlStore {
  return {
    get: (key) => control.get(key),
    list: (prefix) => control.list(prefix),
    nextTerm: () => control.nextTerm(),
    close: () => control.close(),
    compareAndSet: async (key, expected, value) => {
      const written = control.compareAndSet(key, expected, value);
      if ((value as Partial<DecisionRecord>).state !== "swapped") return written;
      written.catch(() => undefined);
      return expected + 1;
    },
  };
}

/**
 * Oracle I1: each key that the two sides show differently has a mark or lies in a range, at every instant. It is
 * kept up to date by what happens: a row that changed is compared again, and the keys that differ are looked up again
 * only when their ledger took something back or is another one, or when control changed.
 *
 * State: the keys that differ, by shard; what was found, each key once.
 */

import { compareRows } from "../../actors/compare.ts";
import type { Account, Ledger } from "../../actors/ledger.ts";
import type { Row, RowKey, Site } from "../../actors/records.ts";

/** What the oracle sees of a key's place now. */
export interface LedgerState {
  readonly ledger: Ledger;
  /** False until it knows its shard's term, hence whether its log was lost: until then it says nothing. */
  readonly termsKnown: boolean;
  readonly held: ReadonlyMap<RowKey, string>;
}

export interface Accounted {
  readonly nowMs: () => number;
  readonly row: (site: Site, key: RowKey) => Row | undefined;
  readonly shardOf: (key: RowKey) => number;
  /** The site that serves the key; undefined before its cohort is live: nothing is promised then. */
  readonly servedAt: (key: RowKey) => Site | undefined;
  /** Undefined while the ledger is down or starts. */
  readonly ledger: (site: Site, shard: number) => LedgerState | undefined;
  /** Another value: who serves what may have changed. */
  readonly controlChanges: () => number;
}

interface Seen {
  readonly site: Site;
  ledger: Ledger | undefined;
  retractions: number;
}

interface Shard {
  readonly differing: Set<RowKey>;
  /** Keys to look up at the next check, whatever the ledger did. */
  readonly touched: Set<RowKey>;
  /** What was seen of each site's ledger at the last check. */
  readonly seen: readonly Seen[];
}

export class Accounting {
  /** Keys that were unaccounted for at some instant, each once. */
  readonly found: RowKey[] = [];
  readonly #sites: readonly Site[];
  readonly #world: Accounted;
  readonly #shards: Shard[];
  #controlChanges = -1;

  constructor(sites: readonly Site[], shards: number, world: Accounted) {
    this.#sites = sites;
    this.#world = world;
    this.#shards = Array.from({ length: shards }, () => ({
      differing: new Set(),
      touched: new Set(),
      seen: sites.map((site) => ({ site, ledger: undefined, retractions: 0 })),
    }));
  }

  /** This row may have changed on one of the sides. */
  touch(key: RowKey): void {
    this.#shards[this.#world.shardOf(key)]?.touched.add(key);
  }

  /** After each event; only looks. */
  check(): false {
    const changes = this.#world.controlChanges();
    const all = changes !== this.#controlChanges;
    this.#controlChanges = changes;
    for (let index = 0; index < this.#shards.length; index++) {
      const shard = this.#shards[index] as Shard;
      const retracted = this.#retracted(shard, index);
      if (!all && !retracted && shard.touched.size === 0) continue;
      for (const key of shard.touched) {
        if (this.#differs(key)) shard.differing.add(key);
        else shard.differing.delete(key);
      }
      const suspects = all || retracted ? shard.differing : shard.touched;
      for (const key of suspects) if (shard.differing.has(key)) this.#look(shard, index, key);
      shard.touched.clear();
    }
    return false;
  }

  /** True if one of the shard's ledgers took something back since the last check, or is another one. */
  #retracted(shard: Shard, index: number): boolean {
    let retracted = false;
    for (const seen of shard.seen) {
      const ledger = this.#world.ledger(seen.site, index)?.ledger;
      const retractions = ledger?.retractions ?? 0;
      if (seen.ledger === ledger && seen.retractions === retractions) continue;
      seen.ledger = ledger;
      seen.retractions = retractions;
      retracted = true;
    }
    return retracted;
  }

  #look(shard: Shard, index: number, key: RowKey): void {
    if (this.account(index, key) !== "none") return;
    // Time alone makes rows equal: they expire.
    if (!this.#differs(key)) shard.differing.delete(key);
    else if (!this.found.includes(key)) this.found.push(key);
  }

  /** What stands for a key at the site that serves it; "unknown" where nothing is promised or can be known now. */
  account(shard: number, key: RowKey): Account | "held" | "unknown" {
    const site = this.#world.servedAt(key);
    const state = site === undefined ? undefined : this.#world.ledger(site, shard);
    if (state === undefined) return "unknown";
    return state.held.has(key) ? "held" : state.ledger.account(key);
  }

  #differs(key: RowKey): boolean {
    const [a = "A", b = "B"] = this.#sites;
    return compareRows(this.#world.row(a, key), this.#world.row(b, key), this.#world.nowMs()) !== "equal";
  }
}

/**
 * Of two prefixes one is swapped and one is not; groups of either have members of both, who join and leave all the
 * while. An edge is a row of its group only, so it has one authority; the reverse direction is derived from rows.
 */

import { groups } from "../../../actors/backends/groups.ts";
import { db_store } from "../../../actors/db_store.ts";
import { rowKey, type Site } from "../../../actors/records.ts";
import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import { decisionBecomes, ending, isUp } from "./at_rest.ts";
import { own_index_store } from "./data_twins.ts";
import { hazard, judge } from "./hazard.ts";

const shards = 2;
const german = "+49301";
const brazilian = "+55111";
const members = ["+49170", "+49171", "+55118", "+55119"] as const;
const [anna, bert, caio, duda] = members;

/** Which members each group should have, as their operations were acknowledged. */
class Groups {
  readonly #sites: TwoSites;
  readonly #edges = new Map<string, Set<string>>();

  constructor(sites: TwoSites) {
    this.#sites = sites;
  }

  async join(key: string, member: string): Promise<void> {
    const { call } = await this.#sites.access(groups);
    await this.#sites.alive(call.add({ key, member, value: new Uint8Array([1]) }, { timeoutMs: 30_000 }));
    this.#edges.set(key, new Set(this.#edges.get(key)).add(member));
  }

  async leave(key: string, member: string): Promise<void> {
    const { call } = await this.#sites.access(groups);
    await this.#sites.alive(call.remove({ key, member }, { timeoutMs: 30_000 }));
    this.#edges.get(key)?.delete(member);
  }

  #of(member: string): string {
    const keys = [...this.#edges].filter(([, found]) => found.has(member)).map(([key]) => key);
    return keys.sort().join();
  }

  /** Whether clients and both sides' indexes say of each member what was acknowledged. */
  async check(when: string): Promise<string[]> {
    const { call } = await this.#sites.access(groups);
    const wrong: string[] = [];
    for (const member of members) {
      const wanted = this.#of(member);
      const told = (await this.#sites.alive(call.of({ member }))).join();
      if (told !== wanted) wrong.push(`${when} a client hears that ${member} is in ${told}, not ${wanted}`);
      for (const site of ["A", "B"]) {
        const found = (await indexed(this.#sites, site, member)).join();
        if (found !== wanted) wrong.push(`${when} ${site} finds ${member} in ${found}, not in ${wanted}`);
      }
    }
    return wrong;
  }
}

/** What a site's own indexes say. */
async function indexed(sites: TwoSites, site: Site, sub: string): Promise<string[]> {
  const found: string[] = [];
  for (let shard = 0; shard < shards; shard++) {
    const { call } = sites.node.system.ref(db_store, sites.name(site, "db_store", shard));
    found.push(...(await sites.alive(call.lookup({ backend: groups.name, sub, limit: 100 }))));
  }
  return found.sort();
}

hazard({
  number: 52,
  title: "members join and leave groups of a swapped and of an unswapped prefix, and both sides know it",
  options: { shards, prefixes: ["+49", "+55"] },
  play: async (sites, world) => {
    const edges = new Groups(sites);
    for (const member of [anna, caio]) await edges.join(german, member);
    for (const member of [bert, caio]) await edges.join(brazilian, member);
    await sites.copied();
    const unaccounted = sites.watchUnaccounted();
    sites.points.arm("control compareAndSet", decisionBecomes("swapped"));
    const move = ending(sites.move("+49"));
    await sites.reached("control compareAndSet", 1, 30_000);
    // +49 is read-only: what is asked of its groups waits for the swap, what is asked of +55's does not.
    const waiting = [edges.leave(german, caio), edges.join(german, duda)];
    await edges.leave(brazilian, caio);
    await edges.join(brazilian, anna);
    sites.points.release("control compareAndSet");
    await Promise.all([move, ...waiting]);
    const served = [german, brazilian].map((key) => sites.authority(rowKey(groups.name, key)).site).join();
    const wrong = served === "B,A" ? [] : [`the groups are served by ${served}`];
    await edges.join(german, bert);
    await edges.leave(brazilian, bert);
    await sites.settled();
    wrong.push(...(await edges.check("after the swap")));
    sites.crash();
    await sites.restart();
    for (const site of ["A", "B"]) {
      for (let shard = 0; shard < shards; shard++)
        await isUp(sites, world, sites.name(site, "db_switch", shard));
    }
    wrong.push(...(await edges.check("after a restart")));
    return judge(sites, unaccounted, wrong);
  },
  twin: { name: "an index of what each side admitted itself", replaced: { db_store: own_index_store } },
});

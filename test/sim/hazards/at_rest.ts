/** What the oracles say when a scenario is over: one sentence for each thing that is wrong, none if all hold. */

import type { AuthorityTable } from "../../../actors/authority.ts";
import type { DecisionRecord, ShardRecord } from "../../../actors/control_store.ts";
import type { CohortId, Row, RowKey, Scope, Site } from "../../../actors/records.ts";
import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import { NanoError } from "../../../src/index.ts";
import { SimulationError, simulateSeed, type World } from "../../../src/simulation/index.ts";

/** Waits until nothing is dirty, then asks I1, I2 and I5. `unaccounted`: the list that `watchUnaccounted` gave. */
export async function atRest(
  sites: TwoSites,
  unaccounted: readonly RowKey[],
  withinMs = 30_000,
): Promise<string[]> {
  const findings = await within("everything was repaired", () => sites.settled(withinMs));
  // Nothing is in flight any more: what differs now stays so.
  for (const key of new Set([...unaccounted, ...sites.unaccounted()])) findings.push(`unaccounted: ${key}`);
  for (const key of sites.lost()) findings.push(`lost: ${key}`);
  for (const key of sites.differing()) findings.push(`differs: ${key}`);
  return findings;
}

/** Plays a scenario in fifo order and in four random ones: its pause points pin the interleaving in each. */
export async function inEachOrder(scenario: (world: World) => Promise<readonly string[]>): Promise<string[]> {
  const { result } = await simulateSeed({ seed: 1 }, scenario);
  const findings = [...result];
  for (let seed = 1; seed <= 4; seed++) {
    const played = await simulateSeed({ seed, order: "random" }, scenario);
    findings.push(...played.result.map((finding) => `seed ${seed}: ${finding}`));
  }
  return findings;
}

/** A wait that may come to nothing: then a finding says so. */
export async function within(what: string, wait: () => Promise<void>): Promise<string[]> {
  try {
    await wait();
    return [];
  } catch (error) {
    if (!(error instanceof SimulationError)) throw error;
    return [`not in time: ${what}`];
  }
}

/** How an answer ended, as a value: a scenario may await it later, or never. */
export function ending<T>(answer: Promise<T>): Promise<T | NanoError> {
  return answer.catch((error: unknown) => {
    if (error instanceof NanoError) return error;
    throw error;
  });
}

/** For a pause point of the control store: a decision about to take this state. */
export function decisionBecomes(wanted: DecisionRecord["state"]): { matches: (details: unknown) => boolean } {
  return {
    matches: (details) => {
      const { key, value } = details as { key: string; value?: DecisionRecord };
      return key.startsWith("decision/") && value?.state === wanted;
    },
  };
}

/** For a pause point of a store: the fence of this scope. */
export function fences(wanted: Scope): { matches: (details: unknown) => boolean } {
  return { matches: (details) => (details as { scope: Scope }).scope === wanted };
}

/** For a pause point of a store or link: an apply with a row of this key. */
export function appliesRow(key: RowKey): { matches: (details: unknown) => boolean } {
  return { matches: (details) => (details as { rows: readonly Row[] }).rows.some((row) => row.key === key) };
}

export function decisions(sites: TwoSites): DecisionRecord[] {
  return sites.control.listNow("decision/").map(({ value }) => value as DecisionRecord);
}

/** A process of a shard has started anew and took its first turn. */
export function isUp(sites: TwoSites, world: World, name: string): Promise<void> {
  return world.eventually(`${name} is up`, () => sites.node.stateOf(name) !== undefined, 10_000);
}

/**
 * I4 from now on, for these cohorts: the list it returns grows when both sites' db_switch would admit a write of one at
 * the same time, and with each term under which both did, told by the versions that reach the stores.
 */
export function watchAuthority(sites: TwoSites, world: World, cohorts: readonly CohortId[]): string[] {
  const found = new Set<string>();
  const list: string[] = [];
  const add = (finding: string): void => {
    if (!found.has(finding)) list.push(finding);
    found.add(finding);
  };
  world.afterEachEvent(() => {
    for (const cohort of cohorts) {
      if (admits(sites, "A", cohort) && admits(sites, "B", cohort)) add(`both sites admit ${cohort}`);
    }
  });
  const siteOf = new Map<number, string>();
  const admittedBy = new Map<number, string>();
  const note = ({ key, version: [term, shardTerm] }: Row): void => {
    for (const { key: shard, value } of sites.control.listNow("shard/")) {
      siteOf.set((value as ShardRecord).term, shard.split("/")[1] ?? "");
    }
    const site = siteOf.get(shardTerm);
    if (site === undefined) return;
    const earlier = admittedBy.get(term) ?? site;
    admittedBy.set(term, earlier);
    if (earlier !== site) add(`both sites admitted under term ${term}: ${key}`);
  };
  for (const site of ["A", "B"]) {
    const matches = (details: unknown): boolean => {
      for (const row of (details as { rows: readonly Row[] }).rows) note(row);
      return false;
    };
    sites.points.arm(`${site} store applied`, { matches });
  }
  return list;
}

/** Whether a site's db_switch would let a client's write of the cohort in now. */
export function admits(sites: TwoSites, site: Site, cohort: CohortId): boolean {
  const { node } = sites.siteNode(sites.placeOf(site, 0));
  const state = node.stateOf(sites.name(site, "db_switch")) as
    | { readonly lost: string; readonly authority: AuthorityTable }
    | undefined;
  if (state === undefined || state.lost !== "") return false;
  try {
    state.authority.writing(cohort);
    return true;
  } catch (error) {
    if (error instanceof NanoError) return false;
    throw error;
  }
}

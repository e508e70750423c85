/**
 * What a move may lose, made ready: a prefix with live traffic and a key that the new side rejects, so that a swap has
 * to carry it over; and the judgement over it when all is done.
 */

import { auditDecisions } from "../../../actors/decision_audit.ts";
import { cohortId, rowKey } from "../../../actors/records.ts";
import { nodeDigest } from "../../../actors/stores/sha256.ts";
import { TwoSites, type WorldOptions } from "../../../app/simulate/two_sites.ts";
import { NanoError } from "../../../src/index.ts";
import type { World } from "../../../src/simulation/index.ts";
import { admits, atRest, decisions, ending, watchAuthority, within } from "./at_rest.ts";

export const prefix = "+49";
export const cohort = cohortId("device_platform", prefix);
export const poison = "+491701";
const poisonRow = rowKey("device_platform", poison);

export interface Prepared {
  readonly sites: TwoSites;
  /** Grows with each thing that is wrong; asks all oracles when it is called. */
  readonly judge: (boundMs: number) => Promise<string[]>;
}

/** B has v1 of the poison key and rejects v2, which is in A's db_perror now. One client writes all the time. */
export async function prepared(world: World, options: WorldOptions): Promise<Prepared> {
  const sites = await TwoSites.start(world, options);
  for (const key of [poison, "+491702", "+491703"]) await sites.write(key, "v1");
  await sites.copied();
  sites.weather("A").rejected.add(poisonRow);
  await sites.write(poison, "v2");
  const isPoison = (): boolean => sites.ledger("A")?.owner(poisonRow) === "perror";
  await world.eventually("it is quarantined", isPoison, 10_000);
  const unaccounted = sites.watchUnaccounted();
  const authority = watchAuthority(sites, world, [cohort]);
  const traffic = writeAlways(sites, world);
  return {
    sites,
    judge: async (boundMs) => {
      const findings = await within("one side serves and no decision is open", () =>
        world.eventually("served", () => served(sites).length === 1 && openDecisions(sites) === 0, boundMs),
      );
      const longestMs = await traffic.end();
      if (findings.length > 0) return findings;
      if (longestMs > boundMs) findings.push(`no write was acknowledged for ${longestMs} ms`);
      findings.push(...sites.lost().map((key) => `lost: ${key}`));
      findings.push(...(await broughtBack(sites)));
      sites.weather("A").rejected.clear();
      if (!(await sites.write(poison, "v3"))) findings.push("the poison key can't be written any more");
      for (const { faults } of await auditDecisions(sites.control, nodeDigest)) findings.push(...faults);
      return [...findings, ...authority, ...(await atRest(sites, unaccounted))];
    },
  };
}

/** The prefix is served by A again, and shows what was acknowledged there. */
async function broughtBack(sites: TwoSites): Promise<string[]> {
  const findings: string[] = [];
  if (served(sites)[0] === "B") {
    const read = await shown(sites);
    if (read !== "held") findings.push(`the new side does not hold the poison key but shows ${read}`);
    const back = await ending(sites.move(prefix, "B", "A"));
    if ("outcome" in back && back.outcome === "swapped") {
      const read = await shown(sites);
      return read === "v2" ? findings : [...findings, `back on the old side the poison key shows ${read}`];
    }
    return [...findings, `it can't be moved back: ${"outcome" in back ? back.reason : back.message}`];
  }
  const read = await shown(sites);
  if (read !== "v2") findings.push(`the old side shows ${read} for the poison key`);
  return findings;
}

async function shown(sites: TwoSites): Promise<string | null> {
  const answer = await ending(sites.read(poison));
  return answer instanceof NanoError ? answer.code : answer;
}

/** One client that writes one key without a pause; `end` tells the longest time without an acknowledgement. */
export function writeAlways(sites: TwoSites, world: World): { readonly end: () => Promise<number> } {
  let ended = false;
  let longestMs = 0;
  const run = async (): Promise<void> => {
    let lastMs = world.nowMs;
    for (let i = 0; !ended; i++) {
      const written = await sites.write("+491799", `${i}`);
      longestMs = Math.max(longestMs, world.nowMs - lastMs);
      if (written) lastMs = world.nowMs;
      await world.sleep(written ? 5 : 20);
    }
  };
  const running = run();
  return {
    end: async () => {
      ended = true;
      await running;
      return longestMs;
    },
  };
}

export function served(sites: TwoSites): string[] {
  return ["A", "B"].filter((site) => admits(sites, site, cohort));
}

export function openDecisions(sites: TwoSites): number {
  return decisions(sites).filter(({ state }) => state === "announced" || state === "blocking").length;
}

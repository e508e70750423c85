/** What an operator does with keys in db_perror, and with those that a swap carried over. */

import { describe, expect, it } from "vitest";
import { readEntries } from "../../actors/decision_log.ts";
import { type RowKey, rowKey } from "../../actors/records.ts";
import { TwoSites } from "../../app/simulate/two_sites.ts";
import { NanoError } from "../../src/index.ts";
import { simulateSeed, type World } from "../../src/simulation/index.ts";
import { appliesRow, atRest, ending } from "./hazards/at_rest.ts";

const poison = "+491701";
const row: RowKey = rowKey("device_platform", poison);

function simulated<T>(scenario: (world: World) => Promise<T>): Promise<T> {
  return simulateSeed({ seed: 1 }, scenario).then(({ result }) => result);
}

/** B has v1 of the poison key and rejects v2, which is in A's db_perror now. */
async function quarantined(world: World): Promise<TwoSites> {
  const sites = await TwoSites.start(world);
  await sites.write(poison, "v1");
  await sites.copied();
  sites.weather("A").rejected.add(row);
  await sites.write(poison, "v2");
  const isPoison = (): boolean => sites.ledger("A")?.owner(row) === "perror";
  await world.eventually("it is quarantined", isPoison, 10_000);
  return sites;
}

async function shown(sites: TwoSites): Promise<string | null> {
  const answer = await ending(sites.read(poison));
  return answer instanceof NanoError ? answer.code : answer;
}

describe("a quarantined key", () => {
  it("that is retried when the remote takes it leaves the quarantine, and the deed is on record", async () => {
    const result = await simulated(async (world) => {
      const sites = await quarantined(world);
      const unaccounted = sites.watchUnaccounted();
      sites.weather("A").rejected.clear();
      const deed = await sites.alive(sites.sites.retryPerror([row]));
      const findings = await atRest(sites, unaccounted);
      await world.sleep(10);
      const left = await sites.alive(sites.sites.perror("A"));
      const log = (await readEntries(sites.control, "+49")).map(({ step, keys }) => `${step} ${keys.length}`);
      return { deed, findings, left, log };
    });
    expect(result).toEqual({
      deed: { done: [row], refused: [] },
      findings: [],
      left: [],
      log: ["perror_retried 1"],
    });
  });

  it("that is retried while the remote rejects it is back in quarantine, never unaccounted for", async () => {
    const { unaccounted, owner } = await simulated(async (world) => {
      const sites = await quarantined(world);
      const unaccounted = sites.watchUnaccounted();
      await sites.alive(sites.sites.retryPerror([row]));
      await world.sleep(5_000);
      return { unaccounted, owner: sites.ledger("A")?.owner(row) };
    });
    expect({ unaccounted, owner }).toEqual({ unaccounted: [], owner: "perror" });
  });

  it("that is resolved is nobody's any more; another one is refused in words", async () => {
    const { deed, account, left } = await simulated(async (world) => {
      const sites = await quarantined(world);
      const deed = await sites.alive(sites.sites.resolvePerror([row, rowKey("device_platform", "+491702")]));
      return {
        deed,
        account: sites.ledger("A")?.account(row),
        left: await sites.alive(sites.sites.perror("A")),
      };
    });
    expect(deed.done).toEqual([row]);
    expect(deed.refused.map(({ why }) => why)).toEqual(["not in db_perror of A"]);
    expect({ account, left }).toEqual({ account: "none", left: [] });
  });
});

describe("a held key", () => {
  it.each([
    ["here", "v1"],
    ["left behind", "v2"],
  ] as const)(
    "that is released with what stands %s shows %s on both sides, accounted for all along",
    async (stands, value) => {
      const result = await simulated(async (world) => {
        const sites = await quarantined(world);
        await sites.move("+49");
        const unaccounted = sites.watchUnaccounted();
        const held = [await sites.alive(sites.sites.held("B")), await shown(sites)];
        const deed = await sites.alive(sites.sites.releaseHeld([row], stands));
        await sites.settled();
        return {
          held,
          deed,
          unaccounted,
          shown: [await shown(sites), sites.shown("A", poison), sites.shown("B", poison)],
          left: await sites.alive(sites.sites.perror("A")),
          written: await sites.write(poison, "v3"),
          again: (await sites.alive(sites.sites.releaseHeld([row], stands))).refused.map(({ why }) => why),
        };
      });
      expect(result).toEqual({
        held: [[row], "held"],
        deed: { done: [row], refused: [] },
        unaccounted: [],
        shown: [value, value, value],
        left: [],
        written: true,
        again: ["not held on B"],
      });
    },
  );

  it("is released for good: a restart does not bring the hold back", async () => {
    const after = await simulated(async (world) => {
      const sites = await quarantined(world);
      await sites.move("+49");
      await sites.alive(sites.sites.releaseHeld([row], "left behind"));
      sites.crash();
      await sites.restart();
      return [await shown(sites), await sites.alive(sites.sites.held("B"))];
    });
    expect(after).toEqual(["v2", []]);
  });

  it("is not said to be released while the log can't forget the hold", async () => {
    const result = await simulated(async (world) => {
      const sites = await quarantined(world);
      await sites.move("+49");
      sites.points.arm("B store applied", appliesRow(row));
      const deed = sites.alive(sites.sites.releaseHeld([row], "here"));
      await sites.reached("B store applied");
      sites.disk.faults.broken.add("B/log-0");
      sites.points.release("B store applied");
      const { done, refused } = await deed;
      sites.crash();
      sites.disk.faults.broken.clear();
      await sites.restart();
      return { done, refused: refused.length, after: await shown(sites) };
    });
    expect(result).toEqual({ done: [], refused: 1, after: "held" });
  });
});

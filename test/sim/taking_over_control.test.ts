/** How db_switch takes over what control says: one reading after the other, and nothing before its store is fenced. */

import { expect, it } from "vitest";
import { type ControlRecord, controlKeys, type DecisionRecord } from "../../actors/control_store.ts";
import { db_switch } from "../../actors/db_switch.ts";
import { TwoSites, type WorldOptions } from "../../app/simulate/two_sites.ts";
import { NanoError } from "../../src/index.ts";
import { simulateSeed, type World } from "../../src/simulation/index.ts";
import { decisionBecomes, ending, fences } from "./hazards/at_rest.ts";
import { leaseMs } from "./hazards/cut_off.ts";
import { rowOf } from "./hazards/hazard.ts";
import { late_holds } from "./hazards/late_messages.ts";

const cohort = "device_platform/+49";
const key = "+4917701";

function admissionOf(sites: TwoSites) {
  return sites.node.system.ref(db_switch, sites.name("A", "db_switch")).call;
}

/** Writes the decisions of a coordinator that lives elsewhere. */
async function elsewhere(sites: TwoSites, world: World) {
  const { control } = sites;
  const [blockTerm, swapTerm] = [await control.nextTerm(), await control.nextTerm()];
  let revision: number | undefined = 0;
  return async (state: DecisionRecord["state"]): Promise<void> => {
    const decision: DecisionRecord = {
      id: `+49-${String(blockTerm).padStart(8, "0")}`,
      prefix: "+49",
      cohorts: [cohort],
      from: "A",
      to: "B",
      blockTerm,
      swapTerm,
      state,
      owner: "elsewhere/db_failover",
      leaseUntilMs: world.wallMs + 60_000,
      endedAtMs: 0,
    };
    revision = await control.compareAndSet(controlKeys.decision(decision.id), revision ?? 0, decision);
  };
}

/** The code of the refusal of a write at site A, or "taken". */
async function written(sites: TwoSites): Promise<string> {
  const rows = [{ key: rowOf(key), value: Uint8Array.of(1), expiresAtMs: 0 }];
  const answer = await ending(admissionOf(sites).write({ cohort, rows }));
  return answer instanceof NanoError ? answer.code : "taken";
}

async function owned<T>(play: (sites: TwoSites, world: World) => Promise<T>, options: WorldOptions = {}) {
  const { result } = await simulateSeed({ seed: 1 }, async (world) => {
    const sites = await TwoSites.start(world, { tuning: { leaseMs }, ...options });
    await sites.copied();
    return play(sites, world);
  });
  return result;
}

it("a renewal that was read before a block and arrives after it does not undo the block", async () => {
  const codes = await owned(async (sites, world) => {
    const decide = await elsewhere(sites, world);
    await decide("announced");
    const list = sites.control.list.bind(sites.control);
    sites.control.list = async (prefix): Promise<ControlRecord[]> => {
      const found = await list(prefix);
      await sites.points.pass("control listed", prefix);
      return found;
    };
    sites.points.arm("control listed", {
      count: Number.POSITIVE_INFINITY,
      matches: (prefix) => prefix === "decision/",
    });
    // Each owner has a renewal under way now.
    await world.sleep(leaseMs / 2);
    sites.points.disarm("control listed");
    const before = await written(sites);
    await decide("blocking");
    await admissionOf(sites).refresh();
    sites.points.release("control listed");
    await world.sleep(10);
    return [before, await written(sites)];
  });
  expect(codes).toEqual(["taken", "blocked"]);
});

it("a renewal that takes long to be taken over does not undo a block that is read meanwhile", async () => {
  const codes = await owned(
    async (sites, world) => {
      const decide = await elsewhere(sites, world);
      sites.points.arm("A way to holds");
      await decide("announced");
      await sites.reached("A way to holds");
      await decide("blocking");
      const refreshed = admissionOf(sites).refresh();
      await world.sleep(20);
      sites.points.release("A way to holds");
      await refreshed;
      await world.sleep(1);
      return written(sites);
    },
    { replaced: { db_dirty_keys: late_holds } },
  );
  expect(codes).toBe("blocked");
});

it("the new side serves nothing before its own store is fenced at the new term", async () => {
  const result = await owned(async (sites) => {
    const { points } = sites;
    points.arm("control wrote", decisionBecomes("swapped"));
    const move = sites.move("+49");
    await sites.reached("control wrote");
    points.arm("B store fence", fences(cohort));
    points.release("control wrote");
    await sites.reached("B store fence");
    const early = await sites.write(key, "early", 200);
    points.release("B store fence");
    const { outcome } = await move;
    return { early, outcome, later: await sites.write(key, "later") };
  });
  expect(result).toEqual({ early: false, outcome: "swapped", later: true });
});

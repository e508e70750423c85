/**
 * 36: the coordinator dies at each step of a move: its process alone, the step under way lost or still to come, or the
 * whole node. The prefix ends wholly on one side, is read-only for a bounded time, and can be moved again.
 */

import { describe, expect, it } from "vitest";
import { cohortId } from "../../../actors/records.ts";
import { TwoSites, type WorldOptions } from "../../../app/simulate/two_sites.ts";
import { simulateSeed, type World } from "../../../src/simulation/index.ts";
import { deaf_switch } from "../../sabotage/twins.ts";
import {
  admits,
  atRest,
  decisionBecomes,
  decisions,
  ending,
  fences,
  isUp,
  watchAuthority,
  within,
} from "./at_rest.ts";
import { forgetful_failover } from "./broken_actors.ts";
import { writeAlways } from "./prefix_with_poison.ts";

const prefix = "+49";
const cohort = cohortId("device_platform", prefix);
const failover = "A/db_failover";

/** I6: the successor of a dead coordinator, or the node, starts and passes a few barriers; virtual ms. */
const boundMs = 5_000;

/** A moment of a move: a pause point, or the end of a step as the coordinator logs it. */
type Step =
  | { readonly point: string; readonly matches: (details: unknown) => boolean }
  | { readonly ended: string };

const steps: Readonly<Record<string, Step>> = {
  "before it announces": { point: "control compareAndSet", ...decisionBecomes("announced") },
  "when it has announced": { point: "control wrote", ...decisionBecomes("announced") },
  "after the comparison": { ended: "announce" },
  "before it blocks": { point: "control compareAndSet", ...decisionBecomes("blocking") },
  "when it has blocked": { point: "control wrote", ...decisionBecomes("blocking") },
  "before the old side is fenced": { point: "A store fence", ...fences(cohort) },
  "when the block is acknowledged": { ended: "block" },
  "when it has drained and verified": { ended: "drain and verify" },
  "when held keys are carried over": { ended: "carry held" },
  "before it swaps": { point: "control compareAndSet", ...decisionBecomes("swapped") },
  "when it has swapped": { point: "control wrote", ...decisionBecomes("swapped") },
  "before the new side is fenced": { point: "B store fence", ...fences(cohort) },
  "when the new side serves": { ended: "swap and unblock" },
};

/** `late`: its process dies, and what it was about to do happens after its successor has cleaned up. */
const deaths = ["process", "late", "node"] as const;
type Death = (typeof deaths)[number];

async function moveWithDeath(
  world: World,
  options: WorldOptions,
  step: Step,
  death: Death,
): Promise<string[]> {
  const sites = await TwoSites.start(world, options);
  for (let i = 0; i < 10; i++) await sites.write(`+49170${i}`, `v${i}`);
  await sites.copied();
  const unaccounted = sites.watchUnaccounted();
  const authority = watchAuthority(sites, world, [cohort]);
  const traffic = writeAlways(sites, world);
  await world.sleep(100);
  const stepped = arm(sites, world, step);
  const move = ending(sites.move(prefix));
  await stepped;
  await die(sites, world, step, death);
  await move;
  const findings = await within("one side serves and no decision is open", () =>
    world.eventually("served", () => served(sites).length === 1 && open(sites) === 0, boundMs),
  );
  if (findings.length > 0) return findings;
  const [from] = served(sites);
  const again = await ending(sites.move(prefix, from, from === "A" ? "B" : "A"));
  const refused = "outcome" in again ? again.reason : again.message;
  if (refused !== "") findings.push(`it can't be moved again: ${refused}`);
  const longestMs = await traffic.end();
  if (longestMs > boundMs) findings.push(`no write was acknowledged for ${longestMs} ms`);
  return [...findings, ...authority, ...(await atRest(sites, unaccounted))];
}

/** Resolves when the move is at this step. */
function arm(sites: TwoSites, world: World, step: Step): Promise<void> {
  if ("point" in step) {
    sites.points.arm(step.point, { matches: step.matches });
    return sites.points.reached(step.point);
  }
  const seen = world.logged.length;
  const isEnd = (): boolean => world.logged.slice(seen).some(({ fields }) => fields.step === step.ended);
  return world.eventually(`the end of ${step.ended}`, isEnd, 60_000);
}

async function die(sites: TwoSites, world: World, step: Step, death: Death): Promise<void> {
  if (death === "node") sites.crash();
  else sites.node.kill(failover);
  if ("point" in step && death !== "late") {
    // A store's call goes on without whoever asked for it, unless all of the node is gone.
    if (death === "node" || step.point.startsWith("control")) sites.points.drop(step.point);
    else sites.points.release(step.point);
  }
  if (death === "node") await sites.restart();
  else await isUp(sites, world, failover);
  await world.sleep(death === "late" ? 500 : 0);
  if ("point" in step) sites.points.release(step.point);
}

function served(sites: TwoSites): string[] {
  return ["A", "B"].filter((site) => admits(sites, site, cohort));
}

function open(sites: TwoSites): number {
  return decisions(sites).filter(({ state }) => state === "announced" || state === "blocking").length;
}

describe("hazard 36: a coordinator that dies leaves the prefix wholly on one side, served and movable", () => {
  for (const [when, step] of Object.entries(steps)) {
    for (const death of deaths) {
      if (death === "late" && !("point" in step)) continue;
      it(`${when}, ${death}`, async () => {
        const { result } = await simulateSeed({ seed: 36 }, (world) => moveWithDeath(world, {}, step, death));
        expect(result).toEqual([]);
      });
    }
  }
});

it("twin of hazard 36: a coordinator that does not end what an earlier one left open is caught", async () => {
  const step: Step = { point: "control wrote", ...decisionBecomes("blocking") };
  const twin = { replacedCoordinators: { db_failover: forgetful_failover } };
  const { result } = await simulateSeed({ seed: 36 }, (world) => moveWithDeath(world, twin, step, "process"));
  expect(result).toContain("not in time: one side serves and no decision is open");
});

it("twin of hazard 36: a db_switch that does not hear of the swap is caught", async () => {
  const step: Step = { point: "control wrote", ...decisionBecomes("swapped") };
  const twin = { replaced: { db_switch: deaf_switch } };
  const { result } = await simulateSeed({ seed: 36 }, (world) => moveWithDeath(world, twin, step, "process"));
  expect(result).toContain(`both sites admit ${cohort}`);
});

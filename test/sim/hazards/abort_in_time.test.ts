/**
 * A move that is aborted, whichever of its instructions is under way and never answered: the old side takes writes
 * again within a second, and the instruction changes nothing when it is carried out after all.
 */

import { expect, it } from "vitest";
import type { DecisionRecord } from "../../../actors/control_store.ts";
import type { db_failover } from "../../../actors/db_failover.ts";
import { simulateSeed } from "../../../src/simulation/index.ts";
import { ending } from "./at_rest.ts";
import { prefix, prepared } from "./prefix_with_poison.ts";
import { deaf_failover, type Instruction, stepped_failover } from "./stepped_coordinator.ts";

const coordinator = "A/db_failover";
const servedWithinMs = 1_000;
const boundMs = 10_500;

interface Abort {
  /** Undefined: the move swaps with fewer instructions. */
  readonly at: string | undefined;
  readonly findings: readonly string[];
}

/** `deadNewSide`: from the wish on, nothing that the coordinator sends to B is answered either, for a while. */
async function abortAt(n: number, kind: typeof db_failover, deadNewSide: boolean): Promise<Abort> {
  const { result } = await simulateSeed({ seed: 3 }, async (world): Promise<Abort> => {
    const { sites, judge } = await prepared(world, { replacedCoordinators: { db_failover: kind } });
    const { points } = sites;
    let count = 0;
    let at: string | undefined;
    let ended = false;
    // The beat renews the lease beside the steps.
    const isStep = ({ what }: Instruction): boolean => !what.startsWith("control get decision/");
    const matches = (details: unknown): boolean => {
      const instruction = details as Instruction;
      if (ended || !isStep(instruction) || ++count !== n) return false;
      at = swaps(instruction) ? undefined : instruction.what;
      ended = at === undefined;
      return at !== undefined;
    };
    points.arm(`${coordinator} instruction`, { matches });
    const move = ending(sites.move(prefix)).then(() => {
      ended = true;
    });
    await world.eventually("it stands, swaps or ends", () => at !== undefined || ended, 30_000);
    if (at === undefined) return { at, findings: [] };
    const findings: string[] = [];
    const isToB = (details: unknown): boolean => (details as Instruction).what.startsWith("B/");
    if (deadNewSide)
      points.arm(`${coordinator} instruction`, { count: Number.POSITIVE_INFINITY, matches: isToB });
    const wishedMs = world.nowMs;
    await sites.sites.abortMove("test");
    if (!(await sites.write("+491702", `after ${n}`, 20_000))) findings.push("the write was refused");
    const tookMs = world.nowMs - wishedMs;
    if (tookMs > servedWithinMs) findings.push(`the old side served after ${Math.round(tookMs)} ms`);
    await world.sleep(500);
    points.disarm(`${coordinator} instruction`);
    points.release(`${coordinator} instruction`);
    await move;
    return { at, findings: [...findings, ...(await judge(boundMs))] };
  });
  return result;
}

/** The one point of no return. */
function swaps({ what, sent }: Instruction): boolean {
  return (
    what.startsWith("control compareAndSet decision/") && (sent[2] as DecisionRecord).state === "swapped"
  );
}

async function abortEverywhere(kind: typeof db_failover, deadNewSide: boolean, stopAtFirst = false) {
  const findings: string[] = [];
  let n = 1;
  for (; ; n++) {
    const abort = await abortAt(n, kind, deadNewSide);
    if (abort.at === undefined) break;
    findings.push(...abort.findings.map((finding) => `${n} (${abort.at}): ${finding}`));
    if (stopAtFirst && findings.length > 0) break;
  }
  return { findings, instructions: n - 1 };
}

it.each([
  ["and the new side answers", false],
  ["and the new side is silent", true],
])(
  "an abort at any instruction before the swap leaves the old side serving within a second, %s",
  async (_, deadNewSide) => {
    const { findings, instructions } = await abortEverywhere(stepped_failover, deadNewSide);
    expect(findings).toEqual([]);
    expect(instructions).toBeGreaterThan(40);
  },
  300_000,
);

it("a coordinator that hears the wish only when the step is over is caught", async () => {
  const { findings } = await abortEverywhere(deaf_failover, false, true);
  expect(findings.join()).toMatch(/the old side served after \d+ ms/);
}, 300_000);

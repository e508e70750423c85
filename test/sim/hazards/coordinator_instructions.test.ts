/**
 * 36: the coordinator dies at any of its instructions: each read and write of control and each message to a shard, once
 * before it takes effect and once when its answer is on the way.
 */

import { expect, it } from "vitest";
import type { WorldOptions } from "../../../app/simulate/two_sites.ts";
import { simulateSeed } from "../../../src/simulation/index.ts";
import { ending, isUp } from "./at_rest.ts";
import { prefix, prepared } from "./prefix_with_poison.ts";
import { type Instruction, idle_failover, stepped_failover } from "./stepped_coordinator.ts";

const failover = "A/db_failover";
const stepped = { replacedCoordinators: { db_failover: stepped_failover } };

/** I6: its successor starts, passes a few barriers, and clients ask again. */
const boundMs = 5_000;

type When = "instruction" | "done";

interface Death {
  /** Undefined: the move has fewer instructions. */
  readonly at: string | undefined;
  readonly findings: readonly string[];
}

async function dieAt(n: number, when: When, options: WorldOptions = stepped): Promise<Death> {
  const { result } = await simulateSeed({ seed: 36 }, async (world): Promise<Death> => {
    const { sites, judge } = await prepared(world, options);
    let count = 0;
    let at: string | undefined;
    let ended = false;
    const matches = (details: unknown): boolean => {
      if (ended || ++count !== n) return false;
      at = (details as Instruction).what;
      return true;
    };
    sites.points.arm(`${failover} ${when}`, { matches });
    const move = ending(sites.move(prefix)).then(() => {
      ended = true;
    });
    await world.eventually("it dies or ends", () => at !== undefined || ended, 30_000);
    if (at === undefined) return { at, findings: [] };
    sites.node.kill(failover);
    sites.points.drop(`${failover} ${when}`);
    await move;
    await isUp(sites, world, failover);
    return { at, findings: await judge(boundMs) };
  });
  return result;
}

it.each(["instruction", "done"] as const)(
  "hazard 36: a coordinator that dies at its n-th %s, for each n, leaves the prefix wholly on one side and movable",
  async (when) => {
    const findings: string[] = [];
    let n = 1;
    for (; ; n++) {
      const death = await dieAt(n, when);
      if (death.at === undefined) break;
      findings.push(...death.findings.map((finding) => `${n} (${death.at}): ${finding}`));
    }
    expect(findings).toEqual([]);
    // Fewer would say that the instructions are not seen.
    expect(n).toBeGreaterThan(60);
  },
  300_000,
);

it("twin of hazard 36: caught with a successor that ends nothing, at some instruction", async () => {
  const idle = { replacedCoordinators: { db_failover: idle_failover } };
  const findings: string[] = [];
  for (let n = 1; findings.length === 0; n++) {
    const death = await dieAt(n, "done", idle);
    if (death.at === undefined) break;
    findings.push(...death.findings);
  }
  expect(findings).toContain("not in time: one side serves and no decision is open");
});

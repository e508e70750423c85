/**
 * 57: two coordinators at one prefix. A block's owner stands still at one of its instructions until its lease has
 * ended; another ends the decision and stands still in turn, at each of its own; then the first one goes on. And two
 * that announce at the same time.
 */

import { expect, it } from "vitest";
import type { DecisionRecord } from "../../../actors/control_store.ts";
import { db_failover, type MoveReport } from "../../../actors/db_failover.ts";
import { defaultTuning } from "../../../actors/shard_options.ts";
import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import { child, type NanoError, type Ref } from "../../../src/index.ts";
import { simulateSeed, type World } from "../../../src/simulation/index.ts";
import { decisions, ending } from "./at_rest.ts";
import { prefix, prepared, served } from "./prefix_with_poison.ts";
import {
  blind_failover,
  type Instruction,
  lonely_failover,
  stepped_failover,
} from "./stepped_coordinator.ts";

const first = "A/db_failover";
const second = "B/db_failover";

/** I6: the bound of a move, and what a client needs to ask again. */
const boundMs = 10_500;

/** A second coordinator of the same kind, as another node would run it. */
async function startSecond(sites: TwoSites, kind: typeof db_failover): Promise<Ref<typeof db_failover>> {
  const { leaseMs, sendBatchMax, sendsInFlightMax } = defaultTuning;
  const sending = { sendBatchMax, sendsInFlightMax };
  const { shards, prefixes } = sites;
  const options = { sites: ["A", "B"] as const, shards, prefixes, leaseMs, sending };
  const children = [child("db_failover", kind, options, { name: second })];
  await sites.alive(sites.node.system.supervise({ children }, { name: "the second coordinator" }));
  return sites.node.system.ref(db_failover, second);
}

/** From the instruction of this kind on, which is its n-th, everything of a coordinator waits. */
function freezeAt(sites: TwoSites, name: string, n: number, begins: (details: unknown) => boolean) {
  const frozen: { at: string | undefined } = { at: undefined };
  let count = 0;
  const matches = (details: unknown): boolean => {
    if (frozen.at !== undefined) return true;
    if (count === 0 && !begins(details)) return false;
    if (++count < n) return false;
    frozen.at = (details as Instruction).what;
    return true;
  };
  sites.points.arm(`${name} instruction`, { count: Number.POSITIVE_INFINITY, matches });
  return frozen;
}

function thaw(sites: TwoSites, name: string): void {
  sites.points.disarm(`${name} instruction`);
  sites.points.release(`${name} instruction`);
}

interface Race {
  /** Where each of the two stood; undefined: it had fewer instructions. */
  readonly owner: string | undefined;
  readonly other: string | undefined;
  readonly findings: readonly string[];
}

/** The owner stands at the n-th instruction from the write that blocks on, the other one at its m-th ending it. */
async function race(n: number, m: number, kind: typeof db_failover): Promise<Race> {
  const { result } = await simulateSeed({ seed: 57 }, async (world): Promise<Race> => {
    const { sites, judge } = await prepared(world, { replacedCoordinators: { db_failover: kind } });
    await startSecond(sites, kind);
    const owner = freezeAt(sites, first, n, blocks);
    const other = freezeAt(sites, second, m, (details) => isKind(details, "control get decision/"));
    let ended: MoveReport | NanoError | undefined;
    const move = ending(sites.move(prefix)).then((how) => {
      ended = how;
    });
    const stands = (where: { at: string | undefined }) => () => where.at !== undefined || ended !== undefined;
    await world.eventually("the owner stands or ends", stands(owner), 30_000);
    if (owner.at === undefined) return { owner: undefined, other: undefined, findings: [] };
    await world.sleep(8_000);
    thaw(sites, first);
    await world.sleep(300);
    thaw(sites, second);
    await move;
    const findings = await judge(boundMs);
    if (ended !== undefined && "outcome" in ended) {
      const stood = decisions(sites).find(({ id }) => id === (ended as MoveReport).decision);
      if (stood?.state !== ended.outcome) findings.push(`it says ${ended.outcome}, control ${stood?.state}`);
    }
    return { owner: owner.at, other: other.at, findings };
  });
  return result;
}

/** Of the other's instructions, a fifth with each of the owner's, every one with some: all take five times as long. */
const stride = 5;

/** A fifth of all pairs, or those until the first finding. */
async function races(kind: typeof db_failover, stopAtFirst: boolean) {
  const findings: string[] = [];
  const pairs: Race[] = [];
  for (let n = 1; ; n++) {
    for (let m = 1 + (n % stride); ; m += stride) {
      const played = await race(n, m, kind);
      if (played.owner === undefined) return { findings, pairs };
      pairs.push(played);
      const where = `owner at ${n} (${played.owner}), other at ${m} (${played.other})`;
      findings.push(...played.findings.map((finding) => `${where}: ${finding}`));
      if (findings.length > 0 && stopAtFirst) return { findings, pairs };
      if (played.other === undefined) break;
    }
  }
}

it("hazard 57: a decision ends once, whichever of their instructions its owner and another stand at", async () => {
  const { findings, pairs } = await races(stepped_failover, false);
  expect(findings).toEqual([]);
  // Both ends are seen, or the race was none.
  expect(pairs.filter(({ other }) => other !== undefined).length).toBeGreaterThan(40);
}, 600_000);

it("twin of hazard 57: caught with coordinators that end a decision without comparing", async () => {
  const { findings } = await races(blind_failover, true);
  expect(findings).not.toEqual([]);
}, 600_000);

/**
 * Both have passed their gates when neither has announced. The second one, whose terms are lower, swaps; clients write
 * on the new side, which can't reach the old one. Then the first one goes on, and is told to abort.
 */
async function announceAtOnce(world: World, kind: typeof db_failover): Promise<string[]> {
  const { sites, judge } = await prepared(world, { replacedCoordinators: { db_failover: kind } });
  const other = await startSecond(sites, kind);
  await world.sleep(100);
  const { points } = sites;
  points.arm(`${first} instruction`, { matches: (details) => isKind(details, "control nextTerm") });
  const late = ending(sites.move(prefix));
  await sites.reached(`${first} instruction`);
  points.arm(`${second} instruction`, { matches: blocks });
  const cohorts = sites.sites.migrationPlan().prefixes.find((each) => each.prefix === prefix)?.cohorts ?? [];
  const move = { prefix, cohorts, from: "A", to: "B" };
  const early = ending(sites.alive(other.call.move(move, { timeoutMs: 600_000 })));
  await sites.reached(`${second} instruction`);
  // The first one announces, and stands again before it blocks if it comes to that.
  points.arm(`${first} instruction`, { matches: blocks });
  points.release(`${first} instruction`);
  await world.sleep(500);
  points.release(`${second} instruction`);
  await early;
  sites.weather("B").down = true;
  const findings = (await sites.write("+491702", "on the new side")) ? [] : ["the new side does not serve"];
  points.disarm(`${first} instruction`);
  points.release(`${first} instruction`);
  await world.sleep(100);
  await sites.sites.abortMove("somebody else has moved it");
  await late;
  if (served(sites)[0] !== "B") findings.push(`${served(sites).join()} serves what has swapped`);
  findings.push(...sites.lost().map((key) => `lost: ${key}`));
  sites.weather("B").down = false;
  // Its probes find out.
  await world.sleep(2_000);
  return [...findings, ...(await judge(boundMs))];
}

function isKind(details: unknown, start: string): boolean {
  return (details as Instruction).what.startsWith(start);
}

/** The write of control that blocks a prefix. */
function blocks(details: unknown): boolean {
  const [, , value] = (details as Instruction).sent;
  return isKind(details, "control compareAndSet decision/") && (value as DecisionRecord).state === "blocking";
}

it("hazard 57: of two coordinators that announce at once one withdraws, and takes nothing with it", async () => {
  const { result } = await simulateSeed({ seed: 57 }, (world) => announceAtOnce(world, stepped_failover));
  expect(result).toEqual([]);
});

it("twin of hazard 57: caught with coordinators that do not look for each other's decisions", async () => {
  const { result } = await simulateSeed({ seed: 57 }, (world) => announceAtOnce(world, lonely_failover));
  expect(result).not.toEqual([]);
});

/**
 * db_failover by itself above one shard of two sites: whoever it asks there answers what the scenario says and notes
 * that it was asked. Control and the decision log are what they are.
 */

import { controlKeys, type DecisionRecord } from "../../../actors/control_store.ts";
import type { CoveragePart } from "../../../actors/coverage.ts";
import { db_failover } from "../../../actors/db_failover.ts";
import type { DecisionEntry } from "../../../actors/decision_log.ts";
import { noPace } from "../../../actors/send_pace.ts";
import { shardProcess, shardProcesses } from "../../../actors/shard_options.ts";
import type { MemoryControl } from "../../../actors/stores/memory_control.ts";
import { nodeDigest } from "../../../actors/stores/sha256.ts";
import { genServer, noReply, type Pid, type Ref, type System } from "../../../src/index.ts";
import { simulateSeed, type World } from "../../../src/simulation/index.ts";
import { type Controlled, cohort, controlBefore, options, part } from "./move_stage.ts";

/** Its registered name: what it calls itself in decisions. */
export const name = "A/db_failover";

const counts = { marks: 0, pending: 0, perror: 0, ranges: 0, lanes: 0, bytes: 0, lagMs: 0 };
const statistics = { waiting: 0, parked: 0, breaker: "closed", repairsPerSecond: 100, pace: noPace };
const verification: { verified: number; differing: number; parts: CoveragePart[] } = {
  verified: 1,
  differing: 0,
  parts: [part],
};

/** What the shards answer, by what is asked: of all processes alike. */
function answers(): Record<string, unknown> {
  return {
    counts,
    statistics,
    ranges: [],
    changes: { epoch: 1, changes: [0], nowMs: 0 },
    validate: { mismatches: 0, degraded: false },
    verify: verification,
    quarantined: [],
    adoptPass: 1,
    held: [],
    retry: 1,
    resolve: 1,
  };
}

export class ShardDesk {
  readonly answers = answers();
  /** E.g. `A/0/db_compare validate`, or with what is asked of `unhold`: not answered. */
  readonly hanging = new Set<string>();
  /** What was asked, with what it was asked of `unhold`. */
  readonly asked: string[] = [];

  took(text: string): string[] {
    const found = this.asked.filter((each) => each.includes(text));
    this.asked.splice(0, this.asked.length, ...this.asked.filter((each) => !each.includes(text)));
    return found;
  }
}

let desk = new ShardDesk();

function answer(own: string, what: string, details?: unknown) {
  const text = `${own} ${what}`;
  const whole = details === undefined ? text : `${text} ${JSON.stringify(details)}`;
  desk.asked.push(whole);
  return desk.hanging.has(text) || desk.hanging.has(whole) ? noReply : desk.answers[what];
}

const asked = [...Object.keys(answers()), "refresh", "pause", "resume", "adopt"];

const process = genServer(import.meta.url, "process", {
  init: (own: string) => own,
  call: {
    ...Object.fromEntries(asked.map((what) => [what, (own: string) => answer(own, what)] as const)),
    unhold: (own: string, filter: unknown) => answer(own, "unhold", filter),
  },
});

export interface FailoverStage {
  readonly world: World;
  readonly system: System;
  readonly desk: ShardDesk;
  readonly memory: MemoryControl;
  readonly control: Controlled;
  readonly failover: Ref<typeof db_failover>;
  readonly decisions: () => DecisionRecord[];
  readonly entries: () => DecisionEntry[];
  /** Writes a decision as another coordinator would. */
  readonly put: (decision: DecisionRecord) => Promise<void>;
  /** The coordinator has another life. */
  readonly restart: () => Promise<void>;
}

export const decided: DecisionRecord = {
  id: "+49-00000001",
  prefix: "+49",
  cohorts: [cohort],
  from: "A",
  to: "B",
  blockTerm: 1,
  swapTerm: 2,
  state: "swapped",
  letGo: true,
  owner: "another",
  leaseUntilMs: Number.MAX_SAFE_INTEGER,
  endedAtMs: 5,
};

/** `before`: what control holds when it starts. */
export async function playFailover(
  scenario: (stage: FailoverStage) => Promise<void>,
  before: readonly DecisionRecord[] = [],
): Promise<void> {
  await simulateSeed({ seed: 1 }, async (world) => {
    desk = new ShardDesk();
    const { memory, control } = await controlBefore(world);
    const put = async (decision: DecisionRecord): Promise<void> => {
      const key = controlKeys.decision(decision.id);
      await memory.compareAndSet(key, memory.getNow(key)?.revision ?? 0, decision);
    };
    for (const each of before) await put(each);
    // Terms of what is decided from now on are above those.
    for (let term = 0; term < 10; term++) await memory.nextTerm();
    const { system } = await world.node("n", { resources: () => ({ control, digest: nodeDigest }) });
    for (const site of ["A", "B"]) {
      for (const each of shardProcesses) {
        const own = shardProcess(site, 0, each);
        await system.spawn(process, own, { name: own });
      }
    }
    const start = (): Promise<Pid> => system.spawn(db_failover, options, { name });
    let pid = await start();
    const restart = async (): Promise<void> => {
      await system.stopProcess(pid);
      pid = await start();
    };
    const values = <T>(prefix: string) => memory.listNow(prefix).map(({ value }) => value as T);
    await scenario({
      world,
      system,
      desk,
      memory,
      control,
      put,
      restart,
      failover: system.ref(db_failover, name),
      decisions: () => values<DecisionRecord>("decision/"),
      entries: () => values<DecisionEntry>("audit/"),
    });
  });
}

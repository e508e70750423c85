/**
 * Trees under random ends, kills, failing starts and dying threads. Judged when all is quiet again: every permanent
 * child runs, once, where its supervisor says, and nobody runs whom no supervisor knows.
 */

import { beforeEach, expect, it } from "vitest";
import { child, type Pid, type Ref, type Strategy, supervisor, supervisorSpec } from "../../src/index.ts";
import { type SimulatedNode, simulateSeed, type World } from "../../src/simulation/index.ts";
import { resetScript, script, scripted } from "./otp_children.ts";

beforeEach(resetScript);

const ids = ["a", "b", "c", "d", "e"];
const threads = 2;

async function childrenOf(tree: Ref<typeof supervisor>) {
  return tree.call.whichChildren(undefined, { timeoutMs: 60_000 });
}

function pick<T>(world: World, from: readonly T[]): T {
  const picked = from[Math.floor(world.chance("pick") * from.length)];
  if (picked === undefined) throw new Error("there is something to pick from");
  return picked;
}

async function disturb(world: World, node: SimulatedNode): Promise<void> {
  const id = pick(world, ids);
  const victim = node.process(id);
  switch (Math.floor(world.chance("what") * 7)) {
    case 0:
    case 1:
      if (victim !== undefined)
        node.system.ref(scripted, victim.pid).cast.end(pick(world, ["normal", "abnormal"]));
      break;
    case 2:
      node.kill(id);
      break;
    case 3:
      script.failing.add(id);
      break;
    case 4:
      script.failing.delete(id);
      break;
    case 5:
      node.crashThread(1 + Math.floor(world.chance("thread") * threads));
      break;
    case 6:
      script.startsAfterMs.set(id, world.chance("start") * 50);
      script.endsAfterMs.set(id, world.chance("end") * 50);
      break;
  }
  await world.sleep(world.chance("pause") * 60);
}

async function scenario(world: World, strategy: Strategy): Promise<void> {
  const node = await world.node("n", { threads, threadRestartMs: 100 });
  await world.sleep(5);
  const placed = (index: number) => (index % 3 === 0 ? {} : { thread: index % 3 });
  const leaves = ids.map((id, i) => child(id, scripted, { id }, { name: id, ...placed(i) }));
  const intensity = { intensity: 30, periodMs: 1_000 };
  const inner = supervisorSpec({ strategy, ...intensity, children: leaves.slice(2) });
  const children = [...leaves.slice(0, 2), child("inner", supervisor, inner, { name: "inner", thread: 1 })];
  const tree = await node.system.supervise({ strategy, ...intensity, children }, { name: "tree" });
  for (let step = 0; step < 60; step++) await disturb(world, node);
  script.failing.clear();
  await world.sleep(60_000);

  const known: (Pid | undefined)[] = [];
  for (const each of [tree, node.system.ref(supervisor, "inner")]) {
    const listed = await childrenOf(each);
    expect(listed.filter(({ pid, restarting }) => pid === undefined || restarting)).toEqual([]);
    known.push(...listed.filter(({ type }) => type === "worker").map(({ pid }) => pid));
  }
  for (const id of ids) expect(known).toContainEqual(node.process(id)?.pid);
  const living = script.born.filter((pid) => node.processOf(pid) !== undefined);
  expect(living.toSorted(byPlace)).toEqual(known.filter((pid) => pid !== undefined).toSorted(byPlace));
  await node.system.stop();
}

function byPlace(a: Pid, b: Pid): number {
  return a.thread - b.thread || a.incarnation - b.incarnation || a.id - b.id;
}

it.each(["one_for_one", "one_for_all", "rest_for_one"] as const)(
  "%s: after the storm every child runs once, and nobody else",
  async (strategy) => {
    for (let seed = 1; seed <= 40; seed++) {
      resetScript();
      await simulateSeed({ seed, order: "random" }, (world) => scenario(world, strategy)).catch(
        (error: unknown) => {
          throw new Error(`seed ${seed}`, { cause: error });
        },
      );
    }
  },
);

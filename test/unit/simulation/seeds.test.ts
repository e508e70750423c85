/** `simulate`: which seeds it plays, in which order, and what it says of one that fails or is not the same again. */

import { afterEach, describe, expect, it, vi } from "vitest";
import { child } from "../../../src/index.ts";
import { type Order, SeedError, simulate, simulateSeed, type World } from "../../../src/simulation/index.ts";
import { counter } from "../../sim/echo.ts";
import { chatter, late, noticing, restless } from "./chatter.ts";

afterEach(() => {
  vi.unstubAllEnvs();
});

async function failureOf(playing: Promise<unknown>): Promise<SeedError> {
  const error: unknown = await playing.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof SeedError)) throw new Error(`no seed failed: ${String(error)}`);
  return error;
}

/** Adds up what two callers add at once, after pauses that chance draws. */
async function adding(world: World): Promise<number> {
  const node = await world.node("n", { threads: 1 });
  await node.system.supervise({
    children: [child("counter", counter, { from: 0 }, { name: "counter", thread: 1 })],
  });
  const ref = node.system.ref(counter, "counter");
  await Promise.all([ref.call.addLater({ amount: 1, delayMs: world.chance("pause") * 9 }), ref.call.add(1)]);
  return ref.call.add(0);
}

describe("simulate plays", () => {
  it("each seed from the first on, and returns what the scenario returned", async () => {
    const { results, events, virtualMs } = await simulate(adding, { seeds: 5, from: 40 });
    expect([...results]).toEqual([40, 41, 42, 43, 44].map((seed) => [seed, 2]));
    expect(Math.min(events, virtualMs)).toBeGreaterThan(0);
  });

  it("the orders in turn, so that a seed has its order whatever seed was the first", async () => {
    const ordersFrom = async (from: number): Promise<Map<number, Order>> => {
      const scenario = async (world: World) => world.timeline.order;
      return new Map((await simulate(scenario, { from, seeds: 4 })).results);
    };
    const [early, late] = [await ordersFrom(1), await ordersFrom(3)];
    expect([...early.values()]).toEqual(["random", "pct", "fifo", "random"]);
    expect(late.get(4)).toBe(early.get(4));
  });

  it("one in twenty twice, by default", async () => {
    let plays = 0;
    const scenario = async () => void plays++;
    expect(await simulate(scenario, { seeds: 40 })).toMatchObject({ playedTwice: 2 });
    expect(plays).toBe(42);
  });

  it("only the seed that the environment names", async () => {
    vi.stubEnv("NANOACTOR_SEED", "17");
    expect([...(await simulate(adding, { seeds: 5 })).results]).toEqual([[17, 2]]);
    vi.stubEnv("NANOACTOR_SEED", "seventeen");
    await expect(simulate(adding)).rejects.toThrow("NANOACTOR_SEED is an integer, not seventeen");
  });
});

describe("a seed that fails", () => {
  const brittle = async (world: World): Promise<void> => {
    await adding(world);
    if (world.chance("luck") < 0.1) throw new Error("bad luck");
  };

  it("is named with its order, what it threw, how it is played again, and its last events", async () => {
    const error = await failureOf(simulate(brittle));
    const { seed, order, trace } = error;
    expect(error.cause).toMatchObject({ message: "bad luck" });
    const lines = error.message.split("\n");
    expect(lines.slice(0, 3)).toEqual([
      `seed ${seed} (order ${order}) fails: Error: bad luck`,
      `play it again: NANOACTOR_SEED=${seed} npx vitest run, or simulate(scenario, ` +
        `{ from: ${seed}, seeds: 1, order: "${order}" })`,
      "its last events:",
    ]);
    expect(lines.slice(3)).toEqual(trace.map((line) => `  ${line}`));
    expect(trace.at(-1)).toMatch(/^\d+\.\d{3} n\.\d\.1 .*/);
  });

  it("fails in the same way by either of the two ways to play it again", async () => {
    const { seed, order, trace, message } = await failureOf(simulate(brittle));
    const byOption = await failureOf(simulate(brittle, { from: seed, seeds: 1, order }));
    expect(byOption).toMatchObject({ seed, order, trace, message });
    vi.stubEnv("NANOACTOR_SEED", `${seed}`);
    expect(await failureOf(simulate(brittle))).toMatchObject({ seed, order, trace, message });
  });

  it("ends with the trace once, if the simulator itself gave up", async () => {
    const { message } = await failureOf(simulate(() => new Promise(() => undefined)));
    expect(message).toContain("nothing is left to happen");
    expect(message).not.toContain("its last events");
  });
});

it("a seed that does something else when it is played again is a failure of its own", async () => {
  let plays = 0;
  const forgetful = async (world: World): Promise<void> => {
    await world.sleep(++plays);
    await world.sleep(1);
  };
  const { message } = await failureOf(simulate(forgetful, { seeds: 1 }));
  expect(message).toMatch(/^seed 1 \(order random\) was played twice and did not do the same/);
  expect(message).toMatch(
    /the first play ended, after 2 events, with:\n {2}1\.000 scenario\n {2}2\.000 scenario/,
  );
  expect(await simulate(forgetful, { seeds: 1, twiceShare: 0 })).toMatchObject({ playedTwice: 0 });
});

describe("an order that needs one process to stand still while two others do much", () => {
  /** Seeds in which the late one told of its event only when the two had ended their talk of 40 messages. */
  const overtaken = async (order: Order): Promise<number> => {
    let found = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const { result } = await simulateSeed({ seed, order }, async (world) => {
        const { system } = await world.node("n");
        await system.spawn(noticing, { talkLasts: 40 }, { name: "noticing" });
        await system.spawn(late, undefined, { name: "late" });
        await system.spawn(chatter, { other: "two" }, { name: "one" });
        await system.spawn(chatter, { other: "one" }, { name: "two" });
        system.ref(late, "late").cast.happened();
        system.ref(chatter, "one").cast.say(40);
        await world.idle();
        return system.ref(noticing, "noticing").call.lateWasLast();
      });
      if (result) found++;
    }
    return found;
  };

  it("is found by random priorities, and neither by production's order nor by chance for each turn", async () => {
    expect(await overtaken("pct")).toBeGreaterThan(0);
    expect(await overtaken("random")).toBe(0);
    expect(await overtaken("fifo")).toBe(0);
  });
});

it("a process that never stops asking for turns lets others have theirs under random priorities", async () => {
  const scenario = async (world: World): Promise<void> => {
    const { system } = await world.node("n");
    await system.spawn(restless, undefined, { name: "restless" });
    await system.spawn(late, undefined, { name: "late" });
    system.ref(restless, "restless").cast.again();
    system.ref(late, "late").cast.calm();
    await world.idle();
  };
  // Without an end of its windows the first seed whose restless one comes first would never end.
  await simulate(scenario, { seeds: 30, order: "pct" });
});

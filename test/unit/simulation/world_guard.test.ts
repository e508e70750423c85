/** Code of a simulation that reaches for the real world: it fails and is told what to use; nobody else is disturbed. */

import { describe, expect, it } from "vitest";
import { child } from "../../../src/index.ts";
import { RealWorldError, simulateSeed, type World } from "../../../src/simulation/index.ts";
import { type Reach, reaches, straying } from "./straying.ts";

const seamOf = (reach: Reach): string => {
  if (/random/i.test(reach)) return "self.random.next";
  if (/^set/.test(reach)) return "self.castAfter";
  if (/Signal/.test(reach)) return "timeoutMs";
  return /fetch/.test(reach) ? "a resource" : "self.clock.now";
};

async function start(world: World, threads = 0) {
  const node = await world.node("n", { threads });
  const placed = threads === 0 ? {} : { thread: 1 };
  await node.system.supervise({
    children: [child("straying", straying, undefined, { name: "straying", ...placed })],
    intensity: 10,
  });
  return node.system.ref(straying, "straying");
}

const all = Object.keys(reaches) as Reach[];

describe.each(all)("%s in a simulation fails it and names the seam,", (reach) => {
  const fails = async (scenario: (world: World) => Promise<unknown>): Promise<void> => {
    const playing = simulateSeed({ seed: 1 }, scenario);
    await expect(playing).rejects.toThrow(RealWorldError);
    await expect(playing).rejects.toThrow(`${reach} reaches the real world`);
    await expect(playing).rejects.toThrow(seamOf(reach));
  };

  it("in a handler", () => fails(async (world) => (await start(world)).call.atOnce(reach)));

  it("in a handler on another thread, after it has waited", () =>
    fails(async (world) => (await start(world, 1)).call.afterAnAwait(reach)));

  it("in an actor that makes light of it", () =>
    fails(async (world) => (await start(world)).call.caught(reach)));

  it("while an actor starts", () =>
    fails(async (world) => {
      const node = await world.node("n");
      await node.system.spawn(straying, reach);
    }));

  it("in the scenario itself, at its beginning and later", async () => {
    await fails(async () => reaches[reach]());
    await fails(async (world) => {
      await world.sleep(1);
      reaches[reach]();
    });
  });

  it("in an oracle that runs after each event", () =>
    fails(async (world) => {
      world.afterEachEvent(() => void reaches[reach]());
      await world.sleep(5);
    }));
});

it("without the guard a simulation runs on in spite of it", async () => {
  const scenario = async (world: World) => {
    const ref = await start(world);
    for (const reach of all) if (!reach.startsWith("set")) await ref.call.atOnce(reach);
    return "done";
  };
  expect((await simulateSeed({ seed: 1, guard: false }, scenario)).result).toBe("done");
});

describe("code beside a simulation", () => {
  it("uses the real world while the simulation runs", async () => {
    let seen = 0;
    const timer = setInterval(() => {
      if (Date.now() + Math.random() + performance.now() > 0) seen++;
    }, 1);
    await simulateSeed({ seed: 1 }, async (world) => {
      for (let i = 0; i < 1_000_000 && seen < 3; i++) await world.sleep(1);
    });
    clearInterval(timer);
    expect(seen).toBeGreaterThanOrEqual(3);
    const running = simulateSeed({ seed: 1 }, (world) => world.sleep(1));
    expect(Date.now()).toBeGreaterThan(0);
    await running;
    expect(Date.now()).toBeGreaterThan(0);
  });

  it("finds the globals as they were when the last of several simulations has ended", async () => {
    const owned: [object, string[]][] = [
      [globalThis, ["Date", "setTimeout", "setInterval", "setImmediate", "fetch"]],
      [Date, ["now"]],
      [Math, ["random"]],
      [performance, ["now"]],
      [crypto, ["randomUUID", "getRandomValues"]],
      [process, ["hrtime"]],
      [process.hrtime, ["bigint"]],
    ];
    const globals = () =>
      owned.flatMap(([owner, names]) => names.map((name): unknown => Reflect.get(owner, name)));
    const before = globals();
    let during: unknown[] = [];
    await Promise.all([
      simulateSeed({ seed: 1 }, (world) => world.sleep(1)),
      simulateSeed({ seed: 2 }, async (world) => {
        for (let i = 0; i < 100; i++) await world.sleep(1);
        during = globals();
      }),
      simulateSeed({ seed: 3 }, async () => Date.now()).catch(() => undefined),
    ]);
    expect(globals()).toEqual(before);
    expect(during.map((each, i) => each === before[i])).not.toContain(true);
  });

  it("finds dates to be dates, and a date of a number is one in a simulation, too", async () => {
    const { result } = await simulateSeed({ seed: 1 }, async (world) => {
      await world.sleep(1);
      return { made: new Date(5), known: new Date(5) instanceof Date, parsed: Date.parse("2020-01-01") };
    });
    expect(result).toEqual({ made: new Date(5), known: true, parsed: 1_577_836_800_000 });
    expect(result.made instanceof Date).toBe(true);
  });
});

it("a failure in one of two simulations at once is that one's", async () => {
  const good = simulateSeed({ seed: 1 }, async (world) => {
    for (let i = 0; i < 50; i++) await world.sleep(1);
    return "good";
  });
  const bad = simulateSeed({ seed: 2 }, async (world) => {
    await world.sleep(10);
    return Date.now();
  });
  await expect(bad).rejects.toThrow(RealWorldError);
  expect((await good).result).toBe("good");
});

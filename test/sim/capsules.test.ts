import { describe, expect, it } from "vitest";
import { capsuleLimits } from "../../src/base/limits.ts";
import { child, type Definition, type Disk, type OptionsOf, type Ref } from "../../src/index.ts";
import {
  type Order,
  type ReplayReport,
  replayCapsule,
  SimulatedDisk,
  type SimulatedNode,
  type SimulatedThread,
  simulateSeed,
  type World,
} from "../../src/simulation/index.ts";
import { decodeCapsule } from "../../src/wire/capsule_format.ts";
import {
  desk,
  discreet,
  never,
  newerDesk,
  opaque,
  redacting,
  saved,
  store,
  worldly,
} from "../fixtures/crash_desk.ts";

const directory = "capsules";

/** Runs a scenario whose processes crash; returns the capsules that it left, the oldest first. */
async function capsulesOf(
  scenario: (world: World, node: SimulatedNode) => Promise<void>,
  seed = 1,
  resources: Readonly<Record<string, unknown>> = {},
  order: Order = "fifo",
): Promise<Uint8Array[]> {
  const { result } = await simulateSeed({ seed, order }, async (world) => {
    const disk = new SimulatedDisk("d", { next: (site) => world.chance(site) });
    const node = await world.node("n", {
      threads: 1,
      resources: () => resources,
      capsules: { directory, disk },
    });
    await scenario(world, node);
    await world.sleep(1_000);
    return disk.list(directory).map((name) => disk.read(`${directory}/${name}`));
  });
  return result;
}

async function startDesk(node: SimulatedNode, messages: number) {
  await node.system.supervise({
    children: [
      child("store", store, { stock: 100 }, { name: "store", thread: 1 }),
      child("desk", desk, { store: "store" }, { name: "desk", capsule: { messages } }),
    ],
    intensity: 100,
  });
  return node.system.ref(desk, "desk");
}

async function onlyCapsule(
  messages: number,
  end: (ref: Awaited<ReturnType<typeof startDesk>>) => Promise<unknown>,
) {
  const capsules = await capsulesOf(async (_world, node) => {
    await end(await startDesk(node, messages)).catch(() => undefined);
  });
  expect(capsules).toHaveLength(1);
  return capsules[0] as Uint8Array;
}

/** Thirteen orders of one, with a deferred call between them. */
async function sell(ref: Awaited<ReturnType<typeof startDesk>>): Promise<void> {
  for (let id = 1; id <= 13; id++) {
    if (id === 4) await ref.call.later();
    await ref.call.order({ id: `o${id}`, count: 1 });
  }
}

function crashMessage({ now }: ReplayReport): string {
  return typeof now === "object" && "crash" in now ? now.crash.message : JSON.stringify(now);
}

describe("a crash capsule", () => {
  it("crashes again with the same draws, times and answers, from the beginning of its process", async () => {
    const report = await replayCapsule(await onlyCapsule(100, sell));
    expect(report.notes).toEqual([]);
    expect(report).toMatchObject({ outcome: "crashed_again", from: "init", messages: 15, replayed: 15 });
    expect(crashMessage(report)).toMatch(/^TypeError: order o13 of 13: 86 left, 0\.\d+$/);
  });

  it("crashes again from a picture of the state, with at least the last messages that were asked for", async () => {
    const bytes = await onlyCapsule(4, sell);
    const capsule = decodeCapsule(bytes);
    expect(capsule.base.type).toBe("state");
    expect(capsule.entries.filter(({ type }) => type === "state")).toHaveLength(1);
    const report = await replayCapsule(bytes);
    expect(report.notes).toEqual([]);
    expect(report.outcome).toBe("crashed_again");
    expect(report.messages).toBeGreaterThanOrEqual(4);
    expect(report.messages).toBeLessThanOrEqual(8);
    expect(capsule.earlier + report.messages).toBe(15);
  });

  it("crashes again with a state that was put in the place of another", async () => {
    const [bytes] = await capsulesOf(async (world, node) => {
      const ref = await startDesk(node, 100);
      const pid = node.system.whereis("desk");
      if (pid === undefined) throw new Error("it runs");
      await ref.call.order({ id: "first", count: 1 });
      await node.system.replaceState(pid, { total: 11 });
      await ref.call.order({ id: "second", count: 1 });
      await ref.call.order({ id: "third", count: 1 }).catch(() => undefined);
      await world.sleep(1);
    });
    const report = await replayCapsule(bytes as Uint8Array);
    expect(report).toMatchObject({ outcome: "crashed_again", from: "state", replayed: 2, notes: [] });
    expect(crashMessage(report)).toMatch(/^TypeError: order third of 3: /);
  });

  it("crashes again with the trace that came with the message", async () => {
    const report = await replayCapsule(
      await onlyCapsule(10, (ref) => ref.call.traced(undefined, { trace: "00-abc" })),
    );
    expect(report).toMatchObject({ outcome: "crashed_again", notes: [] });
    expect(crashMessage(report)).toBe("Error: 00-abc of 0");
  });

  it("settles what a handler waits for in the order in which it was settled", async () => {
    const report = await replayCapsule(await onlyCapsule(10, (ref) => ref.call.race()));
    expect(report).toMatchObject({ outcome: "crashed_again", notes: [] });
    expect(crashMessage(report)).toMatch(/^Error: \w+,\w+,quick,slow$/);
  });

  it("does not crash when the code is mended, and says where the state went another way", async () => {
    const bytes = await onlyCapsule(4, sell);
    const mended = {
      ...desk,
      callbacks: {
        ...desk.callbacks,
        call: { ...desk.callbacks.call, order: (state: { total: number }) => state.total++ },
      },
    };
    const report = await replayCapsule(bytes, { definition: mended });
    expect(report.outcome).toBe("no_crash");
    expect(report.notes.join("\n")).toContain("after it the state's orders is not what it was");
  });

  it("tells another crash from the one that was recorded", async () => {
    const bytes = await onlyCapsule(100, sell);
    const worse: Definition = {
      ...desk,
      callbacks: {
        ...desk.callbacks,
        call: {
          order: () => {
            throw new Error("another one");
          },
        },
      },
    };
    const report = await replayCapsule(bytes, { definition: worse });
    expect(report).toMatchObject({ outcome: "crashed_otherwise", replayed: 1 });
    expect(crashMessage(report)).toBe("Error: another one");
  });

  it.each([
    [
      "a cast",
      (_: World, node: SimulatedNode) => node.system.ref(desk, "desk").cast.fail("throw"),
      "told to",
    ],
    ["an info", (_: World, node: SimulatedNode) => node.system.send("desk", "end"), "heard the end of 0"],
    [
      "a message that no handler takes",
      (_: World, node: SimulatedNode) => node.system.ref(newerDesk, "desk").cast.gone(),
      "no handler named gone",
    ],
  ])("is written for a process that dies of %s, too", async (_, send, why) => {
    const [bytes] = await capsulesOf(async (world, node) => {
      await startDesk(node, 10);
      send(world, node);
      await world.sleep(10);
    });
    const report = await replayCapsule(bytes as Uint8Array);
    expect(report.outcome).toBe("crashed_again");
    expect(crashMessage(report)).toContain(why);
  });
});

/** Starts one process, asks it, and returns what capsules there are. */
function crashOf<D extends Definition>(
  definition: D,
  ask: (ref: Ref<D>) => Promise<unknown>,
  messages?: number,
): Promise<Uint8Array[]> {
  return capsulesOf(async (_world, node) => {
    const wish = messages === undefined ? {} : { capsule: { messages } };
    const pid = await node.system.spawn(definition, undefined as OptionsOf<D>, wish);
    await ask(node.system.ref(definition, pid)).catch(() => undefined);
  });
}

describe("whatever the course", () => {
  /** Clients order, wait and look, all at once; chance says how a desk dies, if its total does not end it. */
  const busy = async (world: World, node: SimulatedNode): Promise<void> => {
    const ref = await startDesk(node, 1 + Math.floor(world.chance("messages") * 6));
    const client = async (name: string): Promise<void> => {
      for (let id = 1; id <= 4; id++) {
        await world.sleep(world.chance(`pause ${name}`) * 2);
        if (world.chance(`what ${name}`) < 0.4) await ref.call.later(undefined, { timeoutMs: 50 });
        else
          await ref.call.order({
            id: `${name}${id}`,
            count: 1 + Math.floor(world.chance(`count ${name}`) * 3),
          });
        await ref.call.age();
      }
    };
    const clients = ["a", "b", "c", "d"].map((name) => client(name).catch(() => undefined));
    await Promise.all(clients);
    if (world.chance("end") < 0.5) node.system.send("desk", "end");
    else ref.cast.fail("throw");
  };

  it("every crash comes again, over many seeds, lengths and orders of events", async () => {
    let fromState = 0;
    let capsules = 0;
    for (let seed = 1; seed <= 60; seed++) {
      for (const bytes of await capsulesOf(busy, seed, {}, seed % 2 === 0 ? "pct" : "random")) {
        capsules++;
        const report = await replayCapsule(bytes);
        expect(report, `seed ${seed}`).toMatchObject({ outcome: "crashed_again", notes: [] });
        expect(report.replayed).toBe(report.messages);
        if (report.from === "state") fromState++;
      }
    }
    expect(capsules).toBeGreaterThan(60);
    expect(fromState).toBeGreaterThan(20);
    expect(capsules - fromState).toBeGreaterThan(5);
  });
});

describe("what a capsule may hold", () => {
  const login = (ref: Ref<typeof redacting>) =>
    ref.call
      .login({ name: "ada", password: "secret" })
      .then(() => ref.call.login({ name: "alan", password: "secret" }))
      .then(() => ref.call.login({ name: "grace", password: "hush!" }));

  it("a redacted value is nowhere in the file, and the rest crashes again", async () => {
    const [bytes] = await crashOf(redacting, login);
    const text = Buffer.from(bytes as Uint8Array).toString("latin1");
    expect(text).toContain("grace");
    expect(text).not.toMatch(/secret|hush/);
    expect(await replayCapsule(bytes as Uint8Array)).toMatchObject({
      outcome: "crashed_again",
      from: "state",
      notes: [],
    });
  });

  it("a definition with a formatStatus is recorded only if it has rules", async () => {
    expect(await crashOf(discreet, (ref) => login(ref as never), 10)).toEqual([]);
    const callbacks = { ...discreet.callbacks, capsule: {} };
    expect(
      await crashOf({ ...discreet, callbacks } as typeof discreet, (ref) => login(ref as never), 10),
    ).toHaveLength(1);
  });

  it("a definition that says no is never recorded, and one that nobody asked for is not", async () => {
    expect(await crashOf(never, (ref) => login(ref as never), 10)).toEqual([]);
    expect(await crashOf(opaque, (ref) => ref.call.add(-1))).toEqual([]);
    expect(await crashOf(redacting, login, 0)).toEqual([]);
  });

  it("a number of messages that is none is refused at the start", async () => {
    await expect(crashOf(opaque, (ref) => ref.call.add(-1), 1.5)).rejects.toMatchObject({
      code: "bad_argument",
      details: { field: "capsule" },
    });
    expect(() => child("a", opaque, {}, { capsule: { messages: -1 } })).toThrow("capsule.messages");
  });
});

describe("a capsule that lacks something", () => {
  const sums = async (ref: Ref<typeof opaque>) => {
    for (const sum of [1, 2, 3, 4, 5, -1]) await ref.call.add(sum);
  };

  it("says which part of the state has no picture, and that nothing follows", async () => {
    const [bytes] = await crashOf(opaque, sums, 2);
    const report = await replayCapsule(bytes as Uint8Array);
    expect(report).toMatchObject({ outcome: "unclear", from: "none", replayed: 0 });
    expect(report.notes.join()).toContain("ledger is an instance of Ledger");
  });

  it("is whole again with rules that save and restore the state", async () => {
    const [bytes] = await crashOf(saved, (ref) => sums(ref as never));
    const report = await replayCapsule(bytes as Uint8Array);
    expect(report).toMatchObject({ outcome: "crashed_again", from: "state", notes: [] });
    expect(crashMessage(report)).toBe("RangeError: -1 after 5");
  });

  it("says which resource a replay needs, and takes one", async () => {
    const [bytes = new Uint8Array()] = await capsulesOf(
      async (_world, node) => {
        const pid = await node.system.spawn(worldly, undefined, { capsule: { messages: 5 } });
        await node.system
          .ref(worldly, pid)
          .call.resource()
          .catch(() => undefined);
      },
      1,
      { opened: "a store" },
    );
    const without = await replayCapsule(bytes);
    expect(without.outcome).toBe("unclear");
    expect(without.notes.join()).toContain("the resource opened");
    const other = await replayCapsule(bytes, { resources: { opened: "a mock" } });
    expect(crashMessage(other)).toBe("Error: the resource is a mock");
    expect((await replayCapsule(bytes, { resources: { opened: "a store" } })).outcome).toBe("crashed_again");
  });

  it("says that a signal fired, instead of waiting for it for ever", async () => {
    const [bytes] = await crashOf(worldly, (ref) => ref.call.untilGivenUp(undefined, { timeoutMs: 50 }), 5);
    const report = await replayCapsule(bytes as Uint8Array);
    expect(report).toMatchObject({ outcome: "unclear", replayed: 1 });
    expect(report.notes.join()).toContain("its signal fired");
  });

  it("cuts a turn that takes in more than it may hold, and begins anew after it", async () => {
    const big = "x".repeat(capsuleLimits.tapeBytesMax + 1);
    const login = (name: string, password: string) => (ref: Ref<typeof redacting>) =>
      ref.call.login({ name, password });
    const [cut] = await crashOf(redacting, login(big, "odd"));
    const report = await replayCapsule(cut as Uint8Array);
    expect(report.outcome).toBe("unclear");
    expect(report.notes.join()).toContain(`more than ${capsuleLimits.tapeBytesMax} bytes`);
    const [later] = await crashOf(redacting, (ref) =>
      login(big, "even")(ref).then(() => login("ada", "odd")(ref)),
    );
    expect((await replayCapsule(later as Uint8Array)).outcome).toBe("crashed_again");
  });
});

describe("the folder of capsules", () => {
  const crashes = async (
    world: World,
    filesMax: number,
    count: number,
    disk: SimulatedDisk,
    foreign?: string,
  ) => {
    let mounted: Disk | undefined;
    const resources = (thread: SimulatedThread) => {
      mounted = disk.mounted(thread);
      return {};
    };
    const node = await world.node("n", { resources, capsules: { directory, disk, filesMax } });
    if (foreign !== undefined) await mounted?.openAppend(`${directory}/${foreign}`, { synced: true });
    for (let at = 0; at < count; at++) {
      const pid = await node.system.spawn(opaque, {}, { capsule: { messages: 1 } });
      await node.system
        .ref(opaque, pid)
        .call.add(-at - 1)
        .catch(() => undefined);
      await world.sleep(100);
    }
  };

  it("keeps the newest, and touches no file that is not its own", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const disk = new SimulatedDisk("d", { next: (site) => world.chance(site) });
      await crashes(world, 3, 1, disk);
      const [first] = disk.list(directory);
      await crashes(world, 3, 4, disk, "0 is no capsule");
      const [foreign, ...left] = disk.list(directory);
      expect(foreign).toBe("0 is no capsule");
      expect(left).toHaveLength(3);
      expect(left).not.toContain(first);
    });
  });

  it("that is full or broken costs the capsule, and nothing else", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const disk = new SimulatedDisk("d", { next: (site) => world.chance(site) });
      disk.faults.broken.add(directory);
      await crashes(world, 3, 2, disk);
      disk.faults.broken.clear();
      expect(disk.list(directory)).toEqual([]);
      expect(
        world.logged.filter(({ message }) => message === "a crash capsule was not written"),
      ).toHaveLength(2);
      await crashes(world, 3, 1, disk);
      expect(disk.list(directory)).toHaveLength(1);
    });
  });
});

/** A factory's workers change to another version while they work: real threads, and the main thread alone. */

import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { consistentHash, type Factory, queue, type System, startSystem } from "../../src/index.ts";
import { type Noted, type TallyOptions, tally as tally1 } from "../fixtures/tally_v1.ts";
import { tally as tally2 } from "../fixtures/tally_v2.ts";

let system: System | undefined;

afterEach(async () => {
  await system?.stop();
  system = undefined;
});

const workers = 4;
const keys = Array.from({ length: 40 }, (_, i) => `key ${i}`);

async function started(
  args: TallyOptions = {},
  { threads = 2, routing = consistentHash() } = {},
): Promise<{ system: System; factory: Factory<typeof tally1> }> {
  system = await startSystem({ threads, logLevel: "silent" });
  const thread = threads > 0 ? { thread: "any" as const } : {};
  const factory = await system.startFactory("tally", tally1, {
    args,
    workers,
    routing,
    affinity: "none",
    ...thread,
  });
  return { system, factory };
}

/** Sends each key's numbers in turn, until it is stopped; tells what was answered. */
class Load {
  readonly answers: Noted[] = [];
  readonly errors: unknown[] = [];
  readonly #factory: Factory<typeof tally1>;
  readonly #running: Promise<void>[];
  #stopped = false;

  constructor(factory: Factory<typeof tally1>) {
    this.#factory = factory;
    this.#running = keys.map((key) => this.#send(key));
  }

  async #send(key: string): Promise<void> {
    for (let n = 0; !this.#stopped; n++) {
      try {
        this.answers.push(await this.#factory.at(key).call.note({ key, n }));
      } catch (error) {
        this.errors.push(error);
      }
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }

  get versions(): Set<string> {
    return new Set(this.answers.map(({ version }) => version));
  }

  /** Every answer shows all numbers of its key up to its own, none twice, none missing. */
  expectNothingLost(): void {
    for (const { numbers } of this.answers) expect(numbers).toEqual(numbers.map((_, i) => i));
  }
}

/** Asks all workers at once, again and again: who has just handed over is asked again as its successor. */
class Pings {
  readonly errors: unknown[] = [];
  readonly #running: Promise<void>;
  #stopped = false;

  constructor(factory: Factory<typeof tally1>) {
    this.#running = this.#send(factory);
  }

  async #send(factory: Factory<typeof tally1>): Promise<void> {
    while (!this.#stopped)
      for (const heard of await factory.all.call.who()) if (!heard.ok) this.errors.push(heard.error);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }
}

async function noteAll(factory: Factory<typeof tally1>, n: number): Promise<(Noted & { key: string })[]> {
  return Promise.all(keys.map(async (key) => ({ key, ...(await factory.at(key).call.note({ key, n })) })));
}

/** Keys of `count` workers that have changed, in the order in which they did. */
async function untilChanged(factory: Factory<typeof tally1>, count: number): Promise<string[]> {
  const changed = new Map<number | undefined, string>();
  while (changed.size < count) {
    for (const { key, version } of await noteAll(factory, 1)) {
      const { worker } = await factory.explain(key);
      if (version === "2" && !changed.has(worker)) changed.set(worker, key);
    }
  }
  return [...changed.values()];
}

describe("a hot upgrade on threads", () => {
  it("hands each worker's state over while jobs go on: none is lost, each key stays in order", async () => {
    const { system, factory } = await started();
    const load = new Load(factory);
    const pings = new Pings(factory);
    await sleep(50);
    const next = await system.upgradeFactory(factory, tally2, { watchMs: 20 });
    await sleep(50);
    await load.stop();
    await pings.stop();
    expect(pings.errors).toEqual([]);
    expect(load.errors).toEqual([]);
    load.expectNothingLost();
    expect(load.versions).toEqual(new Set(["1", "2"]));
    const { orderViolations, crashed, done } = await factory.statistics();
    expect({ orderViolations, crashed }).toEqual({ orderViolations: 0, crashed: 0 });
    expect(done).toBe(load.answers.length);
    // The new version's own ways, and what it was told.
    const counts = await next.all.call.count();
    expect(counts.map((heard) => heard.ok && heard.value).reduce((a, b) => Number(a) + Number(b))).toBe(done);
    expect(await next.all.call.from()).toEqual(
      Array.from({ length: workers }, (_, worker) => ({ worker, ok: true, value: "1" })),
    );
    expect(system.threads()).toEqual([0, 3, 4]);
    expect(new Set(load.answers.slice(-keys.length).map(({ thread }) => thread))).toEqual(new Set([3, 4]));
  });

  it("waits for the job in hand", async () => {
    const { system, factory } = await started();
    const slow = factory.at("a").call.slow(150);
    await system.upgradeFactory(factory, tally2, { watchMs: 0 });
    expect(await slow).toBe("done");
  });

  it("a codeChange that throws: the former version is back, with what the new one did meanwhile", async () => {
    const { system, factory } = await started({ fault: "codeChange", key: "key 7" });
    const load = new Load(factory);
    await sleep(50);
    const cause = { code: "crashed", message: expect.stringContaining("told to fail") };
    await expect(system.upgradeFactory(factory, tally2, { watchMs: 20 })).rejects.toMatchObject({
      code: "rolled_back",
      details: { cause, kept: [] },
    });
    await sleep(20);
    await load.stop();
    expect(load.errors).toEqual([]);
    load.expectNothingLost();
    expect(load.answers.at(-1)?.version).toBe("1");
    expect(system.threads()).toEqual([0, 1, 2]);
  });

  it("a worker of the new version that ends while it is watched brings the former one back", async () => {
    const { system, factory } = await started();
    await noteAll(factory, 0);
    const refused = expect(system.upgradeFactory(factory, tally2, { watchMs: 200 })).rejects.toMatchObject({
      code: "rolled_back",
      details: { cause: { message: expect.stringContaining("told to crash") }, kept: [] },
    });
    const [, crashed = ""] = await untilChanged(factory, 2);
    const lost = (await factory.explain(crashed)).worker;
    await expect(factory.at(crashed).call.crash()).rejects.toMatchObject({ code: "crashed" });
    await refused;
    const all = await noteAll(factory, 9);
    expect(new Set(all.map(({ version }) => version))).toEqual(new Set(["1"]));
    // The one that crashed began anew; the others still know the number that each key began with.
    for (const { key, numbers } of all)
      expect(numbers[0]).toBe((await factory.explain(key)).worker === lost ? 9 : 0);
    expect(system.threads()).toEqual([0, 1, 2]);
  });

  it("comes back even if the new version can't start again after its crash", async () => {
    const { system, factory } = await started({ fault: "init" });
    const refused = expect(system.upgradeFactory(factory, tally2, { watchMs: 200 })).rejects.toMatchObject({
      code: "rolled_back",
    });
    const [crashed = ""] = await untilChanged(factory, 1);
    await expect(factory.at(crashed).call.crash()).rejects.toMatchObject({ code: "crashed" });
    await refused;
    expect(new Set((await noteAll(factory, 9)).map(({ version }) => version))).toEqual(new Set(["1"]));
  });

  it("a worker that can't go back stays, and the error names it", async () => {
    const { system, factory } = await started({ fault: "back" });
    await noteAll(factory, 0);
    const refused = system.upgradeFactory(factory, tally2, { watchMs: 200 }).catch((error: unknown) => error);
    const [kept = "", crashed = ""] = await untilChanged(factory, 2);
    const { worker } = await factory.explain(kept);
    await factory
      .at(crashed)
      .call.crash()
      .catch(() => undefined);
    expect(await refused).toMatchObject({ code: "rolled_back", details: { kept: [worker] } });
    const all = await noteAll(factory, 9);
    for (const { key, version, numbers } of all) {
      const stayed = (await factory.explain(key)).worker === worker;
      expect(version).toBe(stayed ? "2" : "1");
      if (stayed) expect(numbers[0]).toBe(0);
    }
    // It lives on its fresh thread; nobody needs the other one.
    expect(system.threads().length).toBe(4);
  });

  it("a state that can't cross threads changes nothing", async () => {
    const { system, factory } = await started({ fault: "unsendable" });
    await factory.at("a").call.note({ key: "a", n: 0 });
    await expect(system.upgradeFactory(factory, tally2)).rejects.toMatchObject({
      code: "rolled_back",
      details: { cause: { code: "bad_argument" } },
    });
    expect(await factory.at("a").call.note({ key: "a", n: 1 })).toMatchObject({
      version: "1",
      numbers: [0, 1],
    });
  });

  it("a dispatcher that starts again begins with the version of now", async () => {
    const { system, factory } = await started();
    await system.upgradeFactory(factory, tally2, { watchMs: 0 });
    const dispatcher = system.whereis("tally");
    if (dispatcher !== undefined) system.exit(dispatcher, "killed");
    while (system.whereis("tally") === undefined) await sleep(5);
    expect(await factory.at("a").call.note({ key: "a", n: 0 })).toMatchObject({ version: "2", numbers: [0] });
  });

  it("neither a resize nor another upgrade comes between", async () => {
    const { system, factory } = await started();
    const upgraded = system.upgradeFactory(factory, tally2, { watchMs: 100 });
    await untilChanged(factory, 1);
    await expect(factory.resize(2)).rejects.toMatchObject({ code: "running" });
    await expect(system.upgradeFactory(factory, tally2, { threads: 0 })).rejects.toMatchObject({
      code: "running",
    });
    await upgraded;
    await factory.resize(2);
    expect((await factory.statistics()).workers).toBe(2);
  });
});

describe("a hot upgrade on the main thread", () => {
  it("changes the workers in place when the next version has a URL of its own", async () => {
    const { system, factory } = await started({}, { threads: 0 });
    await factory.at("a").call.note({ key: "a", n: 0 });
    await system.upgradeFactory(factory, tally2, { watchMs: 0 });
    expect(await factory.at("a").call.note({ key: "a", n: 1 })).toEqual({
      version: "2",
      thread: 0,
      numbers: [0, 1],
    });
  });

  it("a URL that is loaded already is refused, and the error names the cure", async () => {
    const { system, factory } = await started({}, { threads: 0 });
    // @ts-expect-error its own state is not what another version gives
    await expect(system.upgradeFactory(factory, tally1)).rejects.toMatchObject({
      code: "bad_argument",
      details: { field: "definition", cure: `${tally1.module}?v=2` },
    });
  });

  it("a version that changes nothing of the state but fails does not harm the one that goes on", async () => {
    const { system, factory } = await started({ fault: "codeChange" }, { threads: 0, routing: queue() });
    await factory.at("a").call.note({ key: "a", n: 0 });
    await expect(system.upgradeFactory(factory, tally2)).rejects.toMatchObject({ code: "rolled_back" });
    expect((await factory.statistics()).workers).toBe(workers);
    const noted = await Promise.all(
      Array.from({ length: workers }, (_, n) => factory.at("a").call.note({ key: "a", n })),
    );
    expect(noted.map(({ version }) => version)).toEqual(Array.from({ length: workers }, () => "1"));
  });

  it.each([
    ["threads", { threads: -1 }],
    ["threads", { threads: 1.5 }],
    ["watchMs", { watchMs: Number.NaN }],
    ["threads", { threads: 1 }],
  ])("a wrong %s is named", async (field, options) => {
    const { system, factory } = await started({}, { threads: 0 });
    await expect(system.upgradeFactory(factory, tally2, options)).rejects.toMatchObject({
      code: "bad_argument",
      details: { field },
    });
  });
});

describe("threads that come and go", () => {
  it("a thread is added, and ended when nobody lives there", async () => {
    system = await startSystem({ threads: 1, logLevel: "silent" });
    const thread = await system.addThread();
    expect(thread).toBe(2);
    const pid = await system.spawn(tally1, {}, { thread });
    expect(await system.ref(tally1, pid).call.note({ key: "a", n: 0 })).toMatchObject({ thread });
    await expect(system.retireThread(thread)).rejects.toMatchObject({
      code: "running",
      details: { processes: 1 },
    });
    await system.stopProcess(pid);
    await system.retireThread(thread);
    expect(system.threads()).toEqual([0, 1]);
    expect(system.status().threads.map((each) => each.thread)).toEqual([0, 1]);
    // Its number is free; a new life is another one.
    expect(await system.addThread()).toBe(2);
    const again = await system.spawn(tally1, {}, { thread });
    expect(again.incarnation).toBe(pid.incarnation + 1);
  });

  it("who is not there, or is the main thread, can't be ended", async () => {
    system = await startSystem({ threads: 1, logLevel: "silent" });
    await expect(system.retireThread(7)).rejects.toMatchObject({ code: "not_found" });
    await expect(system.retireThread(0)).rejects.toMatchObject({
      code: expect.stringMatching(/running|not_found/),
    });
  });
});

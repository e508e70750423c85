/** How db_module takes the reads of a backend: side by side, within a bound, and again when a shard was away. */

import { expect, it } from "vitest";
import { devicePlatform } from "../../actors/backends/device_platform.ts";
import { groups } from "../../actors/backends/groups.ts";
import { db_module } from "../../actors/db_module.ts";
import { dataLimits } from "../../actors/limits.ts";
import { WaitingReads } from "../../actors/waiting_reads.ts";
import { TwoSites } from "../../app/simulate/two_sites.ts";
import { type CallOptions, genServer, NanoError } from "../../src/index.ts";
import { simulateSeed, type World } from "../../src/simulation/index.ts";
import { ending } from "./hazards/at_rest.ts";

async function scenario<T>(
  readsMax: number,
  play: (get: Get, sites: TwoSites, world: World) => Promise<T>,
): Promise<T> {
  const { result } = await simulateSeed({ seed: 1 }, async (world) => {
    const sites = await TwoSites.start(world, { shards: 2 });
    const { call } = await sites.access(devicePlatform, { writers: 2, readsMax });
    for (const key of keys) await sites.alive(call.put({ key, value: new TextEncoder().encode(key) }));
    const get: Get = (key, options) => ending(sites.alive(call.get({ key }, options)).then(textOf));
    return play(get, sites, world);
  });
  return result;
}

type Get = (
  key: string,
  options?: { readonly signal?: AbortSignal; readonly timeoutMs?: number },
) => Promise<string | NanoError>;

const keys = Array.from({ length: 8 }, (_, n) => `+4930${n}`);

function textOf(bytes: Uint8Array | null): string {
  return bytes === null ? "nothing" : new TextDecoder().decode(bytes);
}

/** One key of each shard. */
function ofShards(sites: TwoSites): [string, string] {
  const of = (shard: number): string =>
    keys.find((key) => sites.shardOf(`${devicePlatform.name}\u0000${key}\u0000`) === shard) ?? "";
  return [of(0), of(1)];
}

/** Site A's first shard is away until the answer is called. */
async function holdRestart(sites: TwoSites): Promise<() => void> {
  sites.points.arm("A log append");
  sites.kill("A", "db_switch", 0);
  await sites.reached("A log append");
  return () => sites.points.release("A log append");
}

it("reads of a shard whose store hangs keep no read of another shard waiting", async () => {
  const [slow, quick, ended] = await scenario(1_000, async (get, sites, world) => {
    const [slowKey, quickKey] = ofShards(sites);
    sites.mood("A", 0).slowMs = 100_000;
    let pending = 100;
    const reads = Array.from({ length: pending }, () => get(slowKey).finally(() => pending--));
    const answer = await get(quickKey, { timeoutMs: 100 });
    const waiting = pending;
    await world.sleep(6_000);
    return [waiting, answer === quickKey, await Promise.all(reads)] as const;
  });
  expect(slow).toBe(100);
  expect(quick).toBe(true);
  expect(ended.every((each) => each instanceof NanoError && each.code === "timeout")).toBe(true);
});

it("a lookup, which asks every shard, keeps no other read waiting, and counts as one of readsMax", async () => {
  const { result } = await simulateSeed({ seed: 1 }, async (world) => {
    const sites = await TwoSites.start(world, { shards: 2 });
    const { call } = await sites.access(groups, { writers: 2, readsMax: 3 });
    const value = new TextEncoder().encode("member");
    for (const key of keys) await sites.alive(call.add({ key, member: "+4940", value }));
    const slowShard = 0;
    const quickKey = keys.find((key) => sites.shardOf(`groups\u0000${key}\u0000+4940`) !== slowShard) ?? "";
    sites.mood("A", slowShard).slowMs = 300;
    let pending = 2;
    const lookUp = () => ending(sites.alive(call.of({ member: "+4940" }))).finally(() => pending--);
    const lookups = Array.from({ length: pending }, lookUp);
    await world.sleep(1);
    const get = (): Promise<unknown> =>
      ending(sites.alive(call.has({ key: quickKey, member: "+4940" }, { timeoutMs: 100 })));
    const got = await get();
    const underWay = pending;
    const refused = await Promise.all([get(), get()]);
    return { got, underWay, refused, found: await Promise.all(lookups), after: await get() };
  });
  expect(result.got).toEqual(new TextEncoder().encode("member"));
  expect(result.underWay).toBe(2);
  expect(result.refused.filter((each) => each instanceof NanoError)).toMatchObject([{ code: "overloaded" }]);
  for (const each of result.found) expect([...(each as string[])].sort()).toEqual([...keys].sort());
  expect(result.after).toEqual(result.got);
});

it("a read beyond readsMax is refused as overloaded, naming it; when others ended, reads are taken again", async () => {
  const [codes, fields, after] = await scenario(3, async (get, sites, world) => {
    sites.mood("A", 0).slowMs = 50;
    sites.mood("A", 1).slowMs = 50;
    const first = await Promise.all(keys.slice(0, 5).map((key) => get(key)));
    await world.sleep(10);
    const refused = first.filter((each) => each instanceof NanoError);
    const again = await Promise.all(keys.slice(0, 3).map((key) => get(key)));
    return [refused.map(({ code }) => code), refused.map(({ details }) => details.field), again];
  });
  expect(codes).toEqual(["overloaded", "overloaded"]);
  expect(fields).toEqual(["readsMax", "readsMax"]);
  expect(after).toEqual(keys.slice(0, 3));
});

it("reads of a shard that restarts wait for it and are answered by its next life", async () => {
  const answers = await scenario(1_000, async (get, sites, world) => {
    const [key] = ofShards(sites);
    const restart = await holdRestart(sites);
    let pending = 20;
    const early = Array.from({ length: pending }, () => get(key).finally(() => pending--));
    await world.sleep(500);
    const waiting = pending;
    restart();
    return { key, waiting, ended: await Promise.all(early) };
  });
  expect(answers.waiting).toBe(20);
  expect(new Set(answers.ended)).toEqual(new Set([answers.key]));
});

/** Stands for a shard's db_switch: read-only for everybody, and for reads, too, until it is opened. */
const closed_switch = genServer(import.meta.url, "closed_switch", {
  init: () => ({ isOpen: false, asked: 0 }),
  call: {
    get: (state, { keys: wanted }: { readonly keys: readonly string[] }) => {
      state.asked++;
      if (!state.isOpen) throw new NanoError("blocked", "not now");
      return wanted.map(() => undefined);
    },
    asked: (state) => state.asked,
  },
  cast: {
    open: (state) => {
      state.isOpen = true;
    },
  },
});

it("reads that wait are tried one at a time, make room when given up or late, and go on together", async () => {
  const { result } = await simulateSeed({ seed: 1 }, async (world) => {
    const { system } = await world.node("n", { resources: () => ({ backends: [devicePlatform] }) });
    const shard = system.ref(closed_switch, "A/0/db_switch");
    await system.spawn(closed_switch, undefined, { name: "A/0/db_switch" });
    const args = {
      backend: devicePlatform.name,
      shards: 1,
      prefixes: [],
      sites: ["A", "B"],
      readsMax: 10,
    } as const;
    await system.spawn(db_module, args, { name: "reads" });
    const { call } = system.ref(db_module, "reads");
    const get = (options: CallOptions = {}) =>
      ending(call.run({ operation: "get", message: { key: "+491" } }, options));
    const given = new AbortController();
    const reads = [
      ...Array.from({ length: 7 }, () => get()),
      get({ signal: given.signal }),
      ...Array.from({ length: 2 }, () => get({ timeoutMs: 200 })),
    ];
    await world.sleep(10 * dataLimits.blockedPauseMs);
    const asked = await shard.call.asked();
    const full = await get();
    given.abort();
    await world.sleep(1);
    reads.push(get());
    await world.sleep(200);
    reads.push(get(), get());
    const fullAgain = await get();
    shard.cast.open();
    return { asked, full, fullAgain, ended: await Promise.all(reads) };
  });
  // Ten at once, then one in each pause.
  expect(result.asked).toBeGreaterThan(10);
  expect(result.asked).toBeLessThanOrEqual(10 + 10);
  expect([result.full, result.fullAgain]).toMatchObject([{ code: "overloaded" }, { code: "overloaded" }]);
  const codes = result.ended.map((each) => (each instanceof NanoError ? each.code : each));
  expect(codes).toEqual([...Array(7).fill(null), "canceled", "blocked", "blocked", null, null, null]);
});

it("of a group that waits one is tried at a time; once it is answered all others go on", () => {
  const waiting = new WaitingReads<number>();
  expect([1, 2, 3].map((read) => waiting.add("g", read))).toEqual([true, false, false]);
  expect(waiting.next("g")).toBe(1);
  expect(waiting.add("g", 1)).toBe(false);
  expect(waiting.next("g")).toBe(2);
  expect(waiting.release("g")).toEqual([3, 1]);
  expect(waiting.next("g")).toBe(undefined);
  expect(waiting.add("g", 4)).toBe(true);
});

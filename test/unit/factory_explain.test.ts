/** What a factory says of a key and of a resize, against what happens then. */

import { beforeEach, describe, expect, it } from "vitest";
import { partitionOf, partitions, routingTable } from "../../src/core/routing_table.ts";
import { consistentHash, type KeyExplanation, queue, stickyQueue } from "../../src/index.ts";
import { simulateSeed } from "../../src/simulation/index.ts";
import { pool, resetPool } from "../conformance/pool_worker.ts";
import { job, type Pool, play } from "../conformance/pools.ts";
import { type Gate, gate_keeper } from "../fixtures/gate_keeper.ts";

beforeEach(resetPool);

let n = 0;

function send(factory: Pool, key: string, ms: number): Promise<number> {
  return factory.at(key).call.work(job(key, n++, ms), { timeoutMs: Number.POSITIVE_INFINITY });
}

/** Explains the key, sends a job of it, and says how many began between and how long it waited. */
async function againstFact(factory: Pool, key: string, now: () => number) {
  const explained = await factory.explain(key);
  const [begun, atMs, mine] = [pool.history.length, now(), n];
  let beganMs = -1;
  const sent = send(factory, key, 20);
  const isMine = (each: { readonly n: number }): boolean => each.n === mine;
  return async (wait: (until: () => boolean) => Promise<void>) => {
    await wait(() => pool.history.some(isMine));
    beganMs = now();
    const before = pool.history.slice(begun, pool.history.findIndex(isMine));
    await sent;
    const ahead = before.filter(({ what }) => what === "begins").length;
    return { explained, ahead, waitedMs: beganMs - atMs };
  };
}

describe("explain", () => {
  it.each([
    ["sticky_queue", stickyQueue(), 1],
    ["sticky_queue", stickyQueue(), 3],
    ["consistent_hash", consistentHash(), 1],
    ["queue", queue(), 1],
    ["queue", queue(), 3],
  ])("%s: counts the jobs ahead and foretells the wait, %j, %i workers", (_, routing, workers) =>
    play({ routing, workers }, async (factory, world) => {
      await Promise.all(["warm", "up"].map((key) => send(factory, key, 20)));
      for (const key of ["hot", "hot", "hot", "a", "b", "hot", "c", "a"]) void send(factory, key, 20);
      await world.sleep(5);
      for (const key of ["new", "hot", "a"]) {
        const fact = await againstFact(factory, key, () => world.nowMs);
        const wait = (until: () => boolean) => world.eventually("it begins", until, 10_000);
        const { explained, ahead, waitedMs } = await fact(wait);
        // Keys of a sticky queue take strict turns only if one worker serves them.
        const slack = routing.type === "sticky_queue" ? workers - 1 : 0;
        expect(Math.abs(explained.ahead - ahead)).toBeLessThanOrEqual(slack);
        expect(explained.serviceMs).toBeGreaterThanOrEqual(20);
        expect(Math.abs((explained.waitMs ?? -1) - waitedMs)).toBeLessThanOrEqual(20);
      }
    }),
  );

  it("a sticky key stays with its worker until the end of the job in hand if others wait, else beyond it", () =>
    play({ routing: stickyQueue(), workers: 2 }, async (factory, world) => {
      const sent = [send(factory, "k", 100), send(factory, "k", 10), send(factory, "other", 100)];
      await world.sleep(5);
      const alone = await factory.explain("k");
      expect(alone).toMatchObject({ running: true, waiting: 1, place: 1, ahead: 1 });
      expect(alone.holder).toEqual({ worker: alone.worker, until: "another key waits" });
      sent.push(send(factory, "third", 10));
      await world.sleep(5);
      const contested = await factory.explain("k");
      expect(contested).toMatchObject({ worker: undefined, running: true, place: 2, ahead: 2 });
      expect(contested.holder).toEqual({ worker: alone.worker, until: "end of job" });
      await Promise.all(sent);
      expect(await factory.explain("k")).toMatchObject({
        worker: undefined,
        holder: undefined,
        running: false,
        waiting: 0,
        place: undefined,
        ahead: 0,
        waitMs: 0,
      } satisfies Partial<KeyExplanation>);
    }));

  it("a hashed key has its partition and the worker of the table, also behind a job of another key", () =>
    play({ routing: consistentHash(), workers: 4 }, async (factory) => {
      for (const key of ["a", "b", "c"]) {
        const { partition, worker, holder } = await factory.explain(key);
        expect({ partition, holder }).toEqual({ partition: partitionOf(key), holder: undefined });
        expect(worker).toBe(routingTable(4)[partitionOf(key)]);
      }
    }));

  it("a key whose job was handed back is postponed, and no wait is foretold", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const gate: Gate = { open: false, tried: 0 };
      const { system } = await world.node("n", { resources: () => ({ gate }) });
      const options = { args: null, workers: 1, routing: stickyQueue() };
      const factory = await system.startFactory("gates", gate_keeper, options);
      await factory.call("free", "pass", "free");
      const gated = factory.call("gated", "pass", "gated");
      await world.sleep(5);
      expect(await factory.explain("gated")).toMatchObject({
        postponed: true,
        waiting: 1,
        waitMs: undefined,
      });
      expect(await factory.explain("free")).toMatchObject({ postponed: false, ahead: 0 });
      gate.open = true;
      await gated;
      expect(await factory.explain("gated")).toMatchObject({ postponed: false, waiting: 0 });
    });
  });
});

describe("explainResize", () => {
  it.each([
    [4, 5],
    [5, 2],
    [8, 8],
  ])("consistent_hash, %i to %i: names exactly the partitions and busy keys that move then", (from, to) =>
    play({ routing: consistentHash(), workers: from }, async (factory, world) => {
      const keys = Array.from({ length: 300 }, (_, i) => `key ${i}`);
      const sent = keys.slice(0, 60).flatMap((key) => [send(factory, key, 10), send(factory, key, 10)]);
      await world.sleep(5);
      const foretold = await factory.explainResize(to);
      const before = await Promise.all(keys.map((key) => factory.explain(key)));
      await factory.resize(to);
      const after = await Promise.all(keys.map((key) => factory.explain(key)));
      const moved = keys.filter((_, i) => before[i]?.worker !== after[i]?.worker);
      const slots = new Set(foretold.partitions.map(({ partition }) => partition));
      expect(moved).toEqual(keys.filter((key) => slots.has(partitionOf(key))));
      expect(foretold.share).toBe(slots.size / partitions);
      expect(foretold.keys.map(({ key }) => key)).toEqual(
        keys.slice(0, 60).filter((key) => moved.includes(key)),
      );
      for (const { key, from: left, to: taken, running, waiting } of foretold.keys) {
        const i = keys.indexOf(key);
        expect([left, taken]).toEqual([before[i]?.worker, after[i]?.worker]);
        expect([running, waiting]).toEqual([before[i]?.running, before[i]?.waiting]);
      }
      expect(foretold).toMatchObject({ from, to, keysTotal: foretold.keys.length });
      await Promise.all(sent);
    }),
  );

  it("sticky_queue: names the keys that leaving workers have in hand, changes nothing, and knows a wrong number", () =>
    play({ routing: stickyQueue(), workers: 3 }, async (factory, world) => {
      const sent = ["a", "b", "c", "c"].map((key) => send(factory, key, 50));
      await world.sleep(5);
      const { keys, finishing, partitions: moved, share } = await factory.explainResize(2);
      expect(keys).toEqual([{ key: "c", from: 2, to: undefined, running: true, waiting: 1 }]);
      expect({ finishing, moved, share }).toEqual({ finishing: 1, moved: [], share: 0 });
      expect(await factory.statistics()).toMatchObject({ workers: 3, running: 3 });
      const wrong = { code: "bad_argument", details: { field: "workers" } };
      await expect(factory.explainResize(0)).rejects.toMatchObject(wrong);
      await Promise.all(sent);
    }));
});

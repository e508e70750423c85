/** db_store on a memory store, in virtual time: what clients see of its rows, and how writes share a commit. */

import { describe, expect, it } from "vitest";
import { db_store, type Judged } from "../../../actors/db_store.ts";
import type { RowKey } from "../../../actors/records.ts";
import type { LiveRow } from "../../../actors/shard_messages.ts";
import type { ApplyGroup, ApplyResult } from "../../../actors/store_messages.ts";
import type { Store } from "../../../actors/stores/contract.ts";
import { MemoryFiles, openMemoryStore } from "../../../actors/stores/memory.ts";
import { encodeRow } from "../../../actors/stores/row_codec.ts";
import {
  type From,
  genServer,
  noReply,
  type Pid,
  type Ref,
  type Self,
  type System,
} from "../../../src/index.ts";
import { simulateSeed, type World } from "../../../src/simulation/index.ts";
import { keyOf, row } from "../../contract/store_rows.ts";
import { delegating } from "../../fixtures/delegating.ts";
import { loneShard } from "./lone_shard.ts";

interface Request extends Judged {
  readonly limit: number;
  readonly from?: RowKey;
  readonly to?: RowKey;
}

/** Hands a client's request on, as db_switch does: db_store answers the client itself. */
const gate = genServer(import.meta.url, "gate", {
  init: ({ store }: { store: Pid }, self: Self) => ({ self, store: self.ref(db_store, store) }),
  call: {
    now: ({ self }) => self.clock.now(),
    scan: ({ store }, { from = "", to = "", limit, decidedAtMs }: Request, client: From<LiveRow[]>) => {
      store.cast.scanFor({ range: { from, to }, limit, decidedAtMs, from: client });
      return noReply;
    },
    read: (
      { store },
      { keys, decidedAtMs }: Judged & { readonly keys: readonly RowKey[] },
      client: From<(LiveRow | undefined)[]>,
    ) => {
      store.cast.readFor({ keys, decidedAtMs, from: client });
      return noReply;
    },
  },
});

interface Stage {
  readonly world: World;
  readonly system: System;
  readonly files: MemoryFiles;
  readonly pid: Pid;
  readonly store: Ref<typeof db_store>;
  readonly gate: Ref<typeof gate>;
}

async function play(
  scenario: (stage: Stage) => Promise<void>,
  changed: (store: Store) => Store = (same) => same,
) {
  await simulateSeed({ seed: 1 }, async (world) => {
    const files = new MemoryFiles();
    const open = async () => changed(await openMemoryStore(files, { indexedBackends: [], newStoreId: "s" }));
    const { system } = await world.node("n", { resources: () => ({ stores: { open } }) });
    const pid = await system.spawn(db_store, loneShard);
    const gatePid = await system.spawn(gate, { store: pid });
    const ways = { store: system.ref(db_store, pid), gate: system.ref(gate, gatePid) };
    await scenario({ world, system, files, pid, ...ways });
  });
}

const names = ["a", "b", "c", "d", "e", "f", "g", "h"];

/** Shown are b, d, f and h; a and e are tombstones, c and g have expired by `expiredAtMs`. */
function putMixedRows(files: MemoryFiles, expiredAtMs: number): void {
  for (const [i, name] of names.entries()) {
    const value = i % 4 === 0 ? null : name;
    const each = row(keyOf(name), [1, 1, 1], value, i % 4 === 2 ? expiredAtMs : 0);
    files.rows.set(each.key, encodeRow(each));
  }
  files.keyChanges++;
}

describe("what a client sees", () => {
  it.each([
    { limit: 1, shown: ["b"] },
    { limit: 2, shown: ["b", "d"] },
    { limit: 3, shown: ["b", "d", "f"] },
    { limit: 4, shown: ["b", "d", "f", "h"] },
    { limit: 5, shown: ["b", "d", "f", "h"] },
    { limit: 100, shown: ["b", "d", "f", "h"] },
  ])("a scan for $limit shows so many, however many rows between them are not shown", ({ limit, shown }) =>
    play(async ({ files, gate }) => {
      putMixedRows(files, await gate.call.now());
      const rows = await gate.call.scan({ limit, decidedAtMs: 0 });
      expect(rows.map(({ key }) => key)).toEqual(shown.map(keyOf));
    }),
  );

  it("a scan for some shows no more, where its last page has more than are missing", () =>
    play(async ({ files, gate }) => {
      for (const name of names) {
        const each = row(keyOf(name), [1, 1, 1], name === "a" ? null : name);
        files.rows.set(each.key, encodeRow(each));
      }
      files.keyChanges++;
      const rows = await gate.call.scan({ limit: 3, decidedAtMs: 0 });
      expect(rows.map(({ key }) => key)).toEqual(["b", "c", "d"].map(keyOf));
    }));

  it("a scan ends at its range, also where the last row of it is not shown", () =>
    play(async ({ files, gate }) => {
      putMixedRows(files, await gate.call.now());
      const within = { from: keyOf("c"), to: keyOf("f"), decidedAtMs: 0 };
      expect((await gate.call.scan({ ...within, limit: 1 })).map(({ key }) => key)).toEqual([keyOf("d")]);
      expect((await gate.call.scan({ ...within, limit: 2 })).map(({ key }) => key)).toEqual([keyOf("d")]);
      expect(await gate.call.scan({ from: keyOf("x"), limit: 2, decidedAtMs: 0 })).toEqual([]);
    }));

  it("a scan asks the store for no more than it needs", async () => {
    const limits: number[] = [];
    const counted = (store: Store): Store =>
      delegating(store, {
        scan: (range, limit) => {
          limits.push(limit);
          return store.scan(range, limit);
        },
      });
    await play(async ({ files, gate }) => {
      putMixedRows(files, await gate.call.now());
      await gate.call.scan({ limit: 100, decidedAtMs: 0 });
      expect(limits.splice(0)).toEqual([100]);
      // a and b; c and d: the second one is there.
      await gate.call.scan({ limit: 2, decidedAtMs: 0 });
      expect(limits.splice(0)).toEqual([2, 2]);
      // Nothing is behind the last row, and nobody can tell before the store has said so.
      await gate.call.scan({ from: keyOf("g"), limit: 2, decidedAtMs: 0 });
      expect(limits.splice(0)).toEqual([2, 2]);
    }, counted);
  });

  it("a row is gone at the moment it expires, by the later of the own clock and that of who let the read pass", () =>
    play(async ({ world, files, gate }) => {
      const expiresAtMs = (await gate.call.now()) + 1_000;
      putMixedRows(files, expiresAtMs);
      const shownBy = async (decidedAtMs: number) => {
        const scanned = await gate.call.scan({ limit: 100, decidedAtMs });
        const read = await gate.call.read({ keys: names.map(keyOf), decidedAtMs });
        expect(read.filter((each) => each !== undefined)).toEqual(scanned);
        expect(read[0]).toBeUndefined();
        return scanned.length;
      };
      expect(await shownBy(expiresAtMs - 1)).toBe(6);
      expect(await shownBy(expiresAtMs)).toBe(4);
      await world.sleep(expiresAtMs - (await gate.call.now()));
      expect(await shownBy(0)).toBe(4);
    }));

  it("a key that no row has is shown as none", () =>
    play(async ({ gate }) => {
      expect(await gate.call.read({ keys: [keyOf("a")], decidedAtMs: 0 })).toEqual([undefined]);
    }));

  it.each([
    ["has a way of its own", (store: Store) => store],
    ["has none", (store: Store) => delegating(store, { peekEncoded: undefined })],
  ])("rows leave as their bytes from a store that %s", (_, changed) =>
    play(async ({ files, gate, store }) => {
      putMixedRows(files, await gate.call.now());
      const encoded = await store.call.peekEncoded({ range: { from: keyOf("b"), to: keyOf("e") }, limit: 2 });
      expect(encoded.map(({ key, value }) => [key, Buffer.from(value)])).toEqual(
        ["b", "c"].map((name) => [keyOf(name), Buffer.from(files.rows.get(keyOf(name)) ?? [])]),
      );
    }, changed),
  );
});

describe("commits", () => {
  const group = (...keys: string[]): ApplyGroup => ({
    grants: [],
    rows: keys.map((name) => row(keyOf(name), [1, 1, 1])),
  });

  /** Notes the batches; each takes 10 ms. */
  function slowly(batches: number[][], world: () => World) {
    return (store: Store): Store =>
      delegating(store, {
        apply: async (groups) => {
          batches.push(groups.map(({ rows }) => rows.length));
          await world().sleep(10);
          return store.apply(groups);
        },
      });
  }

  it("what comes while a batch is under way is the next one; each request gets its own results", async () => {
    const batches: number[][] = [];
    let world: World | undefined;
    const stageWorld = (): World => world as World;
    await play(
      async (stage) => {
        world = stage.world;
        const { store } = stage;
        const first = store.call.apply([group("a")]);
        await stage.world.sleep(5);
        const later = [store.call.apply([group("a", "b"), group("c")]), store.call.apply([group("d")])];
        const applied: ApplyResult = { status: "applied" };
        const same: ApplyResult = { status: "same" };
        expect(await first).toEqual([[applied]]);
        expect(await Promise.all(later)).toEqual([[[same, applied], [applied]], [[applied]]]);
        expect(batches).toEqual([[1], [2, 1, 1]]);
        // And it is not asked for nothing.
        await stage.world.sleep(100);
        expect(batches).toHaveLength(2);
      },
      slowly(batches, stageWorld),
    );
  });

  it("a commit that fails ends it: nobody is told that it was written, nor that it was not", () =>
    play(
      async ({ system, pid, store }) => {
        await expect(store.call.apply([group("a")])).rejects.toMatchObject({ code: "crashed" });
        await expect(system.statistics(pid)).rejects.toMatchObject({ code: "noproc" });
      },
      (store) => delegating(store, { apply: () => Promise.reject(new Error("the disk is away")) }),
    ));

  it("what waits when it is stopped is committed before the store closes", async () => {
    const seen: string[] = [];
    let world: World | undefined;
    const noted = (store: Store): Store =>
      delegating(store, {
        apply: async (groups) => {
          await (world as World).sleep(10);
          seen.push(`applied ${groups.length}`);
          return store.apply(groups);
        },
        close: async () => {
          await (world as World).sleep(1);
          seen.push("closed");
        },
      });
    await play(async (stage) => {
      world = stage.world;
      const { system, pid, store, files } = stage;
      const unanswered = [store.call.apply([group("a")]).catch(() => undefined)];
      await stage.world.sleep(5);
      unanswered.push(store.call.apply([group("b"), group("c")]).catch(() => undefined));
      await stage.world.sleep(1);
      await system.stopProcess(pid, { reason: "shutdown" });
      await Promise.all(unanswered);
      expect(seen).toEqual(["applied 1", "applied 2", "closed"]);
      expect([...files.rows.keys()].sort()).toEqual(["a", "b", "c"].map(keyOf).sort());
    }, noted);
  });

  it("one that is stopped with nothing waiting only closes its store", async () => {
    const seen: string[] = [];
    const noted = (store: Store): Store =>
      delegating(store, {
        apply: async () => {
          seen.push("applied");
          return [];
        },
        close: async () => {
          seen.push("closed");
        },
      });
    await play(async ({ system, pid }) => {
      await system.stopProcess(pid, { reason: "shutdown" });
      expect(seen).toEqual(["closed"]);
    }, noted);
  });
});

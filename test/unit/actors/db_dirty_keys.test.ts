/** db_dirty_keys above its log in the simulator: what it answers is durable, and who is given what when. */

import { describe, expect, it } from "vitest";
import { db_dirty_keys } from "../../../actors/db_dirty_keys.ts";
import { type DirtyLogOptions, db_dirty_log } from "../../../actors/db_dirty_log.ts";
import type { Admission, SendTerms } from "../../../actors/ledger_messages.ts";
import { cohortId, everyCohort, type RowKey, rowKey, type Version } from "../../../actors/records.ts";
import { defaultTuning, type ShardOptions } from "../../../actors/shard_options.ts";
import { child, type Ref } from "../../../src/index.ts";
import {
  SimulatedDisk,
  type SimulatedNode,
  simulateSeed,
  type World,
} from "../../../src/simulation/index.ts";
import { loneShard } from "./lone_shard.ts";

const cohort = cohortId("things", "+49");
const others = cohortId("things", "*");
const a = rowKey("things", "+491");
const b = rowKey("things", "+492");
const foreign = rowKey("things", "+1555");
const first: Version = [1, 1, 1];

/** Under it both cohorts are served here. */
const both: SendTerms = { shardTerm: 1, cohorts: { [cohort]: 1, [others]: 1 }, lost: "", finished: false };
/** Only +49 is. */
const one: SendTerms = { ...both, cohorts: { [cohort]: 1 } };

interface Shard {
  readonly disk: SimulatedDisk;
  /** Of the node's present life. */
  readonly ledger: Ref<typeof db_dirty_keys>;
  /** The power goes in this instant and comes back; the shard starts under the next term. */
  readonly powerCycle: () => Promise<void>;
}

async function onShard(
  seed: number,
  scenario: (shard: Shard, world: World) => Promise<void>,
  { ledgerBytesMax = defaultTuning.ledgerBytesMax } = {},
): Promise<void> {
  await simulateSeed({ seed }, async (world) => {
    const disk = new SimulatedDisk("d", { next: (site) => world.chance(site) });
    const node = await world.node("n", { resources: (thread) => ({ disk: disk.mounted(thread) }) });
    const supervised = () => supervise(node, ledgerBytesMax);
    await supervised();
    const shard: Shard = {
      disk,
      get ledger() {
        return node.system.ref(db_dirty_keys, "ledger");
      },
      powerCycle: async () => {
        node.crash();
        disk.crash();
        await node.restart();
        await supervised();
        const shardTerm = (await shard.ledger.call.loggedTerm()) + 1;
        await shard.ledger.call.start({ shardTerm, logLost: false });
      },
    };
    await scenario(shard, world);
  });
}

async function supervise({ system }: SimulatedNode, ledgerBytesMax: number): Promise<void> {
  const log: DirtyLogOptions = { folder: "log", folders: ["log"], durability: "group" };
  const options: ShardOptions = { ...loneShard, tuning: { ...defaultTuning, ledgerBytesMax } };
  const specs = [
    child("log", db_dirty_log, log, { name: "log" }),
    child("ledger", db_dirty_keys, options, { name: "ledger" }),
  ];
  await system.supervise({ children: specs });
}

/** The shard is started, and serves under these terms. */
async function serving({ ledger }: Shard, terms: SendTerms = both): Promise<void> {
  await ledger.call.start({ shardTerm: 1, logLost: false });
  await ledger.call.sendUnder(terms);
  ledger.cast.mayScan(true);
}

const admission = (key: RowKey, version = first, of = cohort): Admission => ({
  key,
  cohort: of,
  version,
  live: true,
});

/** The key has a mark that waits for nothing. */
async function marked({ ledger }: Shard, key: RowKey): Promise<void> {
  await ledger.call.admit([admission(key)]);
  ledger.cast.settle([{ key, range: "" }]);
}

async function eachUnavailable(answers: readonly Promise<unknown>[]): Promise<void> {
  const unavailable = { code: "unavailable" };
  await Promise.all(answers.map((answer) => expect(answer).rejects.toMatchObject(unavailable)));
}

const keysOf = (taken: readonly { readonly key: RowKey }[]): RowKey[] => taken.map(({ key }) => key);

type Deed = (shard: Shard) => Promise<unknown>;

const account: Deed = async ({ ledger }) => (await ledger.call.account([a]))[0];
const held: Deed = ({ ledger }) => ledger.call.held();

describe("db_dirty_keys has made durable when it answers", () => {
  const nothing: Deed = () => Promise.resolve();
  it.each<[what: string, before: Deed, deed: Deed, question: Deed, answer: unknown]>([
    [
      "a start",
      nothing,
      ({ ledger }) => ledger.call.start({ shardTerm: 7, logLost: false }),
      ({ ledger }) => ledger.call.loggedTerm(),
      8,
    ],
    ["an admission", nothing, ({ ledger }) => ledger.call.admit([admission(a)]), account, "mark"],
    [
      "a suspicion",
      nothing,
      ({ ledger }) => ledger.call.suspect({ keys: [a], owner: "replay" }),
      account,
      "mark",
    ],
    [
      "a change of others",
      nothing,
      ({ ledger }) => ledger.call.follow({ keys: [a], everything: undefined }),
      account,
      "mark",
    ],
    [
      "a quarantine",
      (shard) => marked(shard, a),
      ({ ledger }) => ledger.call.quarantine([{ key: a, version: first }]),
      account,
      "perror",
    ],
    // Of a key that has healed meanwhile there is nothing to drop.
    ["a drop", (shard) => marked(shard, a), ({ ledger }) => ledger.call.drop([b, a]), account, "none"],
    [
      "a range",
      nothing,
      ({ ledger }) => ledger.call.openRange({ cohort: everyCohort, from: "", to: "", reason: "operator" }),
      account,
      "range",
    ],
    ["a hold", nothing, ({ ledger }) => ledger.call.hold({ keys: [a], decision: "d" }), held, [a]],
    [
      "the end of a hold",
      ({ ledger }) => ledger.call.hold({ keys: [a], decision: "d" }),
      ({ ledger }) => ledger.call.unhold({ keys: [a] }),
      held,
      [],
    ],
  ])("%s", async (_what, before, deed, question, answer) => {
    for (let seed = 0; seed < 6; seed++) {
      await onShard(seed, async (shard) => {
        await serving(shard);
        await before(shard);
        await deed(shard);
        await shard.powerCycle();
        expect(await question(shard)).toEqual(answer);
      });
    }
  });
});

describe("db_dirty_keys, before it knows what is served here,", () => {
  it("gives nothing away, forgets no mark and refuses what it can't judge", async () => {
    await onShard(1, async (shard) => {
      const { ledger } = shard;
      await ledger.call.start({ shardTerm: 1, logLost: false });
      await marked(shard, a);
      await marked(shard, b);
      expect(await ledger.call.take([a])).toEqual({ taken: [], busy: [a] });
      await eachUnavailable([
        ledger.call.takeUnmarked({ sender: "crawler", keys: [foreign] }),
        ledger.call.suspect({ keys: [foreign], owner: "replay" }),
        ledger.call.follow({ keys: [foreign], everything: undefined }),
        ledger.call.beginPass(),
      ]);
      // A change of owner can't fail.
      expect(await ledger.call.own({ keys: [b], owner: "replay" })).toBe(1);
      const ready = ledger.call.takeReady({ limit: 9 });
      await ledger.call.sendUnder(both);
      expect(keysOf((await ledger.call.take([a, b])).taken)).toEqual([a]);
      expect(keysOf(await ready)).toEqual([b]);
    });
  });
});

describe("db_dirty_keys, when the other site serves a cohort,", () => {
  it("drops its marks in the log, too: no crash brings them back", async () => {
    await onShard(1, async (shard) => {
      const { ledger } = shard;
      await serving(shard);
      await ledger.call.admit([admission(foreign, first, others)]);
      ledger.cast.settle([{ key: foreign, range: "" }]);
      await ledger.call.sendUnder(one);
      // Takes along what was only noted.
      await marked(shard, a);
      await shard.powerCycle();
      expect(await shard.ledger.call.account([foreign, a])).toEqual(["none", "mark"]);
    });
  });

  it("answers replay with a key that may be sent, not with none", async () => {
    await onShard(1, async (shard) => {
      const { ledger, disk } = shard;
      await serving(shard);
      const ready = ledger.call.takeReady({ limit: 9 });
      disk.faults.bytesMax = disk.used;
      const refused = ledger.call.admit([admission(foreign, first, others)]);
      await ledger.call.sendUnder(one);
      await eachUnavailable([refused]);
      expect((await ledger.call.counts([others])).marks).toBe(0);
      disk.faults.bytesMax = Number.POSITIVE_INFINITY;
      await ledger.call.suspect({ keys: [a], owner: "replay" });
      expect(keysOf(await ready)).toEqual([a]);
    });
  });
});

describe("db_dirty_keys, full,", () => {
  const full = { ledgerBytesMax: 0 };

  it("names each key of db_perror all the same", async () => {
    const scenario = async (shard: Shard): Promise<void> => {
      const { ledger } = shard;
      await serving(shard);
      expect(await ledger.call.suspect({ keys: [a], owner: "perror" })).toEqual([a]);
      expect(await ledger.call.suspect({ keys: [b], owner: "replay" })).toEqual([b]);
      expect(await ledger.call.account([a, b])).toEqual(["perror", "range"]);
    };
    await onShard(1, scenario, full);
  });

  it("waits for no write that the log refused, and takes no key from db_perror for it", async () => {
    const scenario = async (shard: Shard): Promise<void> => {
      const { ledger, disk } = shard;
      await serving(shard);
      disk.faults.bytesMax = disk.used;
      await eachUnavailable([
        ledger.call.admit([admission(a)]),
        ledger.call.suspect({ keys: [a], owner: "perror" }),
      ]);
      expect(await ledger.call.account([a, b])).toEqual(["perror", "range"]);
      expect(await ledger.call.nextRange()).toMatchObject({ cohort, state: "scanning" });
    };
    await onShard(1, scenario, full);
  });
});

describe("ranges of db_dirty_keys", () => {
  it("one that is done is not opened again by a crawl's late word", async () => {
    await onShard(1, async (shard) => {
      const { ledger } = shard;
      await serving(shard);
      const id = await ledger.call.openRange({ cohort, from: "", to: "", reason: "operator" });
      await ledger.call.advance({ id, cursor: undefined });
      await ledger.call.advance({ id, cursor: a });
      expect(await ledger.call.ranges()).toEqual([]);
    });
  });

  it("what one stood for is compared again once it is done", async () => {
    await onShard(1, async (shard) => {
      const { ledger } = shard;
      await serving(shard);
      const id = await ledger.call.openRange({ cohort, from: "", to: "", reason: "operator" });
      await ledger.call.endPass((await ledger.call.beginPass()).cohorts);
      const changes = async () => (await ledger.call.changes([cohort, others])).changes;
      expect(await changes()).toEqual([0, 0]);
      await ledger.call.advance({ id, cursor: undefined });
      expect(await changes()).toEqual(["overflow", 0]);
    });
  });
});

describe("held keys of db_dirty_keys", () => {
  it("are accounted for, and only those are released that all of a filter applies to", async () => {
    await onShard(1, async (shard) => {
      const { ledger } = shard;
      await serving(shard);
      await ledger.call.hold({ keys: [a, foreign], decision: "d1" });
      await ledger.call.hold({ keys: [b], decision: "d2" });
      expect(await ledger.call.account([a])).toEqual(["perror"]);
      expect(await ledger.call.unhold({ decisions: ["d1"], cohorts: [others] })).toBe(1);
      expect(await ledger.call.held()).toEqual([a, b]);
      expect(await ledger.call.unhold({ decisions: ["d1"], keys: [b] })).toBe(0);
      expect(await ledger.call.unhold({ keys: [a] })).toBe(1);
      expect(await ledger.call.held()).toEqual([b]);
      expect(await ledger.call.unhold({})).toBe(1);
      expect(await ledger.call.held()).toEqual([]);
    });
  });

  it("are none for a decision that was released as a whole; one that was released in part may hold more", async () => {
    await onShard(1, async (shard) => {
      const { ledger } = shard;
      await serving(shard);
      await ledger.call.unhold({ decisions: ["d1"] });
      const late = ledger.call.hold({ keys: [a], decision: "d1" });
      await expect(late).rejects.toMatchObject({ code: "conflict", message: expect.stringContaining("d1") });
      await ledger.call.unhold({ decisions: ["d2"], cohorts: [others] });
      await ledger.call.unhold({ decisions: ["d2"], keys: [a] });
      await ledger.call.hold({ keys: [b], decision: "d2" });
      expect(await ledger.call.held()).toEqual([b]);
    });
  });

  it("one ends with no mark of its key: neither with a dropped nor with a healed one", async () => {
    await onShard(1, async (shard) => {
      const { ledger } = shard;
      await serving(shard);
      for (const key of [a, b]) await marked(shard, key);
      await ledger.call.quarantine([{ key: b, version: first }]);
      await ledger.call.hold({ keys: [a, b], decision: "d" });
      await ledger.call.drop([a]);
      await ledger.call.own({ keys: [b], owner: "replay" });
      const [taken] = await ledger.call.takeReady({ limit: 1 });
      if (taken === undefined) throw new Error("replay was given the key");
      const { cleared } = await ledger.call.release([{ taken, outcome: "confirmed" }]);
      expect(cleared).toMatchObject([{ key: b, healed: true }]);
      expect(await ledger.call.held()).toEqual([a, b]);
      await shard.powerCycle();
      expect(await shard.ledger.call.held()).toEqual([a, b]);
    });
  });
});

describe("counts of db_dirty_keys", () => {
  it("tell the age of the oldest mark", async () => {
    await onShard(1, async (shard, world) => {
      const { ledger } = shard;
      await serving(shard);
      expect(await ledger.call.counts()).toMatchObject({ marks: 0, lagMs: 0 });
      await marked(shard, a);
      const { lagMs } = await ledger.call.counts();
      await world.sleep(700);
      await marked(shard, b);
      const later = await ledger.call.counts();
      expect(later.marks).toBe(2);
      expect(later.lagMs).toBeGreaterThanOrEqual(lagMs + 700);
    });
  });

  it("are refused above a lost store", async () => {
    await onShard(1, async (shard) => {
      await serving(shard, { ...both, lost: "another store" });
      await expect(shard.ledger.call.counts()).rejects.toMatchObject({
        code: "lost",
        message: "another store",
      });
    });
  });
});

/**
 * A source that others write, followed, copied, compared, moved away from and back to: rows are written at the store
 * itself, past every actor, and arrive by the feed alone.
 */

import { describe, expect, it } from "vitest";
import type { FeedStatistics } from "../../actors/db_feed.ts";
import type { ShardProcess } from "../../actors/shard_options.ts";
import { startSites } from "../../actors/sites.ts";
import { MemoryControl } from "../../actors/stores/memory_control.ts";
import { nodeDigest } from "../../actors/stores/sha256.ts";
import { TwoSites, type WorldOptions } from "../../app/simulate/two_sites.ts";
import type { NanoError } from "../../src/index.ts";
import { simulateSeed, type World } from "../../src/simulation/index.ts";
import { dry_compare, dry_crawler, early_feed, standing_ledger } from "./hazards/feed_twins.ts";
import { carrying, clean, type Findings, judge, rowOf } from "./hazards/hazard.ts";

type Play = (sites: TwoSites, world: World) => Promise<Findings>;

async function run(play: Play, options: WorldOptions = {}, seed = 1): Promise<Findings> {
  const report = await simulateSeed({ seed, order: seed === 1 ? "fifo" : "random" }, async (world) =>
    play(await TwoSites.start(world, { foreign: true, ...options }), world),
  );
  return report.result;
}

function write(sites: TwoSites, key: string, value: string | null): void {
  sites.source.write(rowOf(key), value === null ? null : new TextEncoder().encode(value));
}

function statistics(sites: TwoSites): FeedStatistics {
  return sites.stateOf("A", "db_feed") as unknown as FeedStatistics;
}

interface Twin {
  readonly name: string;
  readonly replaced: NonNullable<WorldOptions["replaced"]>;
  /** The oracle that finds it. */
  readonly found: keyof Findings;
}

/** A play that holds, and the twin in which it does not. */
function holds(title: string, play: Play, twin: Twin): void {
  it.each([1, 2, 3])(`${title}, seed %i`, async (seed) => {
    expect(await run(play, {}, seed)).toEqual(clean);
  });
  it(`twin: ${title}, but not with ${twin.name}`, async () => {
    const findings = await run(play, { replaced: twin.replaced });
    expect(findings[twin.found]).not.toEqual(clean[twin.found]);
  });
}

describe("a source that others write", () => {
  it.each([1, 2, 3, 4, 5, 6])(
    "is equal to its copy after writes, deletes and crashes, seed %i",
    async (seed) => {
      const play: Play = async (sites, world) => {
        const unaccounted = sites.watchUnaccounted();
        const keys = Array.from({ length: 60 }, (_, i) => `${i % 2 === 0 ? "+49" : "+33"}${17_000 + i}`);
        const scribble = (n: number): void => {
          const key = keys[Math.floor(world.chance("key") * keys.length)] ?? "";
          write(sites, key, world.chance("delete") < 0.2 ? null : `v${n}`);
        };
        for (let n = 0; n < 100; n++) scribble(n);
        await sites.migrate();
        const victims: ShardProcess[] = ["db_feed", "db_store", "db_replay", "db_dirty_keys", "db_crawler"];
        for (let n = 100; n < 400; n++) {
          scribble(n);
          await world.sleep(5);
          if (world.chance("kill") < 0.01) {
            sites.kill("A", victims[Math.floor(world.chance("victim") * victims.length)] ?? "db_feed");
          }
          if (n % 150 === 0) {
            sites.crash({ powerLoss: true });
            await sites.restart();
            await sites.migrate();
          }
        }
        await sites.phase("ready");
        await world.sleep(2_000);
        const wrong = sites.files("B", 0).rows.size > 20 ? [] : ["nearly nothing was copied"];
        return judge(sites, unaccounted, wrong);
      };
      expect(await run(play, { shards: 2 }, seed)).toEqual(clean);
    },
  );

  it("is moved away from behind its write stop, replicated back to without an echo, and moved back to", async () => {
    const play: Play = async (sites, world) => {
      write(sites, "+4917001", "v1");
      await sites.copied();
      const unaccounted = sites.watchUnaccounted();
      write(sites, "+4917001", "v2");
      const wrong: string[] = [];
      const moved = await sites.sites.move("+49", "B");
      if (moved.outcome !== "swapped") wrong.push(`the move was ${moved.outcome}: ${moved.reason}`);
      if (sites.shown("B", "+4917001") !== "v2") wrong.push("the last change before the stop is not at B");
      try {
        write(sites, "+4917001", "late");
        wrong.push("others still write the moved prefix");
      } catch (error) {
        if ((error as NanoError).code !== "blocked") throw error;
      }
      write(sites, "+3317001", "other");
      if (!(await sites.write("+4917001", "v3"))) wrong.push("B does not serve");
      await sites.settled();
      if (sites.shown("A", "+4917001") !== "v3") wrong.push("v3 has not come back to A");
      await world.sleep(100);
      if (statistics(sites).echoes === 0) wrong.push("the feed told of no change of ours");
      const back = await sites.sites.move("+49", "A");
      if (back.outcome !== "swapped") wrong.push(`the way back was ${back.outcome}: ${back.reason}`);
      write(sites, "+4917001", "v4");
      write(sites, "+4917002", "new");
      await world.sleep(1_000);
      if (sites.shown("B", "+4917001") !== "v4") wrong.push("B does not follow after the way back");
      const findings = await judge(sites, unaccounted, wrong);
      return { ...findings, lost: [] };
    };
    expect(await run(play)).toEqual(clean);
  });

  it("refuses what a client writes past those who own it", async () => {
    const play: Play = async (sites) => {
      await sites.copied();
      const wrong = (await sites.write("+4917001", "mine")) ? ["it was acknowledged"] : [];
      await sites.settled();
      if (sites.shown("A", "+4917001") !== null) wrong.push("it was written");
      return judge(sites, [], wrong);
    };
    expect(await run(play)).toEqual(clean);
  });

  it("does not replace a row at the peer that only the peer has, but removes it, as it is absent here", async () => {
    const play: Play = async (sites, world) => {
      write(sites, "+4917001", "v1");
      await sites.copied();
      write(sites, "+4917001", null);
      await world.sleep(1_000);
      return judge(sites, [], sites.shown("B", "+4917001") === null ? [] : ["B still shows it"]);
    };
    expect(await run(play)).toEqual(clean);
  });
});

describe("db_feed", () => {
  holds(
    "a second change during the repair of the first keeps the key dirty",
    async (sites, world) => {
      await sites.copied();
      const unaccounted = sites.watchUnaccounted();
      sites.points.arm("A apply request", { matches: carrying("+4917001", "v1") });
      write(sites, "+4917001", "v1");
      await sites.reached("A apply request");
      write(sites, "+4917001", "v2");
      await world.sleep(200);
      sites.points.release("A apply request");
      return judge(sites, unaccounted);
    },
    {
      name: "a ledger that leaves a standing mark as it is",
      replaced: { db_dirty_keys: standing_ledger },
      found: "differing",
    },
  );

  holds(
    "a crash between the marks and the position reads the events again",
    async (sites, world) => {
      await sites.copied();
      const unaccounted = sites.watchUnaccounted();
      // The peer is away, so that nothing but the mark tells of the change.
      sites.weather("A").down = true;
      sites.points.arm("control wrote", {
        matches: (call) => (call as { readonly key: string }).key.startsWith("feed/"),
      });
      write(sites, "+4917001", "v1");
      await sites.reached("control wrote");
      sites.crash({ powerLoss: true });
      sites.weather("A").down = false;
      await sites.restart();
      await world.sleep(3_000);
      return judge(sites, unaccounted);
    },
    { name: "a feed that saves before it marks", replaced: { db_feed: early_feed }, found: "unaccounted" },
  );

  it.each([1, 2, 3])(
    "a log that was cut behind the position makes everything suspect, seed %i",
    async (seed) => {
      const play: Play = async (sites, world) => {
        await sites.copied();
        sites.points.arm("A feed read", { count: Number.POSITIVE_INFINITY });
        await sites.reached("A feed read");
        write(sites, "+4917001", "v1");
        sites.source.lose(() => true);
        sites.points.disarm("A feed read");
        sites.points.release("A feed read");
        await world.sleep(3_000);
        const wrong = statistics(sites).gaps === 1 ? [] : [`${statistics(sites).gaps} gaps`];
        if (sites.shown("B", "+4917001") !== "v1") wrong.push("what was cut is not at B");
        return judge(sites, [], wrong);
      };
      expect(await run(play, {}, seed)).toEqual(clean);
    },
  );

  holds(
    "a range is not done while the feed has still to tell of what was read with it",
    async (sites, world) => {
      write(sites, "+4917001", "v1");
      await world.sleep(500);
      sites.points.arm("A feed read", { count: Number.POSITIVE_INFINITY });
      await sites.reached("A feed read");
      await sites.migrate();
      await world.sleep(2_000);
      const wrong = (sites.ledger("A")?.ranges().length ?? 0) > 0 ? [] : ["the range is done"];
      sites.points.disarm("A feed read");
      sites.points.release("A feed read");
      await sites.phase("ready");
      return judge(sites, [], wrong);
    },
    { name: "a crawl without watermarks", replaced: { db_crawler: dry_crawler }, found: "wrong" },
  );

  holds(
    "a comparison reports no change that the feed has still to tell of",
    async (sites, world) => {
      write(sites, "+4917001", "v1");
      await sites.copied();
      sites.points.arm("A feed read", { count: Number.POSITIVE_INFINITY });
      await sites.reached("A feed read");
      write(sites, "+4917001", "v2");
      const { cast } = sites.node.system.ref(dry_compare, sites.name("A", "db_compare"));
      (cast as unknown as { sample(keys: readonly string[]): void }).sample([rowOf("+4917001")]);
      await world.sleep(3_000);
      const wrong = sites.ledger("A")?.account(rowOf("+4917001")) === "perror" ? ["a false report"] : [];
      sites.points.disarm("A feed read");
      sites.points.release("A feed read");
      await world.sleep(1_000);
      return judge(sites, [], wrong);
    },
    { name: "a comparison without watermarks", replaced: { db_compare: dry_compare }, found: "wrong" },
  );
});

it("sites on a source without a feed that detects gaps are refused before anything starts", async () => {
  const attempt = simulateSeed({ seed: 1 }, async (world) => {
    const node = await world.node("n", {});
    const control = new MemoryControl();
    const logFolder = (): string => "log";
    const options = { sites: ["A", "B"], control, backends: [], shards: 1, prefixes: [], logFolder } as const;
    try {
      await startSites(node.system, { ...options, source: { feed: "lossy" } });
      return undefined;
    } catch (error) {
      return { error: error as NanoError, records: control.listNow("") };
    }
  });
  const refused = (await attempt).result;
  expect(refused?.error).toMatchObject({ code: "unsafe", details: { field: "source.feed" } });
  expect(refused?.error.message).toContain("hazard 58");
  expect(refused?.records).toEqual([]);
});

it("a prefix is not moved away from a source whose server can't stop its writers", async () => {
  const report = await simulateSeed({ seed: 1 }, async (world) => {
    const control = new MemoryControl();
    const node = await world.node("n", { resources: () => ({ control, digest: nodeDigest }) });
    const [sites, prefixes, logFolder] = [["A", "B"], ["+49"], (): string => "log"] as const;
    const parts = {
      control,
      backends: [],
      shards: 0,
      threads: [],
      source: { feed: "gap_detecting" },
    } as const;
    const started = await startSites(node.system, { ...parts, sites, prefixes, logFolder });
    return started.move("+49", "B").catch((error: NanoError) => error);
  });
  expect(report.result).toMatchObject({ code: "unsafe", details: { field: "source.writeStop" } });
});

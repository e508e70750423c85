/**
 * A swarm: each seed draws its own faults, rates and sizes, and runs clients beside a whole migration. The oracles
 * watch all along; when the faults have stopped, everything must come to rest.
 */

import { rowKey } from "../../actors/records.ts";
import type { ShardProcess } from "../../actors/shard_options.ts";
import type { SitesOptions } from "../../actors/sites.ts";
import { TwoSites } from "../../app/simulate/two_sites.ts";
import { type SimulationReport, simulateSeed, type World } from "../../src/simulation/index.ts";

export interface SwarmFindings {
  readonly lost: readonly string[];
  readonly unaccounted: readonly string[];
  readonly differing: readonly string[];
  readonly acknowledged: number;
  /** What this seed's faults did, by name. */
  readonly fired: Readonly<Record<string, number>>;
}

const processes: readonly ShardProcess[] = [
  "db_store",
  "db_dirty_keys",
  "db_perror",
  "db_replay",
  "db_queuer",
  "db_compare",
  "db_crawler",
  "db_switch",
];

/** Ms of virtual time with faults; then they stop. */
const stormMs = 3_000;

/** Within this everything comes to rest: backoffs, rechecks, a move that is tried again. */
const restMs = 120_000;

export function swarm(
  seed: number,
  replaced: NonNullable<SitesOptions["replaced"]> = {},
): Promise<SimulationReport<SwarmFindings>> {
  return simulateSeed({ seed, order: seed % 2 === 0 ? "random" : "fifo" }, (world) =>
    new Storm(world, replaced).run(),
  );
}

class Storm {
  readonly #world: World;
  readonly #replaced: NonNullable<SitesOptions["replaced"]>;
  readonly #fired: Record<string, number> = {};
  #acknowledged = 0;

  constructor(world: World, replaced: NonNullable<SitesOptions["replaced"]>) {
    this.#world = world;
    this.#replaced = replaced;
  }

  async run(): Promise<SwarmFindings> {
    const world = this.#world;
    const threads = this.#upTo(3, "threads");
    const sites = await TwoSites.start(world, {
      shards: 1 + this.#upTo(2, "shards"),
      threads,
      replaced: this.#replaced,
      tuning: {
        queueMax: this.#oneOf([4, 1_000], "queueMax"),
        ledgerBytesMax: this.#oneOf([2_000, 1_000_000], "ledger"),
        sendBatchMax: this.#oneOf([2, 128], "batch"),
        crawlBatchMax: this.#oneOf([3, 64], "crawl"),
      },
    });
    for (let i = 0; i < 20; i++) await sites.write(`+49${i}00`, `before ${i}`);
    const unaccounted = sites.watchUnaccounted();
    await this.#migrate(sites);
    const clients = Array.from({ length: 4 }, (_, client) => this.#client(sites, client));
    const faults = [
      this.#weather(sites),
      this.#kills(sites),
      this.#threads(sites, threads),
      this.#crashes(sites),
    ];
    await Promise.all([...clients, ...faults]);
    sites.weather("A").down = false;
    sites.weather("A").failShare = 0;
    sites.weather("B").failShare = 0;
    await this.#migrate(sites);
    await sites.phase("swapped", restMs);
    await sites.settled(restMs);
    return {
      lost: sites.lost(),
      unaccounted,
      differing: sites.unaccounted(),
      acknowledged: this.#acknowledged,
      fired: this.#fired,
    };
  }

  /** Said again after each restart: repeating it changes nothing. */
  async #migrate(sites: TwoSites): Promise<void> {
    for (;;) {
      try {
        await sites.migrate({ "+33": ["B", "A", "B"] });
        return;
      } catch {
        await this.#world.sleep(50);
      }
    }
  }

  /** One write after the other over a few keys, so that order and repetition matter. */
  async #client(sites: TwoSites, client: number): Promise<void> {
    const world = this.#world;
    for (let n = 0; world.nowMs < stormMs; n++) {
      const key = `+${this.#oneOf([33, 49], "prefix")}${client}${this.#upTo(8, "key")}00`;
      const value = this.#chance("delete") < 0.2 ? null : `${client}.${n}`;
      if (await sites.write(key, value, 1_000)) this.#acknowledged++;
      await world.sleep(1 + this.#chance("think") * 20);
    }
  }

  async #weather(sites: TwoSites): Promise<void> {
    const share = this.#oneOf([0, 0.1, 0.4], "fail share");
    const slow = this.#oneOf([0, 30], "slow");
    const goesDown = this.#chance("goes down") < 0.3;
    const poison = rowKey("device_platform", "+49000");
    while (this.#world.nowMs < stormMs) {
      const { A, B } = { A: sites.weather("A"), B: sites.weather("B") };
      A.failShare = share;
      B.failShare = share;
      A.delayMs = slow;
      A.down = goesDown && this.#chance("down") < 0.3;
      if (A.down) this.#count("down");
      if (this.#chance("poison") < 0.2) A.rejected.add(poison);
      else A.rejected.delete(poison);
      await this.#world.sleep(100 + this.#chance("weather") * 300);
    }
    sites.weather("A").rejected.clear();
  }

  async #kills(sites: TwoSites): Promise<void> {
    const everyMs = this.#oneOf([0, 300, 1_000], "kill every");
    while (everyMs > 0 && this.#world.nowMs < stormMs) {
      await this.#world.sleep(everyMs * (0.5 + this.#chance("kill at")));
      const process = this.#oneOf(processes, "victim");
      const site = this.#oneOf(["A", "B"] as const, "victim site");
      if (sites.kill(site, process, this.#upTo(sites.shards, "victim shard"))) this.#count(`kill ${process}`);
      if (this.#chance("coordinator") < 0.3) {
        if (sites.node.kill(this.#oneOf(["A/db_failover", "A/db_migration"], "which")))
          this.#count("kill coordinator");
        await this.#world.sleep(20);
        await this.#migrate(sites);
      }
    }
  }

  async #threads(sites: TwoSites, threads: number): Promise<void> {
    if (threads === 0 || this.#chance("threads die") < 0.5) return;
    await this.#world.sleep(this.#chance("thread dies at") * stormMs);
    sites.node.crashThread(1 + this.#upTo(threads, "which thread"));
    this.#count("thread");
  }

  async #crashes(sites: TwoSites): Promise<void> {
    if (this.#chance("crashes") < 0.5) return;
    await this.#world.sleep(this.#chance("crash at") * stormMs);
    sites.crash({ powerLoss: this.#chance("power") < 0.5 });
    await this.#world.sleep(20);
    await sites.restart();
    await this.#migrate(sites);
    this.#count("crash");
  }

  #count(name: string): void {
    this.#fired[name] = (this.#fired[name] ?? 0) + 1;
  }

  #chance(site: string): number {
    return this.#world.chance(`swarm ${site}`);
  }

  #upTo(count: number, site: string): number {
    return Math.floor(this.#chance(site) * count);
  }

  #oneOf<T>(values: readonly T[], site: string): T {
    return values[this.#upTo(values.length, site)] as T;
  }
}

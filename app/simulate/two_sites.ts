/**
 * Two sites in one simulated node, with everything that a scenario needs: clients that remember what was acknowledged,
 * faults between the sites, pause points, crashes, and the oracles. Production actors, unchanged; a negative twin
 * replaces some of them by name.
 *
 * Site A serves at first. Stores, control store and disk outlive the node.
 */

import type { Backend } from "../../actors/backends/backend.ts";
import { devicePlatform } from "../../actors/backends/device_platform.ts";
import { builtInBackends } from "../../actors/backends/index.ts";
import { cohortFinder } from "../../actors/cohorts.ts";
import { compareRows } from "../../actors/compare.ts";
import {
  type Authority,
  authorityOf,
  type CohortRecord,
  type DecisionRecord,
} from "../../actors/control_store.ts";
import type { DataAccess } from "../../actors/data_access.ts";
import type { Ledger } from "../../actors/ledger.ts";
import { type Row, type RowKey, rowKey, type Site, shardOf, splitRowKey } from "../../actors/records.ts";
import { type ShardProcess, shardProcess, type Tuning } from "../../actors/shard_options.ts";
import { type Sites, type SitesOptions, startSites } from "../../actors/sites.ts";
import { MemoryFiles } from "../../actors/stores/memory.ts";
import { decodeRow } from "../../actors/stores/row_codec.ts";
import { child, NanoError } from "../../src/index.ts";
import { PausePoints, SimulatedDisk, type SimulatedNode, type World } from "../../src/simulation/index.ts";
import { SimControl } from "./sim_control.ts";
import { pausingDisk } from "./sim_disk.ts";
import { type Network, sim_link, type Weather } from "./sim_link.ts";
import { openSimStore } from "./sim_store.ts";

const names = ["A", "B"] as const;

/** Short pauses: in virtual time a scenario may wait, but its trace gets long. */
const simTuning: Partial<Tuning> = {
  recheckMs: [20, 50],
  backoffMinMs: 20,
  backoffMaxMs: 500,
  peerTimeoutMs: 1_000,
  probeIntervalMs: 200,
};

export interface WorldOptions {
  readonly shards?: number;
  /** Worker threads; 0, the default: all on the main thread. */
  readonly threads?: number;
  readonly prefixes?: readonly string[];
  readonly tuning?: Partial<Tuning>;
  /** Broken twins, by the name of what they stand for. */
  readonly replaced?: NonNullable<SitesOptions["replaced"]>;
  readonly replacedCoordinators?: NonNullable<SitesOptions["replacedCoordinators"]>;
}

interface History {
  /** What the last acknowledged write left; undefined: nothing was acknowledged. */
  acknowledged: string | null | undefined;
  /** Values whose writes had no answer: any of them may stand, then or later. */
  readonly unknown: Set<string | null>;
}

export class TwoSites {
  readonly world: World;
  readonly points = new PausePoints();
  readonly control = new SimControl(this.points);
  readonly disk: SimulatedDisk;
  readonly network: Network;
  readonly #options: WorldOptions;
  readonly #files = new Map<string, MemoryFiles>();
  readonly #cohortOf;
  /** Keys that may differ: only those are looked at after each event. */
  readonly #suspects = new Set<RowKey>();
  readonly #history = new Map<string, History>();
  /** Who waits for an answer of the node: when it dies, nothing asked of it is ever answered. */
  readonly #waiting = new Set<(error: NanoError) => void>();
  #node: SimulatedNode | undefined;
  #sites: Sites | undefined;
  #access: DataAccess<typeof devicePlatform> | undefined;

  private constructor(world: World, options: WorldOptions) {
    this.world = world;
    this.#options = options;
    this.#cohortOf = cohortFinder(this.prefixes);
    this.disk = new SimulatedDisk("logs", { next: (site) => world.chance(site) });
    const calm = (): Weather => ({ delayMs: 0, failShare: 0, down: false, rejected: new Set() });
    this.network = {
      points: this.points,
      weather: { A: calm(), B: calm() },
      applies: { A: 0, B: 0 },
      onRequest: undefined,
      onApply: undefined,
    };
  }

  /** Both sites serve, nothing is migrated yet. */
  static async start(world: World, options: WorldOptions = {}): Promise<TwoSites> {
    const sites = new TwoSites(world, options);
    await sites.restart();
    return sites;
  }

  get shards(): number {
    return this.#options.shards ?? 1;
  }

  get prefixes(): readonly string[] {
    return this.#options.prefixes ?? ["+49", "+33"];
  }

  get node(): SimulatedNode {
    if (this.#node === undefined) throw new NanoError("unavailable", "the node was never started");
    return this.#node;
  }

  get sites(): Sites {
    if (this.#sites === undefined) throw new NanoError("unavailable", "the sites are down");
    return this.#sites;
  }

  /** The way from a site to its peer, to be made worse. */
  weather(site: Site): Weather {
    const weather = this.network.weather[site];
    if (weather === undefined) throw new NanoError("bad_argument", `no site ${site}`, { field: "site" });
    return weather;
  }

  // --- life ----------------------------------------------------------------------------------------------------

  /** The whole process dies; `powerLoss`: what the disk had not synced may be gone, too. */
  crash(options: { readonly powerLoss: boolean } = { powerLoss: false }): void {
    this.node.crash();
    for (const reject of this.#waiting) reject(new NanoError("crashed", "the node died"));
    this.#waiting.clear();
    this.#sites = undefined;
    this.#access = undefined;
    if (options.powerLoss) this.disk.crash();
  }

  async restart(): Promise<void> {
    const { threads = 0, tuning = {}, replaced = {}, replacedCoordinators = {} } = this.#options;
    if (this.#node === undefined) {
      this.#node = await this.world.node("n", { threads, resources: (thread) => this.#resources(thread) });
    } else await this.#node.restart();
    this.#sites = await startSites(this.node.system, {
      sites: names,
      control: this.control,
      backends: builtInBackends,
      shards: this.shards,
      prefixes: this.prefixes,
      durability: "group",
      tuning: { ...simTuning, ...tuning },
      logFolder: (site, thread) => `${site}/log-${thread}`,
      link: (site, shard) => {
        const peer = shardProcess(otherSite(site), shard, "db_store");
        return child("link", sim_link, { site, peer }, { name: `${site}/${shard}/link` });
      },
      replaced,
      replacedCoordinators,
    });
    this.#access = await this.sites.access(devicePlatform, { writers: 16, readers: 4 });
  }

  /** The registered name of a shard's process. */
  name(site: Site, process: ShardProcess, shard = 0): string {
    return shardProcess(site, shard, process);
  }

  kill(site: Site, process: ShardProcess, shard = 0): boolean {
    return this.node.kill(this.name(site, process, shard));
  }

  /** An answer of the node, or `crashed` when it dies first. */
  alive<T>(answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.add(reject);
      answer.finally(() => this.#waiting.delete(reject)).then(resolve, reject);
    });
  }

  /** Runs the world until at least `count` passes wait at a pause point. */
  async reached(point: string, count = 1, withinMs = 10_000): Promise<void> {
    const waits = (): boolean => this.points.parked(point) >= count;
    await this.world.eventually(`${count} wait at "${point}"`, waits, withinMs);
  }

  // --- clients -------------------------------------------------------------------------------------------------

  /** The data access of another backend. */
  access<B extends Backend>(backend: B): Promise<DataAccess<B>> {
    return this.sites.access(backend, { writers: 16, readers: 4 });
  }

  /** Writes, or deletes with null; remembers how it ended. True if it was acknowledged; a node that is down refuses. */
  async write(key: string, value: string | null, timeoutMs = 5_000): Promise<boolean> {
    const history = this.#historyOf(key);
    history.unknown.add(value);
    try {
      const { call } = this.#opened();
      const bytes = new TextEncoder().encode(value ?? "");
      await this.alive(
        value === null ? call.delete({ key }, { timeoutMs }) : call.put({ key, value: bytes }, { timeoutMs }),
      );
    } catch (error) {
      if (!(error instanceof NanoError)) throw error;
      const unknown = ["timeout", "crashed", "noproc", "canceled"].includes(error.code);
      if (!unknown) history.unknown.delete(value);
      return false;
    }
    history.unknown.delete(value);
    history.acknowledged = value;
    return true;
  }

  async read(key: string): Promise<string | null> {
    const bytes = await this.alive(this.#opened().call.get({ key }));
    return bytes === null ? null : new TextDecoder().decode(bytes);
  }

  /** Keys whose authority does not hold what was acknowledged last, nor a value whose write had no answer. */
  lost(): string[] {
    return [...this.#history].filter(([key, history]) => this.#isLost(key, history)).map(([key]) => key);
  }

  // --- the migration -------------------------------------------------------------------------------------------

  /** Starts it; it goes on by itself. `paths`: see Sites.migrationPlan. */
  async migrate(paths: Readonly<Record<string, readonly Site[]>> = {}): Promise<void> {
    await this.alive(this.sites.migration.call.run(this.sites.migrationPlan(paths)));
  }

  /** Every cohort makes marks and everything was copied, but no prefix moves. */
  async copied(): Promise<void> {
    const plan = this.sites.migrationPlan({}, { movesFromMs: Number.MAX_SAFE_INTEGER });
    await this.sites.migration.call.run(plan);
    await this.phase("ready");
  }

  /** Runs the world until the migration is in this phase. */
  async phase(wanted: string, withinMs = 60_000): Promise<void> {
    const migration = "A/db_migration";
    const reached = (): boolean =>
      (this.node.stateOf(migration) as { phase?: string } | undefined)?.phase === wanted;
    await this.world.eventually(`phase ${wanted}`, reached, withinMs);
  }

  /** Moves one prefix now. */
  move(prefix: string, from: Site = "A", to: Site = "B") {
    const plan = this.sites.migrationPlan().prefixes.find((each) => each.prefix === prefix);
    if (plan === undefined) throw new NanoError("bad_argument", `no prefix ${prefix}`, { field: "prefix" });
    const move = { prefix, cohorts: plan.cohorts, from, to };
    return this.alive(this.sites.failover.call.move(move, { timeoutMs: 600_000 }));
  }

  /** Runs the world until nothing is dirty but what db_perror holds. */
  async settled(withinMs = 60_000): Promise<void> {
    await this.world.eventually("nothing is dirty", () => this.dirty() === 0, withinMs);
  }

  /** Marks and ranges of both sites, but for db_perror's; more than 0 while a ledger restarts. */
  dirty(): number {
    let dirty = 0;
    for (const site of names) {
      for (let shard = 0; shard < this.shards; shard++) {
        const ledger = this.ledger(site, shard);
        if (ledger === undefined) return 1;
        const { marks, perror } = ledger.counts();
        dirty += marks - perror + ledger.ranges().length;
      }
    }
    return dirty;
  }

  // --- what stands where ---------------------------------------------------------------------------------------

  ledger(site: Site, shard = 0): Ledger | undefined {
    return this.#ledgerState(site, shard)?.ledger;
  }

  files(site: Site, shard = 0): MemoryFiles {
    const place = `${site}/${shard}`;
    let files = this.#files.get(place);
    if (files === undefined) {
      files = new MemoryFiles();
      this.#files.set(place, files);
    }
    return files;
  }

  row(site: Site, key: RowKey): Row | undefined {
    const { backend, key: plain } = splitRowKey(key);
    const bytes = this.files(site, shardOf(backend, plain, this.shards)).rows.get(key);
    return bytes === undefined ? undefined : decodeRow(key, bytes);
  }

  /** What a side shows for a key of device_platform; null: nothing. */
  shown(site: Site, key: string): string | null {
    const value = this.row(site, rowKey(devicePlatform.name, key))?.value;
    return value === undefined || value === null ? null : new TextDecoder().decode(value);
  }

  authority(row: RowKey): Authority {
    const { backend, key } = splitRowKey(row);
    const [record] = this.control.listNow(`cohort/${this.#cohortOf(backend, key)}`);
    if (record === undefined) throw new NanoError("config", `no cohort for ${key}`);
    const decisions = this.control.listNow("decision/").map(({ value }) => value as DecisionRecord);
    return authorityOf(record.value as CohortRecord, decisions);
  }

  // --- oracles -------------------------------------------------------------------------------------------------

  /** Rows that the two sides show differently, of all rows. */
  differing(): RowKey[] {
    const keys = new Set<RowKey>();
    for (const files of this.#files.values()) for (const key of files.rows.keys()) keys.add(key);
    return [...keys].filter((key) => this.#differs(key));
  }

  /** I1 over all rows: those that differ and that nothing stands for. Only while the ledgers are up. */
  unaccounted(): RowKey[] {
    return this.differing().filter((key) => this.#isUnaccounted(key));
  }

  /** I1 after each event, from now on; the list it returns grows with each key that is ever unaccounted for. */
  watchUnaccounted(): RowKey[] {
    const found: RowKey[] = [];
    for (const key of this.differing()) this.#suspects.add(key);
    this.world.afterEachEvent(() => {
      for (const key of this.#suspects) {
        if (!this.#differs(key)) this.#suspects.delete(key);
        else if (this.#isUnaccounted(key) && !found.includes(key)) found.push(key);
      }
    });
    return found;
  }

  #differs(key: RowKey): boolean {
    return compareRows(this.row("A", key), this.row("B", key), this.world.nowMs) !== "equal";
  }

  /** Before its cohort is live nothing is promised; while a ledger restarts nothing is known. */
  #isUnaccounted(key: RowKey): boolean {
    const { backend, key: plain } = splitRowKey(key);
    const [cohort] = this.control.listNow(`cohort/${this.#cohortOf(backend, plain)}`);
    if ((cohort?.value as CohortRecord | undefined)?.phase !== "live") return false;
    const { site } = this.authority(key);
    const ledger = this.#ledgerState(site, shardOf(backend, plain, this.shards));
    if (ledger === undefined) return false;
    return !this.#isHeld(site, key) && ledger.ledger.account(key) === "none";
  }

  #isHeld(site: Site, key: RowKey): boolean {
    const { backend, key: plain } = splitRowKey(key);
    return this.#ledgerState(site, shardOf(backend, plain, this.shards))?.held.has(key) === true;
  }

  #ledgerState(site: Site, shard: number) {
    return this.node.stateOf(this.name(site, "db_dirty_keys", shard)) as
      | { readonly ledger: Ledger; readonly held: ReadonlyMap<RowKey, string> }
      | undefined;
  }

  #isLost(key: string, { acknowledged, unknown }: History): boolean {
    if (acknowledged === undefined) return false;
    const row = rowKey(devicePlatform.name, key);
    const { site } = this.authority(row);
    // A held key is refused where it is served now; its value waits on the other side for an operator.
    const shown = this.shown(this.#isHeld(site, row) ? otherSite(site) : site, key);
    return shown !== acknowledged && !unknown.has(shown);
  }

  #historyOf(key: string): History {
    let history = this.#history.get(key);
    if (history === undefined) {
      history = { acknowledged: undefined, unknown: new Set() };
      this.#history.set(key, history);
    }
    return history;
  }

  #opened(): DataAccess<typeof devicePlatform> {
    if (this.#access === undefined) throw new NanoError("unavailable", "the sites are down");
    return this.#access;
  }

  #resources(thread: Parameters<NonNullable<Parameters<World["node"]>[1]>["resources"] & object>[0]) {
    const indexedBackends = builtInBackends.filter(({ kind }) => kind.indexed).map(({ name }) => name);
    const watch = {
      points: this.points,
      onApplied: (_site: Site, keys: readonly RowKey[]) => {
        for (const key of keys) this.#suspects.add(key);
      },
    };
    return {
      backends: builtInBackends,
      control: this.control,
      disk: pausingDisk(this.disk.mounted(thread), this.points, thread),
      network: this.network,
      stores: {
        open: (site: Site, shard: number) =>
          openSimStore(site, this.files(site, shard), thread, watch, {
            newStoreId: `${site}/${shard}`,
            indexedBackends,
          }),
      },
    };
  }
}

function otherSite(site: Site): Site {
  return site === "A" ? "B" : "A";
}

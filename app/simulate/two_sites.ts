/**
 * Two sites in a simulated world, on one node or on several each, with everything that a scenario needs: clients that
 * remember what was acknowledged, faults between the sites, pause points, crashes, and the oracles. Production actors,
 * unchanged; a negative twin replaces some of them by name.
 *
 * Site A serves at first. Stores, control store and disks outlive the nodes.
 */

import type { Backend } from "../../actors/backends/backend.ts";
import { devicePlatform } from "../../actors/backends/device_platform.ts";
import type { FeedRecord } from "../../actors/change_feed.ts";
import { cohortFinder } from "../../actors/cohorts.ts";
import { compareRows } from "../../actors/compare.ts";
import {
  type Authority,
  authorityOf,
  type CohortRecord,
  controlKeys,
  type DecisionRecord,
} from "../../actors/control_store.ts";
import type { DataAccess, DataAccessOptions } from "../../actors/data_access.ts";
import type { Ledger } from "../../actors/ledger.ts";
import { type Row, type RowKey, rowKey, type Site, shardOf, splitRowKey } from "../../actors/records.ts";
import { type ShardProcess, shardProcess } from "../../actors/shard_options.ts";
import type { Sites } from "../../actors/sites.ts";
import type { ApplyGroup } from "../../actors/store_messages.ts";
import { MemoryFiles } from "../../actors/stores/memory.ts";
import { MemorySource } from "../../actors/stores/memory_source.ts";
import { decodeRow } from "../../actors/stores/row_codec.ts";
import { NanoError } from "../../src/index.ts";
import {
  PausePoints,
  type SimulatedDisk,
  type SimulatedNode,
  type World,
} from "../../src/simulation/index.ts";
import { Accounting, type LedgerState } from "./accounting.ts";
import { Acknowledged } from "./acknowledged.ts";
import { SimControl } from "./sim_control.ts";
import type { Network, Weather } from "./sim_link.ts";
import type { StoreMood } from "./sim_store.ts";
import { nodeNames, SiteNode, type SiteNodeOptions, type Surroundings, siteNames } from "./site_node.ts";

export interface WorldOptions extends SiteNodeOptions {
  /** Of each site: A1, A2, ..., B1, ...; its shards are spread over them. 0, the default: one node for all. */
  readonly nodesPerSite?: number;
}

export class TwoSites implements Surroundings {
  readonly world: World;
  readonly points = new PausePoints();
  readonly control = new SimControl(this.points);
  readonly network: Network;
  readonly nodes: readonly SiteNode[];
  /** Hears of each fault of a store that changed what became of a call. */
  onStoreFault: ((fault: string) => void) | undefined;
  /** Hears of what a store is asked to apply. */
  onApply: ((groups: readonly ApplyGroup[]) => void) | undefined;
  readonly accounting: Accounting;
  /** Site A, if others write it. */
  readonly foreign: MemorySource | undefined;
  readonly #options: WorldOptions;
  readonly #files = new Map<string, MemoryFiles>();
  readonly #moods = new Map<string, StoreMood>();
  readonly #cohortOf;
  readonly #acknowledged = new Acknowledged();
  /** By site and shard: asked after each event, so the names are made once. */
  readonly #ledgerPlaces: Readonly<
    Record<Site, readonly { readonly node: SiteNode; readonly name: string }[]>
  >;
  #authorities = new Map<string, Authority>();
  #authoritiesAt = -1;

  private constructor(world: World, options: WorldOptions) {
    this.world = world;
    this.#options = options;
    this.#cohortOf = cohortFinder(this.prefixes);
    const calm = (): Weather => ({ delayMs: 0, failShare: 0, down: false, rejected: new Set() });
    this.network = {
      points: this.points,
      weather: { A: calm(), B: calm() },
      applies: { A: 0, B: 0 },
      onRequest: undefined,
      onFault: undefined,
      onApply: undefined,
    };
    this.accounting = new Accounting(siteNames, this.shards, {
      nowMs: () => this.world.wallMs,
      row: (site, key) => this.row(site, key),
      shardOf: (key) => this.shardOf(key),
      servedAt: (key) => (this.#isInFeed(key) ? undefined : this.#servedAt(key)),
      ledger: (site, shard) => {
        const state = this.#ledgerState(site, shard);
        return state?.termsKnown === true ? state : undefined;
      },
      controlChanges: () => this.control.changes,
    });
    if (options.foreign === true) {
      this.foreign = new MemorySource({ shards: this.shards, prefixes: this.prefixes });
      this.foreign.onChange = (key) => this.accounting.touch(key);
    }
    this.nodes = this.#nodeNames().map((name) => new SiteNode(name, this, options));
    const ledgersOf = (site: Site) =>
      Array.from({ length: this.shards }, (_, shard) => ({
        node: this.#hosting(site, shard),
        name: this.name(site, "db_dirty_keys", shard),
      }));
    this.#ledgerPlaces = { A: ledgersOf("A"), B: ledgersOf("B") };
  }

  /** Both sites serve, nothing is migrated yet. */
  static async start(world: World, options: WorldOptions = {}): Promise<TwoSites> {
    const sites = TwoSites.of(world, options);
    await sites.restart();
    return sites;
  }

  /** No node runs yet: see `restart`. */
  static of(world: World, options: WorldOptions): TwoSites {
    return new TwoSites(world, options);
  }

  get shards(): number {
    return this.#options.shards ?? 1;
  }

  get prefixes(): readonly string[] {
    return this.#options.prefixes ?? ["+49", "+33"];
  }

  /** The first node: the only one, unless `nodesPerSite` says otherwise. */
  get node(): SimulatedNode {
    return this.#first.node;
  }

  get sites(): Sites {
    return this.#first.sites;
  }

  get disk(): SimulatedDisk {
    return this.#first.disk;
  }

  get #first(): SiteNode {
    const [first] = this.nodes;
    if (first === undefined) throw new NanoError("unavailable", "there is no node");
    return first;
  }

  /** What others write at site A. */
  get source(): MemorySource {
    if (this.foreign === undefined) throw new NanoError("bad_argument", "nobody else writes here");
    return this.foreign;
  }

  /** The way from a site to its peer, to be made worse. */
  weather(site: Site): Weather {
    const weather = this.network.weather[site];
    if (weather === undefined) throw new NanoError("bad_argument", `no site ${site}`, { field: "site" });
    return weather;
  }

  // --- nodes ---------------------------------------------------------------------------------------------------

  #nodeNames(): string[] {
    const perSite = this.#options.nodesPerSite ?? 0;
    return perSite === 0 ? ["n"] : nodeNames(perSite);
  }

  placeOf(site: Site, shard: number): string {
    const perSite = this.#options.nodesPerSite ?? 0;
    return perSite === 0 ? "n" : `${site}${1 + (shard % perSite)}`;
  }

  nodeOf(name: string): string | undefined {
    const [site = "", place = ""] = name.split("/");
    if (site.startsWith("mirror@")) return site.slice("mirror@".length);
    if (/^\d+$/.test(place)) return this.placeOf(site, Number(place));
    return place === "db_migration" || place === "db_failover" ? this.#first.name : undefined;
  }

  siteNode(name: string): SiteNode {
    const found = this.nodes.find((node) => node.name === name);
    if (found === undefined) throw new NanoError("bad_argument", `no node ${name}`, { field: "name" });
    return found;
  }

  /** Every node dies at once; `powerLoss`: what the disks had not synced may be gone, too. */
  crash(options: { readonly powerLoss: boolean } = { powerLoss: false }): void {
    for (const node of this.nodes) node.crash(options);
  }

  /** Every node ends as it should. */
  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }

  /** Every node that is down starts again. */
  async restart(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.restart()));
  }

  /** The registered name of a shard's process. */
  name(site: Site, process: ShardProcess, shard = 0): string {
    return shardProcess(site, shard, process);
  }

  kill(site: Site, process: ShardProcess, shard = 0): boolean {
    return this.#hosting(site, shard).node.kill(this.name(site, process, shard));
  }

  #hosting(site: Site, shard: number): SiteNode {
    return this.siteNode(this.placeOf(site, shard));
  }

  /** An answer of the first node, or `crashed` when it dies first. */
  alive<T>(answer: Promise<T>): Promise<T> {
    return this.#first.alive(answer);
  }

  /** Runs the world until at least `count` passes wait at a pause point. */
  async reached(point: string, count = 1, withinMs = 10_000): Promise<void> {
    const waits = (): boolean => this.points.parked(point) >= count;
    await this.world.eventually(`${count} wait at "${point}"`, waits, withinMs);
  }

  // --- clients -------------------------------------------------------------------------------------------------

  /** The data access of a backend, on the first node. */
  access<B extends Backend>(backend: B, options?: DataAccessOptions): Promise<DataAccess<B>> {
    return this.#first.access(backend, options);
  }

  /**
   * Writes, or deletes with null, from the first node or another; remembers how it ended. True if it was acknowledged;
   * a node that is down refuses.
   */
  write(key: string, value: string | null, timeoutMs = 5_000, node = this.#first): Promise<boolean> {
    return this.#acknowledged.write(key, value, async () => {
      const { call } = await node.access(devicePlatform);
      const bytes = new TextEncoder().encode(value ?? "");
      await node.alive(
        value === null ? call.delete({ key }, { timeoutMs }) : call.put({ key, value: bytes }, { timeoutMs }),
      );
    });
  }

  async read(key: string): Promise<string | null> {
    const { call } = await this.access(devicePlatform);
    const bytes = await this.alive(call.get({ key }));
    return bytes === null ? null : new TextDecoder().decode(bytes);
  }

  /** Keys whose authority does not hold what was acknowledged last, nor a value whose write had no answer. */
  lost(): string[] {
    return this.#acknowledged.lost((key) => {
      const row = rowKey(devicePlatform.name, key);
      const { site } = this.authority(row);
      // A held key is refused where it is served now; its value waits on the other side for an operator.
      return this.shown(this.#isHeld(site, row) ? otherSite(site) : site, key);
    });
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
    for (const site of siteNames) {
      for (let shard = 0; shard < this.shards; shard++) {
        const ledger = this.ledger(site, shard);
        if (ledger === undefined) return 1;
        const { marks, perror } = ledger.counts();
        dirty += marks - perror + ledger.ranges().length;
      }
    }
    return dirty;
  }

  /** Keys that a sender has in hand. */
  lanes(): number {
    let lanes = 0;
    for (const site of siteNames)
      for (let shard = 0; shard < this.shards; shard++) lanes += this.ledger(site, shard)?.lanes ?? 0;
    return lanes;
  }

  // --- what stands where ---------------------------------------------------------------------------------------

  ledger(site: Site, shard = 0): Ledger | undefined {
    return this.#ledgerState(site, shard)?.ledger;
  }

  /** Keys that a site holds for reconciliation. */
  held(site: Site, shard = 0): number {
    return this.#ledgerState(site, shard)?.held.size ?? 0;
  }

  /** The state of a shard's process at this instant; undefined while it is down or starts. */
  stateOf(site: Site, process: ShardProcess, shard = 0): unknown {
    return this.#hosting(site, shard).simulated?.stateOf(this.name(site, process, shard));
  }

  files(site: Site, shard = 0): MemoryFiles {
    const place = `${site}/${shard}`;
    let files = this.#files.get(place);
    if (files === undefined) {
      files = site === "A" && this.foreign !== undefined ? this.foreign.files(shard) : new MemoryFiles();
      this.#files.set(place, files);
    }
    return files;
  }

  /** How a shard's store is, to be made worse. */
  mood(site: Site, shard = 0): StoreMood {
    const place = `${site}/${shard}`;
    let mood = this.#moods.get(place);
    if (mood === undefined) {
      mood = { slowMs: 0, failShare: 0 };
      this.#moods.set(place, mood);
    }
    return mood;
  }

  shardOf(row: RowKey): number {
    const { backend, key } = splitRowKey(row);
    return shardOf(backend, key, this.shards);
  }

  row(site: Site, key: RowKey): Row | undefined {
    const bytes = this.files(site, this.shardOf(key)).rows.get(key);
    return bytes === undefined ? undefined : decodeRow(key, bytes);
  }

  /** What a side shows for a key of device_platform; null: nothing. */
  shown(site: Site, key: string): string | null {
    const value = this.row(site, rowKey(devicePlatform.name, key))?.value;
    return value === undefined || value === null ? null : new TextDecoder().decode(value);
  }

  authority(row: RowKey): Authority {
    const { backend, key } = splitRowKey(row);
    const cohort = this.#cohortOf(backend, key);
    if (this.#authoritiesAt !== this.control.changes) {
      this.#authorities = new Map();
      this.#authoritiesAt = this.control.changes;
    }
    let found = this.#authorities.get(cohort);
    if (found === undefined) {
      const record = this.#cohort(row);
      if (record === undefined) throw new NanoError("config", `no cohort for ${key}`);
      found = authorityOf(record, this.#decisions());
      this.#authorities.set(cohort, found);
    }
    return found;
  }

  /** Some cohort is served there, or a decision that is open would move one there. */
  serves(site: Site): boolean {
    const decisions = this.#decisions();
    const cohorts = this.control.listNow("cohort/").map(({ value }) => value as CohortRecord);
    const isWanted = decisions.some(({ to, endedAtMs }) => to === site && endedAtMs === 0);
    return isWanted || cohorts.some((record) => authorityOf(record, decisions).site === site);
  }

  #decisions(): DecisionRecord[] {
    return this.control.listNow("decision/").map(({ value }) => value as DecisionRecord);
  }

  #cohort(row: RowKey): CohortRecord | undefined {
    const { backend, key } = splitRowKey(row);
    const cohort = `cohort/${this.#cohortOf(backend, key)}`;
    return this.control.getNow(cohort)?.value as CohortRecord | undefined;
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
    return this.differing().filter((key) => this.accounting.account(this.shardOf(key), key) === "none");
  }

  /** I1 after each event, from now on; what it returns grows with each key that is ever unaccounted for. */
  watchUnaccounted(): readonly RowKey[] {
    for (const key of this.differing()) this.accounting.touch(key);
    this.world.afterEachEvent(() => this.accounting.check());
    return this.accounting.found;
  }

  #differs(key: RowKey): boolean {
    return compareRows(this.row("A", key), this.row("B", key), this.world.wallMs) !== "equal";
  }

  /** A change that others made and that the feed has still to tell: nothing stands for it before. */
  #isInFeed(key: RowKey): boolean {
    if (this.foreign === undefined) return false;
    const followed = this.control.getNow(controlKeys.feed("A", this.shardOf(key)))?.value;
    return followed === undefined || this.foreign.changedAfter((followed as FeedRecord).position, key);
  }

  #servedAt(key: RowKey): Site | undefined {
    return this.#cohort(key)?.phase === "live" ? this.authority(key).site : undefined;
  }

  #isHeld(site: Site, key: RowKey): boolean {
    return this.#ledgerState(site, this.shardOf(key))?.held.has(key) === true;
  }

  #ledgerState(site: Site, shard: number): LedgerState | undefined {
    const place = this.#ledgerPlaces[site]?.[shard];
    return place?.node.simulated?.stateOf(place.name) as LedgerState | undefined;
  }
}

function otherSite(site: Site): Site {
  return site === "A" ? "B" : "A";
}

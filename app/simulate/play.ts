/**
 * One play of the swarm: clients and faults beside a whole migration of two data centres, on production actors in
 * virtual time. The oracles watch all along; when the faults have stopped, everything must come to rest.
 */

import { blocklist } from "../../actors/backends/blocklist.ts";
import { devicePlatform } from "../../actors/backends/device_platform.ts";
import { publicKeys } from "../../actors/backends/public_keys.ts";
import { rowKey } from "../../actors/records.ts";
import type { SitesOptions } from "../../actors/sites.ts";
import { encodeRow } from "../../actors/stores/row_codec.ts";
import { consistentHash, NanoError, stickyQueue } from "../../src/index.ts";
import {
  SimulationError,
  type SimulationReport,
  simulateSeed,
  type World,
} from "../../src/simulation/index.ts";
import { type ClientCounts, Clients } from "./clients.ts";
import { Histories } from "./histories.ts";
import { mirrorsOf } from "./mirrors.ts";
import { Observer, type Sometimes } from "./observer.ts";
import { faultsOf, operationsOf, type SwarmPlan } from "./plan.ts";
import { prefixes } from "./prefixes.ts";
import type { OpenAccess } from "./site_node.ts";
import { Storm } from "./storm.ts";
import { TwoSites } from "./two_sites.ts";

export interface Findings {
  /** What is wrong, in words; empty: every promise was kept. */
  readonly faults: readonly string[];
  /** Faults that changed an outcome, by what they did. */
  readonly effects: Readonly<Record<string, number>>;
  readonly reached: readonly Sometimes[];
  readonly clients: ClientCounts;
}

export interface Broken {
  readonly replaced?: NonNullable<SitesOptions["replaced"]>;
  readonly replacedCoordinators?: NonNullable<SitesOptions["replacedCoordinators"]>;
  readonly openAccess?: OpenAccess;
}

/** When the faults have stopped, everything comes to rest within this, virtual ms: backoffs, rechecks, second moves. */
const restMs = 30_000;

/** The operator looks whether the migration runs, ms. */
const operatorMs = 50;

const backends = [devicePlatform, blocklist, publicKeys];

/** Never rejects because of what the actors do: that is a finding. */
export async function play(plan: SwarmPlan, broken: Broken = {}): Promise<SimulationReport<Findings>> {
  const { seed, order } = plan;
  return simulateSeed({ seed, order }, (world) => new Play(world, plan).run(broken));
}

/** Every event of a play, a line each. */
export async function tracePlay(plan: SwarmPlan): Promise<readonly string[]> {
  const { seed, order } = plan;
  let lines: readonly string[] = [];
  const options = { seed, order, traceLinesMax: Number.POSITIVE_INFINITY };
  await simulateSeed(options, async (world) => {
    const ended = new Play(world, plan).run({});
    await ended.catch(() => undefined);
    lines = world.timeline.trace.lines();
  });
  return lines;
}

class Play {
  readonly #world: World;
  readonly #plan: SwarmPlan;
  #ended = false;

  constructor(world: World, plan: SwarmPlan) {
    this.#world = world;
    this.#plan = plan;
  }

  async run(broken: Broken): Promise<Findings> {
    const { topology, settings, clients: held } = this.#plan;
    const histories = new Histories(this.#skewMs());
    const sites = TwoSites.of(this.#world, {
      ...topology,
      prefixes,
      backends,
      tuning: settings.tuning,
      skewMs: (node) => settings.skewMs[node] ?? 0,
      workers: {
        routing: settings.routing === "sticky_queue" ? stickyQueue() : consistentHash(),
        writers: settings.writers,
      },
      ...(settings.mirror === undefined ? {} : mirrorsOf(topology, settings.mirror)),
      ...broken,
    });
    const clients = new Clients(sites, held, histories);
    const storm = new Storm(sites, this.#plan, clients);
    const observer = new Observer(sites, settings, backends);
    observer.onDecided = (state) => storm.decided(state);
    storm.onRehearsed = () => observer.rehearsed();
    clients.onRefused = (error) => observer.refused(error);
    preload(sites, histories);
    await sites.restart();
    const unaccounted = sites.watchUnaccounted();
    const operated = this.#operate(sites);
    const unrest = await this.#storm(sites, clients, storm);
    this.#ended = true;
    observer.end();
    await operated;
    clients.readFinally((register) => shownWhereServed(sites, register, () => observer.expired()));
    const faults = [
      ...unrest,
      ...observer.faults,
      ...unaccounted.map((key) => `${key} differed with neither mark nor range`),
      ...sites.unaccounted().map((key) => `${key} differs in the end`),
      ...histories.faults(),
    ];
    return { faults, effects: storm.effects, reached: [...observer.reached], clients: clients.counts };
  }

  /** Says that the migration is to run, whenever its coordinator does not know: whoever runs the process does so. */
  async #operate(sites: TwoSites): Promise<void> {
    const { reversed } = this.#plan.settings;
    const paths = Object.fromEntries(reversed.map((prefix) => [prefix, ["B", "A", "B"]]));
    const [first] = sites.nodes;
    while (!this.#ended) {
      const state = first?.simulated?.stateOf("A/db_migration") as { plan: unknown } | undefined;
      if (first?.isUp === true && state !== undefined && state.plan === undefined) {
        await sites.migrate(paths).catch(() => undefined);
      }
      await this.#world.sleep(operatorMs);
    }
  }

  /** Returns why it did not come to rest afterwards, if it did not. */
  async #storm(sites: TwoSites, clients: Clients, storm: Storm): Promise<string[]> {
    try {
      await Promise.all([clients.run(operationsOf(this.#plan)), storm.run()]);
      await storm.heal();
      await sites.phase("swapped", restMs);
      await sites.settled(restMs);
      // A key that db_perror got last is in flight for a moment more.
      await this.#world.eventually("no lane is held", () => sites.lanes() === 0, restMs);
      return [];
    } catch (error) {
      if (!(error instanceof SimulationError || error instanceof NanoError)) throw error;
      return [`it did not come to rest: ${error.message.split("\n")[0]}`];
    }
  }

  /** How far a clock may be from the world's: what it is set to, and all its jumps. */
  #skewMs(): number {
    const { settings } = this.#plan;
    const faults = faultsOf(this.#plan);
    const skews = Object.entries(settings.skewMs).map(([node, skewMs]) => {
      const jumps = faults.filter((fault) => fault.type === "clock" && fault.node === node);
      return jumps.reduce(
        (sum, fault) => sum + (fault.type === "clock" ? Math.abs(fault.jumpMs) : 0),
        Math.abs(skewMs),
      );
    });
    return Math.max(0, ...skews);
  }
}

/** Rows from before: some that are only at A, some that B has in an older state. */
function preload(sites: TwoSites, histories: Histories): void {
  for (const prefix of prefixes) {
    for (let n = 100; n < 104; n++) {
      const register = rowKey(devicePlatform.name, `${prefix}${n}`);
      const value = `before ${n}`;
      const row = { key: register, version: [0, 0, 0] as const, expiresAtMs: 0 };
      const shard = sites.shardOf(register);
      sites
        .files("A", shard)
        .rows.set(register, encodeRow({ ...row, value: new TextEncoder().encode(value) }));
      const stale = { ...row, value: new TextEncoder().encode("stale") };
      if (n % 2 === 0) sites.files("B", shard).rows.set(register, encodeRow(stale));
      histories.before(register, value);
    }
  }
}

/** Undefined for a key that waits for an operator: its value is refused where it is served. */
function shownWhereServed(
  sites: TwoSites,
  register: string,
  onExpired: () => void,
): string | null | undefined {
  const { site } = sites.authority(register);
  if (sites.accounting.account(sites.shardOf(register), register) === "held") return undefined;
  const row = sites.row(site, register);
  if (row === undefined || row.value === null) return null;
  if (row.expiresAtMs > 0 && row.expiresAtMs <= sites.world.wallMs) {
    onExpired();
    return null;
  }
  return new TextDecoder().decode(row.value);
}

/**
 * Does what a plan's faults say, counts those that changed an outcome, and in the end makes everything whole again.
 * What is made worse for a while gets well by itself; a node that crashed is started until it is up.
 */

import { devicePlatform } from "../../actors/backends/device_platform.ts";
import type { DecisionState } from "../../actors/control_store.ts";
import { rowKey } from "../../actors/records.ts";
import { shardProcess } from "../../actors/shard_options.ts";
import { NanoError } from "../../src/index.ts";
import type { NetworkWay } from "../../src/simulation/index.ts";
import type { Clients } from "./clients.ts";
import { type Fault, faultsOf, type Moment, type SwarmPlan } from "./plan.ts";
import { nodeNames, type SiteNode } from "./site_node.ts";
import type { TwoSites } from "./two_sites.ts";

type FaultOf<Type extends Fault["type"]> = Extract<Fault, { readonly type: Type }>;

/** Between two tries to start a node, ms. */
const restartPauseMs = 30;

/** By then every fault has ended, and a node starts unless something keeps it from that for good. */
const startMsMax = 10_000;

const healthyWay: Pick<NetworkWay, "lossShare" | "repeatShare" | "reorderShare"> = {
  lossShare: 0,
  repeatShare: 0,
  reorderShare: 0,
};

/** Requests of the store contract: versions make each of them safe to take twice. */
const repeatable: ReadonlySet<string> = new Set([
  "apply",
  "get",
  "peek",
  "peekEncoded",
  "fence",
  "fences",
  "identity",
]);

export class Storm {
  /** How often each fault changed what became of something. */
  readonly effects: Record<string, number> = {};
  onRehearsed: (() => void) | undefined;
  readonly #sites: TwoSites;
  readonly #plan: SwarmPlan;
  readonly #clients: Clients;
  /** Ends what lasts, by what it is about: a new one takes the place of the old. */
  readonly #lasting = new Map<string, () => void>();

  readonly #awaited = new Map<DecisionState, (() => void)[]>();

  constructor(sites: TwoSites, plan: SwarmPlan, clients: Clients) {
    this.#sites = sites;
    this.#plan = plan;
    this.#clients = clients;
    const { network } = sites.world;
    network.mayRepeat = (name, method) => name.endsWith("/db_store") && repeatable.has(method);
    network.onFault = (fault) => this.#count(`message ${fault}`);
    sites.network.onFault = (_site, fault) => {
      if (fault !== "link slow") this.#count(fault);
    };
    sites.onStoreFault = (fault) => {
      if (fault !== "store slow") this.#count(fault);
    };
    for (const node of sites.nodes) {
      node.controlWay.onFault = () => this.#count("control failed");
      node.disk.onFault = (fault) => this.#count(fault);
    }
  }

  /** Resolves when the last fault has been made and every node that crashed is up. */
  async run(): Promise<void> {
    const { world } = this.#sites;
    const startMs = world.nowMs;
    await Promise.all(
      faultsOf(this.#plan).map(async (fault) => {
        await world.until(startMs + fault.atMs);
        if (fault.when !== undefined) await this.#moment(fault.when);
        await this.#make(fault);
      }),
    );
  }

  /** A decision got into this state. */
  decided(state: DecisionState): void {
    for (const resolve of this.#awaited.get(state) ?? []) resolve();
    this.#awaited.delete(state);
  }

  async #moment({ state, afterMs }: Moment): Promise<void> {
    const { world } = this.#sites;
    const comes = new Promise<void>((resolve) => {
      this.#awaited.set(state, [...(this.#awaited.get(state) ?? []), resolve]);
    });
    await Promise.race([comes, world.sleep(momentMsMax)]);
    await world.sleep(afterMs);
  }

  /** Nothing is bad any more. */
  async heal(): Promise<void> {
    for (const end of [...this.#lasting.values()]) end();
    await Promise.all(this.#sites.nodes.map((node) => this.#start(node)));
  }

  #count(effect: string): void {
    this.effects[effect] = (this.effects[effect] ?? 0) + 1;
  }

  async #make(fault: Fault): Promise<void> {
    const sites = this.#sites;
    switch (fault.type) {
      case "way":
        return this.#worsenWay(fault);
      case "isolate":
        return this.#isolate(fault);
      case "reset":
        return sites.world.network.reset(fault.from, fault.to);
      case "link":
        return this.#worsenLink(fault);
      case "poison": {
        const { rejected } = sites.weather(fault.site);
        rejected.add(fault.row);
        return this.#lasts(`poison ${fault.site} ${fault.row}`, fault.forMs, () =>
          rejected.delete(fault.row),
        );
      }
      case "store": {
        const { failShare, slowMs } = fault;
        const mood = sites.mood(fault.site, fault.shard);
        Object.assign(mood, { failShare, slowMs });
        const place = `store ${fault.site}/${fault.shard}`;
        return this.#lasts(place, fault.forMs, () => Object.assign(mood, { failShare: 0, slowMs: 0 }));
      }
      case "control": {
        const { failShare, cut, writesOnly } = fault;
        const way = sites.siteNode(fault.node).controlWay;
        Object.assign(way, { failShare, cut, writesOnly });
        return this.#lasts(`control ${fault.node}`, fault.forMs, () =>
          Object.assign(way, { failShare: 0, cut: false, writesOnly: false }),
        );
      }
      case "sync fails": {
        const { faults } = sites.siteNode(fault.node).disk;
        faults.failingSyncs += fault.count;
        return this.#lasts(`sync ${fault.node}`, syncsFailMs, () => {
          faults.failingSyncs = 0;
        });
      }
      case "disk full": {
        const { disk } = sites.siteNode(fault.node);
        disk.faults.bytesMax = disk.used;
        return this.#lasts(`full ${fault.node}`, fault.forMs, () => {
          disk.faults.bytesMax = Number.POSITIVE_INFINITY;
        });
      }
      case "disk slow": {
        const { faults } = sites.siteNode(fault.node).disk;
        faults.slowMs = fault.slowMs;
        return this.#lasts(`slow ${fault.node}`, fault.forMs, () => {
          faults.slowMs = 0;
        });
      }
      case "clock": {
        const clock = sites.siteNode(fault.node).simulated?.wallClock;
        if (clock !== undefined) clock.skewMs += fault.jumpMs;
        return;
      }
      case "kill":
        if (
          this.#kill(
            sites.placeOf(fault.site, fault.shard),
            shardProcess(fault.site, fault.shard, fault.process),
          )
        )
          this.#count(`killed ${fault.process}`);
        return;
      case "kill coordinator": {
        const name = `A/${fault.process}`;
        if (this.#kill(sites.nodeOf(name) ?? "", name)) this.#count(`killed ${fault.process}`);
        return;
      }
      case "thread": {
        const node = sites.siteNode(fault.node);
        if (!node.isUp) return;
        node.node.crashThread(fault.thread);
        return this.#count("thread died");
      }
      case "crash":
        return this.#crash(fault);
      case "lose store":
        return this.#loseStore(fault);
      case "abort move":
        return this.#abortMove();
      case "rehearse":
        return this.#rehearse(fault);
      case "resize":
        return this.#resize(fault);
    }
  }

  #worsenWay({ from, to, change, forMs }: FaultOf<"way">): void {
    const { network } = this.#sites.world;
    const way = network.way(from, to);
    const { delayMs } = way;
    Object.assign(way, change);
    this.#lasts(`way ${from} ${to}`, forMs, () => {
      Object.assign(way, healthyWay, { delayMs });
      network.heal(from, to);
    });
  }

  #isolate({ node, cut, forMs }: FaultOf<"isolate">): void {
    const { network } = this.#sites.world;
    const { controlWay } = this.#sites.siteNode(node);
    const others = nodeNames(this.#plan.topology.nodesPerSite).filter((other) => other !== node);
    for (const other of others) {
      network.way(node, other).cut = cut;
      network.way(other, node).cut = cut;
    }
    controlWay.cut = true;
    this.#lasts(`isolated ${node}`, forMs, () => {
      controlWay.cut = false;
      for (const other of others) {
        network.heal(node, other);
        network.heal(other, node);
      }
    });
  }

  #worsenLink({ site, failShare, delayMs, down, forMs }: FaultOf<"link">): void {
    const weather = this.#sites.weather(site);
    Object.assign(weather, { failShare, delayMs, down });
    this.#lasts(`link ${site}`, forMs, () =>
      Object.assign(weather, { failShare: 0, delayMs: 0, down: false }),
    );
  }

  async #crash({ node: name, powerLoss, damage, forMs }: FaultOf<"crash">): Promise<void> {
    const node = this.#sites.siteNode(name);
    if (!node.isUp) return;
    node.crash({ powerLoss });
    this.#count(powerLoss ? "power lost" : "node died");
    if (damage === "wipe") {
      node.disk.wipe();
      this.#count("disk wiped");
    } else if (damage === "rot" && node.disk.used > 0) {
      node.disk.rot(name.slice(0, 1));
      this.#count("bit turned over");
    }
    await this.#sites.world.sleep(forMs);
    await this.#start(node);
  }

  async #loseStore({ site, shard, forMs }: FaultOf<"lose store">): Promise<void> {
    const sites = this.#sites;
    const node = sites.siteNode(sites.placeOf(site, shard));
    // What a side serves, or holds for an operator, may stand nowhere else.
    if (sites.serves(site) || sites.ledger(site, shard) === undefined || sites.held(site, shard) > 0) return;
    node.crash({ powerLoss: false });
    sites.files(site, shard).lose();
    this.#count("store lost");
    await sites.world.sleep(forMs);
    await this.#start(node);
  }

  async #start(node: SiteNode): Promise<void> {
    const { world } = this.#sites;
    const untilMs = world.nowMs + startMsMax;
    while (!node.isUp) {
      try {
        await node.restart();
      } catch (error) {
        // Control is not reached, say: whoever runs the process starts it again.
        node.crash({ powerLoss: false });
        if (world.nowMs > untilMs)
          throw new NanoError("timeout", `${node.name} does not start: ${String(error)}`);
        await world.sleep(restartPauseMs);
      }
    }
  }

  async #abortMove(): Promise<void> {
    const { nodes } = this.#sites;
    const [first] = nodes;
    if (first?.isUp !== true) return;
    const aborted = first.alive(first.sites.failover.call.abort("the storm says so"));
    await aborted.then(
      () => this.#count("move told to abort"),
      () => undefined,
    );
  }

  async #rehearse({ prefix }: FaultOf<"rehearse">): Promise<void> {
    const sites = this.#sites;
    const [first] = sites.nodes;
    if (first?.isUp !== true) return;
    const to = sites.authority(rowKey(devicePlatform.name, prefix)).site === "A" ? "B" : "A";
    const report = await first.alive(first.sites.rehearse(prefix, to)).catch(() => undefined);
    if (report?.outcome === "rehearsed") this.onRehearsed?.();
  }

  async #resize({ client: index, workers, times }: FaultOf<"resize">): Promise<void> {
    const client = this.#plan.clients[index];
    if (client === undefined) return;
    const sizes = [workers, this.#plan.settings.writers];
    for (let i = 0; i < times; i++) {
      // A node that dies meanwhile takes the factory along.
      await this.#clients.resize(client, sizes[i % sizes.length] ?? workers).catch(() => undefined);
      if (i + 1 < times) await this.#sites.world.sleep(resizePauseMs);
    }
  }

  #kill(node: string, process: string): boolean {
    return this.#sites.siteNode(node).simulated?.kill(process) === true;
  }

  #lasts(what: string, forMs: number, end: () => void): void {
    this.#lasting.get(what)?.();
    const ended = (): void => {
      if (this.#lasting.get(what) !== ended) return;
      this.#lasting.delete(what);
      end();
    };
    this.#lasting.set(what, ended);
    this.#sites.world.timeline.schedule(forMs, `${what} ends`, ended);
  }
}

/** Between two resizes, ms: shorter than a move. */
const resizePauseMs = 7;

/** A fault that waits for a state that does not come is made after this, ms. */
const momentMsMax = 400;

/** Syncs that were told to fail and never came fail no more after this, ms. */
const syncsFailMs = 200;

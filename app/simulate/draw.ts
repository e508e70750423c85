/**
 * Draws a plan from a seed. Each seed takes a subset of the faults, its own rates, sizes and routing: two faults that
 * hide each other's bugs meet only in some of the seeds (swarm testing, Groce et al. 2012).
 */

import { blocklist } from "../../actors/backends/blocklist.ts";
import { devicePlatform } from "../../actors/backends/device_platform.ts";
import { publicKeys } from "../../actors/backends/public_keys.ts";
import { rowKey } from "../../actors/records.ts";
import { shardProcesses } from "../../actors/shard_options.ts";
import { Chance } from "../../src/simulation/index.ts";
import {
  type BurstWrite,
  type Client,
  callsOf,
  type Fault,
  type FaultType,
  type Moment,
  type Operation,
  type SwarmPlan,
  type Topology,
  type WayChange,
} from "./plan.ts";
import { prefixes } from "./prefixes.ts";
import { nodeNames } from "./site_node.ts";

export interface Size {
  readonly topology: Pick<Topology, "nodesPerSite"> & { readonly shardsMax: number };
  /** What clients ask at least: each write of a burst is one. */
  readonly operations: number;
  /** Faults lie between the beginning and this. */
  readonly stormMs: number;
}

/** What can be played, by the name that --scenario takes. */
export const scenarios = {
  /** Two sites of two nodes: small enough for thousands of seeds a minute. */
  ordinary: { topology: { nodesPerSite: 2, shardsMax: 2 }, operations: 200, stormMs: 1_200 },
  /** Two sites of three nodes, up to six shards each, a longer storm: for the night. */
  large: { topology: { nodesPerSite: 3, shardsMax: 6 }, operations: 800, stormMs: 5_000 },
} as const satisfies Readonly<Record<string, Size>>;

export type Scenario = keyof typeof scenarios;

type CommonFault = Exclude<FaultType, "lose store" | "rehearse">;

const faultTypes: readonly CommonFault[] = [
  "way",
  "isolate",
  "reset",
  "link",
  "poison",
  "store",
  "control",
  "sync fails",
  "disk full",
  "disk slow",
  "clock",
  "kill",
  "kill coordinator",
  "thread",
  "crash",
  "abort move",
  "resize",
];

export function drawPlan(seed: number, size: Size = scenarios.ordinary): SwarmPlan {
  const chance = new Chance(seed);
  const { nodesPerSite, shardsMax } = size.topology;
  const topology: Topology = {
    nodesPerSite,
    shards: Math.max(nodesPerSite, 1 + chance.upTo(shardsMax, "shards")),
    threads: chance.share("threads") < 0.2 ? 1 : 0,
  };
  const nodes = nodeNames(topology.nodesPerSite);
  const mirror = chance.oneOf(["off", "off", "required", "degrade"] as const, "mirror");
  const skew = chance.oneOf([0, 0, 50, 400], "skew");
  const clients = drawClients(chance, nodes);
  const operations = drawOperations(chance, clients, size);
  return {
    seed,
    order: chance.oneOf(["fifo", "random", "pct"], "order"),
    topology,
    settings: {
      tuning: {
        queueMax: chance.oneOf([4, 1_000], "queueMax"),
        ledgerBytesMax: chance.oneOf([1_000, 1_000_000], "ledger"),
        sendBatchMax: chance.oneOf([2, 128], "batch"),
        crawlBatchMax: chance.oneOf([3, 64], "crawl"),
        rejectionsMax: chance.oneOf([1, 3], "rejections"),
        leaseMs: chance.oneOf([100, 300], "lease"),
      },
      routing: chance.oneOf(["sticky_queue", "consistent_hash"], "routing"),
      ...(mirror === "off" ? {} : { mirror }),
      writers: 1 + chance.upTo(3, "writers"),
      skewMs: Object.fromEntries(
        nodes.map((node) => [node, Math.round((chance.share("node skew") * 2 - 1) * skew)]),
      ),
      reversed: prefixes.filter(() => chance.share("reversed") < 0.3),
    },
    clients,
    decisions: [
      ...drawFaults(chance, { topology, clients, operations }, size),
      ...drawRare(chance, topology, size),
      ...operations,
    ],
  };
}

function drawClients(chance: Chance, nodes: readonly string[]): Client[] {
  const backends = [
    "device_platform",
    "device_platform",
    "device_platform",
    "blocklist",
    "public_keys",
  ] as const;
  return backends.map((backend) => ({ node: chance.oneOf(nodes, "client node"), backend }));
}

/** Clients go on beyond the storm: what comes after a fault finds what the fault did. */
const clientsGoOn = 1.3;

function drawOperations(
  chance: Chance,
  clients: readonly Client[],
  { operations, stormMs }: Size,
): Operation[] {
  const keys = 2 + chance.upTo(6, "keys");
  const lastMs = stormMs * clientsGoOn;
  const drawn: Operation[] = [];
  for (let calls = 0; calls < operations; ) {
    const operation = drawOperation(drawn.length);
    drawn.push(operation);
    calls += callsOf([operation]);
  }
  return drawn.sort((a, b) => a.atMs - b.atMs);

  function drawOperation(n: number): Operation {
    const client = chance.upTo(clients.length, "client");
    const at = { atMs: Math.round(chance.share("operation at") * lastMs), client };
    const number = chance.upTo(keys, "key");
    const key = `${chance.oneOf([...prefixes, "+1"], "prefix")}${100 + number}`;
    const backend = clients[client]?.backend;
    if (backend === "blocklist") return { ...at, key, ...drawRelation(chance, n) };
    if (backend === "public_keys") return { ...at, key, ...drawOneTime(chance, n) };
    return drawKeyValue(chance, n, { ...at, key });
  }
}

type Drawn<T> = T extends unknown ? Omit<T, "atMs" | "client" | "key"> : never;

function drawKeyValue(chance: Chance, n: number, at: Pick<Operation, "atMs" | "client" | "key">): Operation {
  const kind = chance.share("kv");
  if (kind < 0.1) return { ...at, type: "burst", writes: drawBurst(chance, n, at.key) };
  if (kind < 0.45) {
    const expiresInMs = chance.share("expiry") < 0.1 ? 100 + chance.upTo(1_500, "expires in") : 0;
    return { ...at, type: "put", value: `v${n}`, expiresInMs };
  }
  return { ...at, type: kind < 0.6 ? "delete" : "get" };
}

/** Of one key or of two in turn. */
function drawBurst(chance: Chance, n: number, key: string): BurstWrite[] {
  const keys = [key, `${key.slice(0, -3)}${100 + chance.upTo(4, "burst key")}`];
  const turns = 1 + chance.upTo(2, "burst keys");
  const count = 2 + chance.upTo(4, "burst");
  return Array.from({ length: count }, (_, i) => ({ key: keys[i % turns] ?? key, value: `v${n}.${i}` }));
}

function drawRelation(chance: Chance, n: number): Drawn<Operation> {
  const kind = chance.share("relation");
  const member = `+44${chance.upTo(3, "member")}00`;
  if (kind < 0.4) return { type: "add", member, value: `e${n}` };
  if (kind < 0.6) return { type: "remove", member };
  return kind < 0.8 ? { type: "has", member } : { type: "list" };
}

function drawOneTime(chance: Chance, n: number): Drawn<Operation> {
  const kind = chance.share("one time");
  if (kind < 0.3) return { type: "upload", ids: [`k${n}a`, `k${n}b`] };
  return kind < 0.9 ? { type: "take", requestId: `r${n}` } : { type: "count" };
}

function drawFaults(
  chance: Chance,
  { topology, clients, operations }: Pick<SwarmPlan, "topology" | "clients"> & Planned,
  size: Size,
): Fault[] {
  const allowed = faultTypes.filter((type) => type !== "thread" || topology.threads > 0);
  const chosen = allowed.filter(() => chance.share("fault chosen") < 0.4);
  if (chosen.length === 0) chosen.push("way");
  const count = 3 + chance.upTo(12, "faults");
  const faults = Array.from({ length: count }, (): Fault[] => {
    const at = Math.round(chance.share("fault at") * size.stormMs);
    const drawn = drawFault(chance, chance.oneOf(chosen, "fault"), at, topology, clients);
    const fault = chance.share("when") < 0.3 ? { ...drawn, when: drawMoment(chance) } : drawn;
    if (fault.type === "disk slow") return [fault, ...drawEnd(chance, fault)];
    if (fault.type === "crash" && fault.damage === "wipe") return [...drawSlowMirror(chance, fault), fault];
    if (fault.type === "store" && fault.slowMs > 0) return [fault, ...drawKill(chance, fault)];
    if (fault.type !== "poison") return [fault];
    // Several at once, so that a batch has good rows and bad ones.
    const rows = Array.from({ length: 1 + chance.upTo(4, "more poison") }, () =>
      drawRow(chance, fault, operations),
    );
    return [...new Set(rows)].map((row) => ({ ...fault, row }));
  }).flat();
  return faults.sort((a, b) => a.atMs - b.atMs);
}

/** In some seeds only, and beside what is drawn above: each would take much room from it. */
function drawRare(chance: Chance, { shards }: Topology, { stormMs }: Size): Fault[] {
  const at = (site: string): number => Math.round(chance.share(site) * stormMs);
  const faults: Fault[] = [];
  if (chance.share("store lost") < 0.1) {
    const place = {
      site: chance.oneOf(["A", "B", "B"], "lost site"),
      shard: chance.upTo(shards, "lost shard"),
    };
    faults.push({ atMs: at("store lost at"), type: "lose store", ...place, forMs: 30 });
  }
  if (chance.share("rehearsed") < 0.2)
    faults.push({
      atMs: at("rehearsed at"),
      type: "rehearse",
      prefix: chance.oneOf(prefixes, "rehearsed prefix"),
    });
  return faults;
}

interface Planned {
  readonly operations: readonly Operation[];
}

function drawMoment(chance: Chance): Moment {
  const state = chance.oneOf(["announced", "blocking", "blocking", "swapped"] as const, "moment");
  return { state, afterMs: chance.upTo(40, "after") };
}

type FaultOf<Type extends FaultType> = Extract<Fault, { readonly type: Type }>;

/** A disk that gets slow is often about to die: what waited for it then is what was not durable. */
function drawEnd(chance: Chance, { atMs, node, forMs }: FaultOf<"disk slow">): Fault[] {
  if (chance.share("slow disk dies") < 0.4) return [];
  const diesAtMs = atMs + Math.round(chance.share("slow disk dies at") * forMs);
  return [{ atMs: diesAtMs, type: "crash", node, powerLoss: true, damage: "none", forMs: 50 }];
}

/**
 * What a mirror has when its log is lost is all that is left: just before, the way there is slow, and what is marked
 * does not reach the other site.
 */
function drawSlowMirror(chance: Chance, { atMs, node, when }: FaultOf<"crash">): Fault[] {
  if (chance.share("slow mirror") < 0.5) return [];
  const site = node.slice(0, 1);
  const place = `${site}${node.endsWith("1") ? 2 : 1}`;
  const slow = { type: "way", from: node, to: place, change: { delayMs: [20, 40] } } as const;
  const silent = { type: "link", site, failShare: 0, delayMs: 0, down: true } as const;
  const before = { atMs: Math.max(0, atMs - 40), forMs: 150, ...(when === undefined ? {} : { when }) };
  return [
    { ...slow, ...before },
    { ...silent, ...before },
  ];
}

/** Somebody dies while a store is slow: what waits for it then is of an old term when it is done. */
function drawKill(chance: Chance, { atMs, site, shard, forMs, when }: FaultOf<"store">): Fault[] {
  if (chance.share("slow store, and a death") < 0.5) return [];
  const killedAtMs = atMs + Math.round(chance.share("killed at") * forMs);
  const process = chance.oneOf(["db_queuer", "db_crawler", "db_switch"] as const, "process");
  return [{ atMs: killedAtMs, type: "kill", site, shard, process, ...(when === undefined ? {} : { when }) }];
}

function drawFault(
  chance: Chance,
  type: CommonFault,
  atMs: number,
  topology: Topology,
  clients: readonly Client[],
): Fault {
  const nodes = nodeNames(topology.nodesPerSite);
  const node = chance.oneOf(nodes, "node");
  const twin = `${node.startsWith("A") ? "B" : "A"}${node.slice(1)}`;
  const others = nodes.filter((each) => each !== node);
  // The same shards live on a node and its twin: all replication goes between these two.
  const other = chance.share("twin") < 0.5 ? twin : chance.oneOf(others, "other node");
  const site = chance.oneOf(["A", "B"], "site");
  const shard = chance.upTo(topology.shards, "shard");
  const forMs = chance.oneOf([30, 150, 500], "for");
  // What is to outlast a lease.
  const forLongMs = chance.oneOf([150, 500, 800], "for long");
  switch (type) {
    case "way":
      return { atMs, type, from: node, to: other, change: drawWay(chance), forMs };
    case "isolate":
      return { atMs, type, node, cut: chance.oneOf(["drop", "hold"], "cut"), forMs: forLongMs };
    case "reset":
      return { atMs, type, from: node, to: other };
    case "link":
      return { atMs, type, site, ...drawWeather(chance), forMs: forLongMs };
    case "poison":
      return { atMs, type, site: chance.share("poisoned") < 0.7 ? "A" : "B", row: "", forMs: forLongMs };
    case "store":
      return {
        atMs,
        type,
        site,
        shard,
        failShare: chance.oneOf([0, 0.1], "fail"),
        slowMs: chance.oneOf([0, 20, 100], "slow"),
        forMs,
      };
    case "control":
      return {
        atMs,
        type,
        // The first has the coordinators.
        node: chance.share("coordinator's") < 0.3 ? "A1" : node,
        failShare: chance.oneOf([0.05, 0.2, 0.5], "fail"),
        cut: chance.share("cut") < 0.3,
        writesOnly: chance.share("writes only") < 0.5,
        forMs: forLongMs,
      };
    case "sync fails":
      return { atMs, type, node, count: 1 + chance.upTo(2, "syncs") };
    case "disk full":
      return { atMs, type, node, forMs };
    case "disk slow":
      return { atMs, type, node, slowMs: chance.oneOf([5, 40], "slow"), forMs };
    case "clock":
      return { atMs, type, node, jumpMs: chance.oneOf([-300, -40, 40, 300], "jump") };
    case "kill":
      return { atMs, type, site, shard, process: chance.oneOf(shardProcesses, "process") };
    case "kill coordinator":
      return { atMs, type, process: chance.oneOf(["db_failover", "db_migration"], "coordinator") };
    case "thread":
      return { atMs, type, node, thread: 1 + chance.upTo(topology.threads, "thread") };
    case "crash": {
      const damage = chance.oneOf(["none", "none", "none", "wipe", "rot"] as const, "damage");
      return { atMs, type, node, powerLoss: chance.share("power") < 0.5, damage, forMs: forMs / 3 };
    }
    case "abort move":
      return { atMs, type };
    case "resize":
      return {
        atMs,
        type,
        client: chance.upTo(clients.length, "client"),
        workers: 1 + chance.upTo(4, "workers"),
        times: chance.oneOf([1, 20], "times"),
      };
  }
}

/** Down, failing now and then, or only slow: what is slow is still drained, and takes its time over it. */
function drawWeather(chance: Chance): Pick<FaultOf<"link">, "failShare" | "delayMs" | "down"> {
  switch (chance.upTo(3, "weather")) {
    case 0:
      return { failShare: 0, delayMs: 0, down: true };
    case 1:
      return {
        failShare: chance.oneOf([0.2, 0.6], "fail"),
        delayMs: chance.oneOf([0, 40], "slow"),
        down: false,
      };
    default:
      return { failShare: 0, delayMs: chance.oneOf([10, 40], "slow"), down: false };
  }
}

function drawWay(chance: Chance): WayChange {
  switch (chance.upTo(6, "way")) {
    case 0:
      return { lossShare: chance.oneOf([0.1, 0.5], "loss") };
    case 1:
      return { repeatShare: 0.5 };
    case 4:
      // What arrives again does so long after.
      return { repeatShare: 0.5, delayMs: [1, 20] };
    case 2:
      return { reorderShare: 0.5 };
    case 3:
      return { cut: chance.oneOf(["drop", "hold"], "cut") };
    default:
      return { delayMs: [5, 40] };
  }
}

/** A row that somebody writes while it is poisoned: one that nobody writes is never sent. */
function drawRow(
  chance: Chance,
  { atMs, forMs }: FaultOf<"poison">,
  operations: readonly Operation[],
): string {
  const near = operations.filter((operation) => operation.atMs >= atMs && operation.atMs < atMs + forMs);
  const rows = near.flatMap(rowsOf);
  return rows.length === 0
    ? rowKey(devicePlatform.name, `${prefixes[0]}100`)
    : chance.oneOf(rows, "poisoned row");
}

function rowsOf(operation: Operation): string[] {
  const { key } = operation;
  switch (operation.type) {
    case "put":
    case "delete":
      return [rowKey(devicePlatform.name, key)];
    case "burst":
      return operation.writes.map((write) => rowKey(devicePlatform.name, write.key));
    case "add":
    case "remove":
      return [rowKey(blocklist.name, key, operation.member)];
    case "upload":
      return operation.ids.map((id) => rowKey(publicKeys.name, key, id));
    case "get":
    case "has":
    case "list":
    case "count":
    case "take":
      return [];
  }
}

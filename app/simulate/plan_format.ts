/**
 * The format of a plan in a file (`simulate --replay`): people shorten and change such files by hand, and a field that
 * is wrong must be named before anything is played.
 */

import { z } from "zod";
import { defaultTuning, shardProcesses } from "../../actors/shard_options.ts";
import type { SwarmPlan } from "./plan.ts";
import { prefixes } from "./prefixes.ts";
import { nodeNames, siteNames } from "./site_node.ts";

const ms = z.number().min(0);
const count = z.int().min(0);
const share = z.number().min(0).max(1);
const node = z.string();
const site = z.enum(siteNames);

const when = z
  .strictObject({ state: z.enum(["announced", "blocking", "swapped"]), afterMs: ms })
  .exactOptional();

const range = z.tuple([ms, ms]).readonly();

const change = z.strictObject({
  lossShare: share.exactOptional(),
  repeatShare: share.exactOptional(),
  reorderShare: share.exactOptional(),
  cut: z.enum(["drop", "hold"]).exactOptional(),
  delayMs: range.exactOptional(),
});

/** A fault of this type: `fields` beside those that each has. */
function fault<Type extends string, Fields extends z.ZodRawShape>(type: Type, fields: Fields) {
  return z.strictObject({ atMs: ms, when, type: z.literal(type), ...fields });
}

function operation<Type extends string, Fields extends z.ZodRawShape>(type: Type, fields: Fields) {
  return z.strictObject({ atMs: ms, client: count, key: z.string(), type: z.literal(type), ...fields });
}

const damage = z.enum(["none", "wipe", "rot"]);

const decision = z.discriminatedUnion("type", [
  operation("put", { value: z.string(), expiresInMs: ms }),
  operation("burst", { writes: z.array(z.strictObject({ key: z.string(), value: z.string() })) }),
  operation("delete", {}),
  operation("get", {}),
  operation("list", {}),
  operation("count", {}),
  operation("add", { member: z.string(), value: z.string() }),
  operation("remove", { member: z.string() }),
  operation("has", { member: z.string() }),
  operation("upload", { ids: z.array(z.string()) }),
  operation("take", { requestId: z.string() }),
  fault("way", { from: node, to: node, change, forMs: ms }),
  fault("isolate", { node, cut: z.enum(["drop", "hold"]), forMs: ms }),
  fault("reset", { from: node, to: node }),
  fault("link", { site, failShare: share, delayMs: ms, down: z.boolean(), forMs: ms }),
  fault("poison", { site, row: z.string(), forMs: ms }),
  fault("store", { site, shard: count, failShare: share, slowMs: ms, forMs: ms }),
  // The first plans that were written did not know of writes alone.
  fault("control", {
    node,
    failShare: share,
    cut: z.boolean(),
    writesOnly: z.boolean().default(false),
    forMs: ms,
  }),
  fault("sync fails", { node, count }),
  fault("disk full", { node, forMs: ms }),
  fault("disk slow", { node, slowMs: ms, forMs: ms }),
  fault("clock", { node, jumpMs: z.number() }),
  fault("kill", { site, shard: count, process: z.enum([...shardProcesses, "db_feed"]) }),
  fault("kill coordinator", { process: z.enum(["db_failover", "db_migration"]) }),
  fault("thread", { node, thread: z.int().min(1) }),
  fault("crash", { node, powerLoss: z.boolean(), damage, forMs: ms }),
  fault("lose store", { site, shard: count, forMs: ms }),
  fault("abort move", {}),
  fault("rehearse", { prefix: z.enum(prefixes) }),
  fault("resize", { client: count, workers: z.int().min(1), times: count }),
]);

/** Each field of the tuning is a number, but for the pauses. */
const tuning = z.strictObject({
  ...Object.fromEntries(Object.keys(defaultTuning).map((name) => [name, z.number().min(0).exactOptional()])),
  recheckMs: z.array(ms).exactOptional(),
}) as z.ZodType<SwarmPlan["settings"]["tuning"]>;

export const swarmPlan = z
  .strictObject({
    seed: z.int(),
    order: z.enum(["fifo", "random", "pct"]),
    topology: z.strictObject({ nodesPerSite: z.int().min(1), shards: z.int().min(1), threads: count }),
    settings: z.strictObject({
      tuning,
      routing: z.enum(["sticky_queue", "consistent_hash"]),
      writers: z.int().min(1),
      mirror: z.enum(["required", "degrade"]).exactOptional(),
      skewMs: z.record(z.string(), z.number()),
      reversed: z.array(z.string()),
    }),
    clients: z.array(
      z.strictObject({ node, backend: z.enum(["device_platform", "blocklist", "public_keys"]) }),
    ),
    decisions: z.array(decision),
  })
  .superRefine((plan, context) => {
    for (const { path, message } of wrongPlaces(plan))
      context.addIssue({ code: "custom", path: [...path], message });
  }) satisfies z.ZodType<SwarmPlan>;

/** What a client or a decision may name of the plan. */
interface Places {
  readonly node?: string;
  readonly from?: string;
  readonly to?: string;
  readonly shard?: number;
  readonly client?: number;
  readonly thread?: number;
}

/** Nodes, shards, clients and threads that the plan names and does not have. */
function* wrongPlaces({ topology, clients, decisions }: SwarmPlan) {
  const nodes = nodeNames(topology.nodesPerSite);
  const counts = { shard: topology.shards, client: clients.length, thread: topology.threads + 1 };
  for (const [list, named] of Object.entries({ clients, decisions })) {
    for (const [index, each] of named.entries()) {
      const places = each as Places;
      const path = (field: string) => [list, index, field];
      for (const field of ["node", "from", "to"] as const) {
        const name = places[field];
        if (name !== undefined && !nodes.includes(name))
          yield { path: path(field), message: `no node ${name}: there are ${nodes.join(", ")}` };
      }
      for (const field of ["shard", "client", "thread"] as const) {
        const number = places[field];
        if (number !== undefined && number >= counts[field])
          yield { path: path(field), message: `${number} is not below ${counts[field]}` };
      }
    }
  }
}

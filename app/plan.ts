/** `nanoactor plan`: what a configuration would do, and which of its combinations are refused. */

import { backends } from "../actors/backends/index.ts";
import { checkPlan, type Refusal } from "../actors/plan.ts";
import { NanoError } from "../src/index.ts";
import type { Config } from "./config.ts";
import { callingCodes } from "./driver/numbering_plans.ts";

export interface PlanText {
  readonly text: string;
  readonly refused: boolean;
}

export function planText(config: Config): PlanText {
  const planned = plannedBackends(config);
  const refusals = refusalsOf(config);
  const lines = [
    `${config.users} users, ${config.backends.length} backends, ` +
      `${config.shards} shards a site on ${config.threads} threads`,
    `durability ${config.durability}: ${durabilityText[config.durability]}`,
    `faults ${config.faults ? "on: slow, errors, down, poison keys, a killed thread" : "off"}`,
    ...sourceLines(config),
    ...planned.map(({ name, kind, routing }) => `  ${name} (${kind}) routed by ${routing}`),
    `phases: live, copy, validate, ready, then ${callingCodes.length} prefixes one by one`,
    ...refusals.map(({ field, message, cure }) => `REFUSED ${field}: ${message}; ${cure}`),
  ];
  return { text: lines.join("\n"), refused: refusals.length > 0 };
}

/** What the configuration combines and no promise can be kept with. */
export function refusalsOf(config: Config): Refusal[] {
  const { durability, sourceWrittenBy, sourceFeed, sourceWriteStop } = config;
  const source = { writtenBy: sourceWrittenBy, feed: sourceFeed, writeStop: sourceWriteStop };
  const refusals = checkPlan({
    backends: plannedBackends(config),
    durability,
    store: lmdbCapabilities,
    source,
  });
  return refusals.map((refusal) => ({ ...refusal, field: sourceFields[refusal.field] ?? refusal.field }));
}

/** The fields of the file that stand for those of the plan. */
const sourceFields: Readonly<Record<string, string>> = {
  "source.feed": "sourceFeed",
  "source.writeStop": "sourceWriteStop",
};

function sourceLines({ sourceWrittenBy, sourceFeed, sourceWriteStop }: Config): string[] {
  if (sourceWrittenBy === "nanoactor") return [];
  const stop = sourceWriteStop ? "its server can stop writes" : "its server can't stop writes";
  return [`the source is written by others: feed ${sourceFeed}, ${stop}`];
}

/** This command's own stores: others don't write them. */
const notHere: Refusal = {
  field: "sourceWrittenBy",
  message: "this command has no adapter of a store that others write",
  cure: "give startSites of nanoactor/db a `source`, with an adapter of your own",
};

/** What the command may run. Errors: `config` with the first refusal's field and cure. */
export function refuseUnsafe(config: Config): Config {
  const unsupported = config.sourceWrittenBy === "others" ? [notHere] : [];
  const [refusal] = [...refusalsOf(config), ...unsupported];
  if (refusal === undefined) return config;
  const { field, message, cure } = refusal;
  throw new NanoError("config", `${field}: ${message}; ${cure}`, { field, cure });
}

function plannedBackends({ backends: names, routing }: Config) {
  return names.map((name) => {
    const kind = backends[name]?.kind;
    const own = typeof routing === "string" ? routing : (routing[name] ?? "sticky_queue");
    return { name, kind: kind?.name ?? "", affinity: kind?.affinity ?? "none", routing: own };
  });
}

const durabilityText = {
  group: "writes that wait together are synced together",
  sync: "every write is synced by itself",
  os: "survives the death of the process, not of the machine",
} as const;

const lmdbCapabilities = { conditionalWrite: true, orderedScan: true, atomicBatch: true } as const;

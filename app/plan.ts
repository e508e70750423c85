/** `nanoactor plan`: what a configuration would do, and which of its combinations are refused. */

import { backends } from "../actors/backends/index.ts";
import { checkPlan } from "../actors/plan.ts";
import type { Config } from "./config.ts";
import { callingCodes } from "./driver/numbering_plans.ts";

export interface PlanText {
  readonly text: string;
  readonly refused: boolean;
}

export function planText(config: Config): PlanText {
  const routingOf = (name: string): string =>
    typeof config.routing === "string" ? config.routing : (config.routing[name] ?? "sticky_queue");
  const planned = config.backends.map((name) => {
    const backend = backends[name];
    const affinity = backend?.kind.affinity ?? "none";
    return { name, kind: backend?.kind.name ?? "", affinity, routing: routingOf(name) };
  });
  const refusals = checkPlan({ backends: planned, durability: config.durability, store: lmdbCapabilities });
  const lines = [
    `${config.users} users, ${config.backends.length} backends, ` +
      `${config.shards} shards a site on ${config.threads} threads`,
    `durability ${config.durability}: ${durabilityText[config.durability]}`,
    `faults ${config.faults ? "on: slow, errors, down, poison keys, a killed thread" : "off"}`,
    ...planned.map(({ name, kind, routing }) => `  ${name} (${kind}) routed by ${routing}`),
    `phases: live, copy, validate, ready, then ${callingCodes.length} prefixes one by one`,
    ...refusals.map(({ field, message, cure }) => `REFUSED ${field}: ${message}; ${cure}`),
  ];
  return { text: lines.join("\n"), refused: refusals.length > 0 };
}

const durabilityText = {
  group: "writes that wait together are synced together",
  sync: "every write is synced by itself",
  os: "survives the death of the process, not of the machine",
} as const;

const lmdbCapabilities = { conditionalWrite: true, orderedScan: true, atomicBatch: true } as const;

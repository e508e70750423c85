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
    ...planned.map(({ name, kind, routing }) => `  ${name} (${kind}) routed by ${routing}`),
    `phases: live, copy, validate, ready, then ${callingCodes.length} prefixes one by one`,
    ...refusals.map(({ field, message, cure }) => `REFUSED ${field}: ${message}; ${cure}`),
  ];
  return { text: lines.join("\n"), refused: refusals.length > 0 };
}

/** What the configuration combines and no promise can be kept with. */
export function refusalsOf(config: Config): Refusal[] {
  const { durability } = config;
  return checkPlan({ backends: plannedBackends(config), durability, store: lmdbCapabilities });
}

/** Errors: `config` with the first refusal's field and cure. */
export function refuseUnsafe(config: Config): Config {
  const [refusal] = refusalsOf(config);
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

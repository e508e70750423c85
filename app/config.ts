/**
 * The main job's configuration: a file (JSON), options of the command line over it, defaults beneath both. A wrong
 * field is named with its cure; an unknown one is refused. What may not change between runs of one data directory
 * is recorded there.
 */

import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import { backends } from "../actors/backends/index.ts";
import { hasCode, NanoError } from "../src/index.ts";
import { callingCodes } from "./driver/numbering_plans.ts";
import { jobFiles } from "./layout.ts";
import type { JobSettings } from "./messages.ts";

const backendNames = Object.keys(backends) as [string, ...string[]];
const routingNames = ["sticky_queue", "consistent_hash", "queue"] as const;

const backend = z.enum(backendNames, { error: `one of ${backendNames.join(", ")}` });
const routing = z.enum(routingNames, { error: `one of ${routingNames.join(", ")}` });

function whole(least: number, most: number) {
  const cure = `a whole number from ${least} to ${most}`;
  return z.int({ error: cure }).min(least, { error: cure }).max(most, { error: cure });
}

/** Its fields are listed in docs/reference/configuration.md. */
export const fileSchema = z.strictObject({
  users: whole(100, 1_000_000).default(20_000),
  seconds: whole(10, 86_400).default(80),
  seed: whole(0, 2 ** 31 - 1).default(0),
  threads: whole(0, 64).default(2),
  shards: whole(1, 256).default(2),
  backends: z
    .array(backend)
    .min(1, { error: "at least one backend" })
    .refine((names) => new Set(names).size === names.length, { error: "each backend once" })
    .default([...backendNames]),
  /** One routing for all, or one for each backend. */
  routing: z.union([routing, z.partialRecord(backend, routing)]).default("sticky_queue"),
  durability: z.enum(["group", "sync", "os"], { error: "one of group, sync, os" }).default("group"),
  faults: z.boolean({ error: "true or false" }).default(true),
  /** Of the site that everything moves from: for `plan`, which says what a store of one's own would lack. */
  sourceWrittenBy: z
    .enum(["nanoactor", "others"], { error: "one of nanoactor, others" })
    .default("nanoactor"),
  sourceFeed: z
    .enum(["none", "lossy", "gap_detecting"], { error: "one of none, lossy, gap_detecting" })
    .default("none"),
  sourceWriteStop: z.boolean({ error: "true or false" }).default(false),
});

export type Config = z.output<typeof fileSchema>;

/** Options of the command line that stand for fields of the file. */
export type ConfigOverrides = Partial<z.input<typeof fileSchema>>;

/** Errors: `config` with `details.field` and `details.cure`, one for the first field that is wrong. */
export function readConfig(file: string | undefined, overrides: ConfigOverrides): Config {
  const fromFile = file === undefined ? {} : parseFile(file);
  const given = Object.fromEntries(Object.entries(overrides).filter(([, value]) => value !== undefined));
  const parsed = fileSchema.safeParse({ ...fromFile, ...given });
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  if (issue === undefined) throw new NanoError("config", "the configuration is wrong");
  if (issue.code === "unrecognized_keys") {
    const cure = `remove it, or use one of ${Object.keys(fileSchema.shape).join(", ")}`;
    throw wrongField(issue.keys.join(", "), `unknown; ${cure}`, cure);
  }
  throw wrongField(issue.path.join(".") || "(the file)", `must be ${issue.message}`, issue.message);
}

function wrongField(field: string, text: string, cure: string): NanoError {
  return new NanoError("config", `${field}: ${text}`, { field, cure });
}

function parseFile(file: string): object {
  try {
    const value: unknown = JSON.parse(readFileSync(file, "utf8"));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw wrongField("--config", `${file} can't be read as JSON: ${text}`, "give a JSON file");
  }
  throw wrongField("--config", `${file} holds no object`, "give a JSON object with the fields");
}

/** `sticky_queue`, or `groups=consistent_hash,public_keys=queue`. Errors: `config`. */
export function parseRouting(text: string): NonNullable<ConfigOverrides["routing"]> {
  if (!text.includes("=")) return text as never;
  const pairs = text.split(",").map((pair) => pair.split("=").map((part) => part.trim()));
  if (pairs.some((pair) => pair.length !== 2)) {
    throw wrongField(
      "--routing",
      `${text} is no list of backend=routing`,
      "groups=consistent_hash,public_keys=queue",
    );
  }
  return Object.fromEntries(pairs) as never;
}

/** The data directory and what is fixed in it. Errors: `config` when it was made with other settings. */
export function prepareData(config: Config, directory: string | undefined): JobSettings {
  const dataDirectory = directory === undefined ? freshDirectory() : resolve(directory);
  mkdirSync(dataDirectory, { recursive: true });
  const fixed = { users: config.users, seed: config.seed, shards: config.shards, backends: config.backends };
  checkFixed(jobFiles.settings(dataDirectory), fixed);
  const prefixes = callingCodes.map(({ prefix }) => prefix);
  const { sourceWrittenBy: _by, sourceFeed: _feed, sourceWriteStop: _stop, ...job } = config;
  const perBackend = typeof config.routing === "string" ? {} : config.routing;
  const forAll = typeof config.routing === "string" ? config.routing : "sticky_queue";
  return {
    ...job,
    dataDirectory,
    routing: Object.fromEntries(config.backends.map((name) => [name, perBackend[name] ?? forAll])),
    prefixes,
    reversedPrefix: prefixes[1] ?? "",
    poisonKeys: config.faults ? 8 : 0,
  };
}

/** Under the working directory, so that a large run does not fill the system's temporary space. */
function freshDirectory(): string {
  const parent = resolve(".data");
  mkdirSync(parent, { recursive: true });
  return mkdtempSync(join(parent, "run-"));
}

function checkFixed(path: string, fixed: Readonly<Record<string, unknown>>): void {
  const text = JSON.stringify(fixed, undefined, 2);
  if (!existsSync(path)) {
    const unfinished = `${path}.new`;
    writeFileSync(unfinished, text);
    renameSync(unfinished, path);
    return;
  }
  const recorded = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  for (const [field, value] of Object.entries(fixed)) {
    if (JSON.stringify(recorded[field]) === JSON.stringify(value)) continue;
    const cure = `run again with ${field} ${JSON.stringify(recorded[field])}, or give another --data directory`;
    throw wrongField(
      field,
      `${dirname(path)} was made with ${JSON.stringify(recorded[field])}; ${cure}`,
      cure,
    );
  }
}

/** True for errors that the user can mend. */
export function isConfigError(error: unknown): error is NanoError {
  return hasCode(error, "config") || hasCode(error, "unsafe");
}

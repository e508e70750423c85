/**
 * The settings that the parent hands over as one JSON argument. They were validated there; here their shape
 * is.
 */

import { z } from "zod";
import type { JobSettings } from "../messages.ts";

const settings = z.strictObject({
  dataDirectory: z.string().min(1),
  users: z.int().positive(),
  seconds: z.number().positive(),
  seed: z.int(),
  threads: z.int().nonnegative(),
  shards: z.int().positive(),
  backends: z.array(z.string()),
  routing: z.record(z.string(), z.string()),
  durability: z.enum(["group", "sync", "os"]),
  faults: z.boolean(),
  prefixes: z.array(z.string()),
  reversedPrefix: z.string(),
  poisonKeys: z.int().nonnegative(),
});

/** @throws SyntaxError or ZodError if the argument is not a job's settings. */
export function parseSettings(argument: string | undefined): JobSettings {
  return settings.parse(JSON.parse(argument ?? ""));
}

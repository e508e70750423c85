/** What has been found of each mutation, kept between runs, and why some survivors are harmless. */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { z } from "zod";
import type { Mutation } from "./mutations.ts";

const result = z.object({
  file: z.string(),
  line: z.number(),
  from: z.string(),
  to: z.string(),
  outcome: z.enum(["killed", "survived"]),
  /** What killed it. */
  by: z.string(),
});

export type Result = z.infer<typeof result>;

const harmless = z.array(
  z.strictObject({
    file: z.string(),
    /** The function around it, where others of the file have the same line. */
    within: z.string().exactOptional(),
    code: z.string(),
    from: z.string(),
    to: z.string(),
    reason: z.string(),
  }),
);

export class Results {
  readonly #path: string;
  readonly #byId: Map<string, Result>;

  constructor(path: string) {
    this.#path = path;
    const kept = existsSync(path)
      ? z.record(z.string(), result).parse(JSON.parse(readFileSync(path, "utf8")))
      : {};
    this.#byId = new Map(Object.entries(kept));
  }

  get(id: string): Result | undefined {
    return this.#byId.get(id);
  }

  /** Written at once: a run may end at any time. */
  set({ id, file, line, from, to }: Mutation, outcome: Result["outcome"], by: string): void {
    this.#byId.set(id, { file, line, from, to, outcome, by });
    const sorted = [...this.#byId].sort(([, a], [, b]) =>
      a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line,
    );
    writeFileSync(this.#path, `${JSON.stringify(Object.fromEntries(sorted), undefined, 2)}\n`);
  }

  /** Those of them that survived are tried again. */
  forget(mutations: readonly Mutation[]): void {
    for (const { id } of mutations) if (this.#byId.get(id)?.outcome === "survived") this.#byId.delete(id);
  }

  /** Forgets what was found of texts that are no more. */
  keepOnly(ids: ReadonlySet<string>): void {
    for (const id of this.#byId.keys()) if (!ids.has(id)) this.#byId.delete(id);
  }
}

/** Why a survivor is harmless; undefined if nobody has looked at it. */
export type Reasons = (mutation: Mutation) => string | undefined;

export type Harmless = z.infer<typeof harmless>[number];

export function readHarmless(path: string): Harmless[] {
  return existsSync(path) ? harmless.parse(JSON.parse(readFileSync(path, "utf8"))) : [];
}

export function isOf(entry: Harmless, mutation: Mutation): boolean {
  const { file, within = mutation.within, code, from, to } = entry;
  const same = mutation.file === file && mutation.within === within && mutation.code === code;
  return same && mutation.from === from && mutation.to === to;
}

export function readReasons(path: string): Reasons {
  const entries = readHarmless(path);
  return (mutation) => entries.find((each) => isOf(each, mutation))?.reason;
}

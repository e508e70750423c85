/** The reference against the code: codes, fields, ranges and defaults, both ways. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { backends } from "../../actors/backends/index.ts";
import { encodeFrame } from "../../actors/log_records.ts";
import { logFormat } from "../../actors/log_segments.ts";
import { encodeRow } from "../../actors/stores/row_codec.ts";
import { fileSchema } from "../../app/config.ts";
import type { DriverResult, JobSettings, SystemResult } from "../../app/messages.ts";
import { makeReport } from "../../app/report.ts";
import { crc32c, decodeStrict } from "../../src/index.ts";
import { projectRoot } from "./reader_folder.ts";

/** The cells of the tables whose first cell is code, row by row. */
function codeRows(page: string): string[][] {
  const text = readFileSync(join(projectRoot, "docs", "reference", page), "utf8");
  const rows = text.split("\n").filter((line) => line.startsWith("| `"));
  return rows.map((row) =>
    row
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

function codeOf(cell: string | undefined): string {
  return (cell ?? "").replaceAll("`", "");
}

describe("errors.md", () => {
  it("has every code of errors.ts, in its order, and no other", () => {
    const source = readFileSync(join(projectRoot, "src", "base", "errors.ts"), "utf8");
    const codes = [...source.matchAll(/^ {2}\| "(\w+)"/gm)].map(([, code]) => code);
    expect(codes.length).toBeGreaterThan(20);
    expect(codeRows("errors.md").map(([code]) => codeOf(code))).toEqual(codes);
  });

  it("says for each code what it means, whether it was done, and what to do", () => {
    for (const row of codeRows("errors.md")) {
      expect(row).toHaveLength(4);
      expect(row.every((cell) => cell !== "")).toBe(true);
    }
  });
});

interface Property {
  readonly minimum?: number;
  readonly maximum?: number;
  readonly enum?: readonly string[];
  readonly type?: string;
  readonly items?: Property;
  readonly anyOf?: readonly Property[];
  readonly default?: unknown;
}

/** As the table writes it. */
function valuesOf(property: Property): string {
  if (property.type === "boolean") return "true, false";
  if (property.minimum !== undefined) return `${property.minimum} to ${property.maximum}`;
  const names = property.enum ?? property.items?.enum ?? property.anyOf?.[0]?.enum;
  return names?.join(", ") ?? "?";
}

function defaultOf({ default: value }: Property): string {
  return Array.isArray(value) && value.length === Object.keys(backends).length
    ? "all five"
    : JSON.stringify(value);
}

describe("configuration.md", () => {
  it("has every field of the file, with its values and its default", () => {
    const { properties } = z.toJSONSchema(fileSchema, { io: "input" }) as {
      properties: Record<string, Property>;
    };
    const fields = Object.entries(properties).map(([name, property]) => [
      name,
      valuesOf(property),
      defaultOf(property),
    ]);
    const documented = codeRows("configuration.md").filter(([name]) => !name?.startsWith("`--"));
    expect(documented.map(([name, values, value]) => [codeOf(name), values, codeOf(value)])).toEqual(fields);
  });

  it("has every option of the command line", () => {
    const source = readFileSync(join(projectRoot, "app", "main.ts"), "utf8");
    const options = [...source.matchAll(/^ {4}"(--[a-z-]+)|\.option\("(--[a-z-]+)/gm)].map(
      (m) => m[1] ?? m[2],
    );
    expect(options.length).toBeGreaterThan(10);
    const text = readFileSync(join(projectRoot, "docs", "reference", "configuration.md"), "utf8");
    for (const option of options) expect(text).toContain(`\`${option}`);
  });
});

describe("data-directory.md", () => {
  const text = readFileSync(join(projectRoot, "docs", "reference", "data-directory.md"), "utf8");

  it("says where a row's parts are, and which format this version writes", () => {
    const bytes = encodeRow({ version: [1, 2, 3], value: new Uint8Array([7, 8]), expiresAtMs: 4 });
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const cells = [...text.matchAll(/^\| (\d+) \| (\d+|rest) \| (.+) \|$/gm)];
    const parts = cells.map(([, offset, length]) => {
      const at = Number(offset);
      if (length === "rest") return [...bytes.subarray(at)];
      if (length === "1") return view.getUint8(at);
      return length === "4" ? view.getUint32(at) : view.getFloat64(at);
    });
    const written = Number(/^\| row \| .+ \| (\d+) \|$/m.exec(text)?.[1]);
    expect(parts).toEqual([written, 0, 1, 2, 3, 4, [7, 8]]);
    expect(encodeRow({ version: [1, 2, 3], value: null, expiresAtMs: 0 })[1]).toBe(1);
  });
});

describe("log-format.md", () => {
  const text = readFileSync(join(projectRoot, "docs", "reference", "log-format.md"), "utf8");

  it("names the format that this version writes, as does data-directory.md", () => {
    expect(text).toContain(`the format: ${logFormat} |`);
    const directory = readFileSync(join(projectRoot, "docs", "reference", "data-directory.md"), "utf8");
    expect(directory).toContain(`| log segment | eighth byte of the file | ${logFormat} |`);
  });

  it("says how a mark and a clear stand in a log's frame", () => {
    const of = { shard: 5, shardTerm: 6, key: "k", version: [7, 8, 9] } as const;
    const frame = encodeFrame([
      { type: "mark", ...of, owner: "replay" },
      { type: "clear", ...of },
    ]);
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    const payload = frame.subarray(12);
    const header = [view.getUint32(0), view.getUint32(4), view.getUint32(8)];
    expect(header).toEqual([payload.byteLength, crc32c(payload), crc32c(frame, 0, 8)]);
    expect(decodeStrict(payload)).toEqual([
      [1, 5, 6, "k", 7, 8, 9, 1],
      [2, 5, 6, "k", 7, 8, 9],
    ]);
    expect(text).toContain(
      "`[1, shard, shard term, key, version × 3, owner]`; owner: 0 queuer, 1 replay, 2 perror",
    );
    expect(text).toContain("`[2, shard, shard term, key, version × 3]`");
  });

  it("names every type of record", () => {
    const source = readFileSync(join(projectRoot, "actors", "log_records.ts"), "utf8");
    const types = [...source.matchAll(/readonly type: "(\w+)"/g)].map(([, type]) => type);
    expect(types.length).toBeGreaterThan(8);
    for (const type of types) expect(text).toContain(`\`${type}\``);
  });
});

describe("simulation.md", () => {
  const text = readFileSync(join(projectRoot, "docs", "reference", "simulation.md"), "utf8");
  const sourceOf = (name: string): string =>
    readFileSync(join(projectRoot, "src", "simulation", name), "utf8");

  it("names tests that exist, one in each row of what is simulated and of what is not", () => {
    const tests = [...text.matchAll(/`(test\/[\w/]+\.test\.ts)`/g)].map(([, path]) => path ?? "");
    expect(tests.length).toBeGreaterThan(20);
    expect(tests.filter((path) => !existsSync(join(projectRoot, path)))).toEqual([]);
    for (const heading of ["## What is simulated", "## What is not simulated"]) {
      const section = text.split(heading)[1]?.split("\n\n")[1] ?? "";
      const rows = section.split("\n").slice(2);
      expect(rows.length).toBeGreaterThan(5);
      expect(rows.filter((row) => !/`(test\/|npm run |bench\/)/.test(row))).toEqual([]);
    }
  });

  it("has every fault of the disk and of the network, and every order", () => {
    const fields = /interface DiskFaults \{([\s\S]*?)\n\}/.exec(sourceOf("disk.ts"))?.[1] ?? "";
    const disk = [...fields.matchAll(/^ {2}(?:readonly )?(\w+):/gm)].map(([, name]) => `\`${name}\``);
    const union = (file: string, type: string): string[] => {
      const members = new RegExp(`type ${type} = (.*);`).exec(sourceOf(file))?.[1] ?? "";
      return members.split(" | ").map((member) => JSON.parse(member) as string);
    };
    const network = union("network.ts", "NetworkFault");
    const orders = union("timeline.ts", "Order").map((order) => `\`${order}\``);
    expect(Math.min(disk.length, network.length, orders.length)).toBeGreaterThanOrEqual(3);
    expect([...disk, ...network, ...orders].filter((name) => !text.includes(name))).toEqual([]);
  });

  it("has everything that the guard refuses", () => {
    const source = sourceOf("world_guard.ts");
    const refused = [...source.matchAll(/"([\w ]+(?:\.\w+)*\(\))"/g)].map(([, what]) => what ?? "");
    const timers = ["setTimeout()", "setInterval()", "setImmediate()"];
    expect(refused.length).toBeGreaterThan(8);
    // One with a property is named by its function.
    const named = [...refused, ...timers].filter(
      (what) => !["Date()", "process.hrtime.bigint()"].includes(what),
    );
    expect(named.filter((what) => !text.includes(`\`${what}\``))).toEqual([]);
  });
});

const latency = { p50Ms: 1, p90Ms: 1, p99Ms: 1, maxMs: 1 };
const driver: DriverResult = {
  users: 1,
  rows: 1,
  valueBytes: { mean: 1, max: 1, total: 1 },
  acknowledged: { writes: 1, lost: 0, lostKeys: ["k"] },
  unaccounted: { max: 0, samples: 1, keys: 1, coverage: 1, examples: ["k"] },
  unequal: { count: 1, examples: ["k"] },
  operations: { reads: 1, writes: 1, refused: { held: 1 }, unknown: 1 },
  writesPerSecondMedian: 1,
  longestPauseMs: 1,
  latency: { read: latency, write: latency },
};
const swap = { rows: 1, againRows: 1, fullAgeMs: 1, againAgeMs: 1 };
const covered = { parts: 1, compared: 1, forgotten: 0, share: 1, changed: 0, unaccountedFoundTotal: 0 };
const system: SystemResult = {
  prefixes: [
    {
      prefix: "+49",
      state: "swapped",
      history: ["swapped"],
      readOnlyMs: [1],
      predictedReadOnlyMs: [1],
      compared: [swap],
    },
  ],
  faults: [{ name: "slow", fired: 1 }],
  perror: [{ key: "k", reason: "poison", site: "A" }],
  dirty: 0,
  compared: { ...covered, ...swap },
  rssAnonBytesMax: 1,
};
const settings: JobSettings = {
  dataDirectory: "d",
  users: 1,
  seconds: 1,
  seed: 1,
  threads: 1,
  shards: 1,
  backends: ["groups"],
  routing: { groups: "queue" },
  durability: "group",
  faults: true,
  prefixes: ["+49"],
  reversedPrefix: "+49",
  poisonKeys: 1,
};

/** Objects whose keys are data. */
const maps = ["operations.refused", "settings.routing"];

/** The paths of all values, with their types as the table has them. */
function fieldsOf(value: unknown, path: string): [string, string][] {
  if (Array.isArray(value)) {
    if (value.length === 0) throw new Error(`the example has no ${path}`);
    return fieldsOf(value[0], `${path}[]`);
  }
  if (maps.includes(path)) return [[path, "map"]];
  if (typeof value !== "object" || value === null) return [[path, typeof value]];
  return Object.entries(value).flatMap(([name, inner]) =>
    fieldsOf(inner, path === "" ? name : `${path}.${name}`),
  );
}

describe("report.md", () => {
  it("has every field of a report, with its type", () => {
    const report = makeReport(settings, driver, system, 1);
    expect(report.failures).not.toEqual([]);
    const documented = codeRows("report.md").map(([field, type]) => `${codeOf(field)} ${type}`);
    const fields = fieldsOf(report, "").map((each) => each.join(" "));
    expect(new Set(documented)).toEqual(new Set(fields));
    expect(documented).toHaveLength(fields.length);
  });
});

/**
 * The house's order, kept by machine: who imports whom, who may touch the world, how a file opens and how long it
 * is, and what is published. Each check is first shown a planted fault, because one that can't fail checks nothing.
 */

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { cruiseImports, importRules, productFolders, violations } from "./tidy/import_rules.ts";
import {
  actorDocFaults,
  answeredCodes,
  docFault,
  emptyNameFaults,
  lengthFaults,
  thrownCodes,
  unionMembers,
} from "./tidy/manners.ts";
import { projectRoot, readSources, type Source, withPlanted } from "./tidy/project.ts";
import { findWorldAccess } from "./tidy/world_access.ts";

const product = readSources("src", "actors", "app");
const everything = [...product, ...readSources("bench", "test")];
const isDataActor = ({ path }: Source) => /^actors\/db_\w+\.ts$/.test(path);

test("every folder imports only what lies beneath it, and nothing is loaded in a circle", async () => {
  const result = await cruiseImports(projectRoot, ["src", "actors", "app"]);
  for (const folder of productFolders) {
    const modules = result.modules.filter(({ source }) => source.startsWith(`${folder}/`));
    expect(modules.length, `modules seen in ${folder}`).toBeGreaterThan(0);
  }
  expect(result.modules.filter(({ source }) => product.some(({ path }) => path === source))).toHaveLength(
    product.length,
  );
  expect(violations(result)).toEqual([]);
});

/** For each rule of imports one that breaks it. */
const wrongImports: Readonly<Record<string, readonly [from: string, to: string]>> = {
  "base knows nothing": ["src/base/a.ts", "../seams/target.ts"],
  "seams know base": ["src/seams/a.ts", "../wire/target.ts"],
  "wire knows base": ["src/wire/a.ts", "../seams/target.ts"],
  "core knows base, seams and wire": ["src/core/a.ts", "../platform/target.ts"],
  "platform is above core": ["src/platform/a.ts", "../simulation/target.ts"],
  "simulation is above core": ["src/simulation/a.ts", "../platform/target.ts"],
  "the public door stays in src": ["src/index.ts", "./simulation/target.ts"],
  "the runtime knows no data layer": ["src/core/a.ts", "../../actors/target.ts"],
  "only platform meets Node": ["src/core/a.ts", "node:fs"],
  "actors use the public door": ["actors/a.ts", "../src/core/target.ts"],
  "actors know no app": ["actors/a.ts", "../app/target.ts"],
  "only stores meet Node": ["actors/kinds/a.ts", "node:fs"],
  "only stores have drivers": ["actors/a.ts", "lmdb"],
  "app uses the public doors": ["app/a.ts", "../src/platform/target.ts"],
  "the product needs no tests": ["app/a.ts", "../test/target.ts"],
  "everything resolves": ["app/a.ts", "./nowhere.ts"],
  "no cycle is loaded": ["app/a.ts", "./target.ts"],
};

test("every rule of imports has an import that breaks it", () => {
  expect(new Set(Object.keys(wrongImports))).toEqual(new Set(importRules.map(({ name }) => name)));
});

test.each(Object.entries(wrongImports))("an import that breaks “%s” is found", async (rule, [from, to]) => {
  const targets = productFolders.map((folder) => ({
    path: `${folder}/target.ts`,
    text: "export const x = 1;",
  }));
  const sources: Source[] = [
    ...targets,
    { path: "test/target.ts", text: "export const x = 1;" },
    { path: "node_modules/lmdb/package.json", text: '{ "name": "lmdb", "main": "index.js" }' },
    { path: "node_modules/lmdb/index.js", text: "" },
    { path: from, text: `import * as x from "${to}";\nexport const y = x;` },
  ];
  if (rule === "no cycle is loaded") sources.push({ path: "app/target.ts", text: 'export * from "./a.ts";' });
  await withPlanted(sources, async (root) => {
    const found = violations(await cruiseImports(root, ["src", "actors", "app"]));
    expect(found.filter((each) => each.startsWith(`${rule}: ${from} -> `))).not.toEqual([]);
  });
});

test("an import of a type alone breaks a rule too", async () => {
  const sources = [
    { path: "src/core/target.ts", text: "export type X = 1;" },
    { path: "src/base/a.ts", text: 'import type { X } from "../core/target.ts";\nexport const y: X = 1;' },
  ];
  await withPlanted(sources, async (root) => {
    const found = violations(await cruiseImports(root, ["src"]));
    expect(found).toEqual(["base knows nothing: src/base/a.ts -> src/core/target.ts"]);
  });
});

test("the runtime's core and the actors reach time, chance, timers and Node through the runtime alone", () => {
  const pure = readSources("src/base", "src/seams", "src/wire", "src/core", "actors").filter(
    ({ path }) => !path.startsWith("actors/stores/"),
  );
  expect(pure.length).toBeGreaterThan(50);
  expect(findWorldAccess(pure)).toEqual([]);
});

test.each([
  ["export const at = Date.now();", "Date"],
  ["export const at = new Date();", "Date"],
  ["export let at: Date;", "Date"],
  ["export const luck = Math.random();", "Math"],
  ['export const luck = Math["random"]();', "Math"],
  ["const { random } = Math; export { random };", "Math"],
  ["export const at = performance.now();", "performance"],
  ["setTimeout(() => undefined, 1);", "setTimeout"],
  ["export let timer: ReturnType<typeof setInterval>;", "setInterval"],
  ["export const later = { setImmediate };", "setImmediate"],
  ["queueMicrotask(() => undefined);", "queueMicrotask"],
  ["export const exit = () => process.exit(1);", "process"],
  ["export const at = globalThis.Date;", "globalThis"],
  ["declare const process: { exit(): void }; process.exit();", "declare"],
  ["export const signal = AbortSignal.timeout(1);", "AbortSignal"],
  ["export const { port1 } = new MessageChannel();", "MessageChannel"],
  ["export const socket = new WebSocket('ws://x');", "WebSocket"],
  ["export const seen = new WeakRef({});", "WeakRef"],
  ["export const wait = (at: Int32Array) => Atomics.wait(at, 0, 0, 1);", "Atomics"],
  ["export const now = new Intl.DateTimeFormat().format();", "Intl"],
  ['import { readFileSync } from "node:fs"; readFileSync("x");', "node:fs"],
  ['import type { Stats } from "fs"; export let stats: Stats;', "fs"],
  ['export * from "node:path";', "node:path"],
  ['export const os = await import("node:os");', "node:os"],
  ['export let stats: import("node:fs").Stats;', "node:fs"],
])("%s reaches past the runtime", (text, what) => {
  const found = findWorldAccess([{ path: "actors/planted.ts", text: `/** Planted. */\n${text}` }]);
  expect(found).toEqual([{ path: "actors/planted.ts", line: 2, what }]);
});

test.each([
  "// Date.now() and process.exit() in a comment",
  'export const text = "setTimeout, node:fs, Math.random()";',
  "export function end(process: { kill(): void }) { process.kill(); }",
  "export const larger = Math.max(1, 2);",
  "export const give = (signal: AbortSignal) => signal.aborted;",
  "export const shown = (report: { readonly process: string }) => report.process;",
  "export const renamed = ({ process: each }: { process: number }) => each;",
  "export class Timers { setTimeout() { return this.setTimeout; } }",
])("%s does not reach past the runtime", (text) => {
  expect(findWorldAccess([{ path: "actors/planted.ts", text }])).toEqual([]);
});

test("wire may make a Date of a number that arrived, but not read the clock", () => {
  const text = "export const a = new Date(5);\nexport const b = new Date();\nexport const c = Date.now();";
  const lines = findWorldAccess([{ path: "src/wire/planted.ts", text }]).map(({ line }) => line);
  expect(lines).toEqual([2, 3]);
});

test("every source of the product opens with a doc comment of at most 15 lines", () => {
  expect(product.length).toBeGreaterThan(0);
  expect(product.map(docFault).filter((fault) => fault !== undefined)).toEqual([]);
});

test.each([
  "export const x = 1;",
  "/* No doc. */",
  "import './x.ts';\n/** What this file is for. */",
  "/** */",
  `/**\n${" * A long story.\n".repeat(14)} */`,
])("a file that begins with %j is found", (text) => {
  expect(docFault({ path: "src/planted.ts", text })).toBeDefined();
});

test("a doc comment of 15 lines, or behind the line that names the interpreter, is one", () => {
  const longest = `/**\n${" * A short story.\n".repeat(13)} */`;
  expect(docFault({ path: "src/planted.ts", text: longest })).toBeUndefined();
  const text = "#!/usr/bin/env node\n/** What this is for. */";
  expect(docFault({ path: "app/planted.ts", text })).toBeUndefined();
});

test("every db_* actor names its state, its messages and what is always true", () => {
  const actors = product.filter(isDataActor);
  expect(actors.length).toBeGreaterThanOrEqual(12);
  expect(actors.flatMap(actorDocFaults)).toEqual([]);
  const text = "/**\n * db_x: does x.\n *\n * Messages: run.\n */";
  expect(actorDocFaults({ path: "x", text })).toEqual([
    "x does not say: State",
    "x does not say: Always true",
  ]);
});

test("no file has more than 500 lines, no line more than 120 columns", () => {
  expect(everything.flatMap(lengthFaults)).toEqual([]);
  const text = `${"x\n".repeat(499)}${"é".repeat(120)}\n${"é".repeat(121)}\n`;
  expect(lengthFaults({ path: "x", text })).toEqual(["x has 501 lines", "x:501 has 121 columns"]);
});

test("nothing has a name that could hold anything", () => {
  expect(everything.flatMap(emptyNameFaults)).toEqual([]);
  const text = "export class KeyManager {}\nexport const common = 1;\nexport const lastCommonKey = 2;";
  expect(emptyNameFaults({ path: "src/core/string_utils.ts", text })).toEqual([
    "src/core/string_utils.ts",
    "src/core/string_utils.ts: KeyManager",
    "src/core/string_utils.ts: common",
  ]);
});

test("every code that an error is made with is listed, and every listed code is used", () => {
  const path = "src/base/errors.ts";
  const errors = { path, text: readFileSync(join(projectRoot, path), "utf8") };
  const listed = unionMembers(errors, "RuntimeErrorCode", "DataErrorCode");
  const library = product.filter((source) => !source.path.startsWith("app/"));
  const used = new Set([...product.flatMap(thrownCodes), ...library.flatMap(answeredCodes)]);
  expect([...used].filter((code) => !listed.includes(code))).toEqual([]);
  expect(listed.filter((code) => !used.has(code))).toEqual([]);
});

test("codes are read from thrown errors, from both ends of a choice, and from answers", () => {
  const text = `
    if (wrong) throw new NanoError("first", "why");
    throw new NanoError(late ? "second" : "third", "why", { code: "detail" });
    reply({ ok: false, code: "fourth", message });
    type Code = "one" | "two" | (string & {});`;
  expect(thrownCodes({ path: "x", text })).toEqual(["first", "second", "third"]);
  expect(answeredCodes({ path: "x", text })).toEqual(["fourth"]);
  expect(unionMembers({ path: "x", text }, "Code")).toEqual(["one", "two"]);
});

/** What package.json says of itself, as far as is looked at. */
interface Manifest {
  readonly exports: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly bin: Readonly<Record<string, string>>;
}

const manifest = JSON.parse(readFileSync(join(projectRoot, "package.json"), "utf8")) as Manifest;

test("the package holds every file that it offers, and nothing of tests and benchmarks", () => {
  const published = packedFiles();
  const offered = [...Object.values(manifest.exports).flatMap(Object.values), ...Object.values(manifest.bin)];
  expect(offered.length).toBeGreaterThan(0);
  expect(offered.filter((target) => !published.includes(target.replace(/^\.\//, "")))).toEqual([]);
  expect(published.filter((path) => /(^|\/)(test|bench)\/|\.(test|bench)\./.test(path))).toEqual([]);
});

function packedFiles(): string[] {
  const output = execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
    cwd: projectRoot,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const packed = JSON.parse(output) as readonly { readonly files: readonly { readonly path: string }[] }[];
  return packed.flatMap(({ files }) => files.map(({ path }) => path));
}

test("every door of the package opens", async () => {
  for (const { default: target } of Object.values(manifest.exports)) {
    const door = (await import(pathToFileURL(join(projectRoot, target ?? "")).href)) as object;
    expect(Object.keys(door).length, target).toBeGreaterThan(0);
  }
});

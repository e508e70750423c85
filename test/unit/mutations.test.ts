/** What the mechanical mutation makes of a source file. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { areas } from "../mutation/areas.ts";
import { compiled, mutationsOf } from "../mutation/mutations.ts";
import { isOf, readHarmless } from "../mutation/results.ts";

const file = "actors/example.ts";
const text = `export async function grown(a: number, b: number | undefined, wait: Promise<void>): Promise<number> {
  if (a < 1 && b !== 2) return 0;
  await wait;
  return b ?? a;
}
`;

describe("the mutations of a file", () => {
  it("are of each condition, each comparison, each operand and each await", () => {
    const changes = mutationsOf(file, text).map(({ line, from, to }) => `${line}: ${from} => ${to}`);
    expect(changes).toEqual([
      "2: a < 1 && b !== 2 => !(a < 1 && b !== 2)",
      "2: a < 1 && b !== 2 => true",
      "2: a < 1 && b !== 2 => false",
      "2: a < 1 && b !== 2 => (a < 1)",
      "2: a < 1 && b !== 2 => (b !== 2)",
      "2: a < 1 => a <= 1",
      "2: a < 1 => a >= 1",
      "2: b !== 2 => b === 2",
      "3: await wait => swallowed(wait)",
      "4: b ?? a => (b)",
      "4: b ?? a => (a)",
    ]);
  });

  it("have names that change with the function around them, and with nothing else", () => {
    const ids = mutationsOf(file, text).map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const idsIn = (changed: string): string[] => mutationsOf(file, changed).map(({ id }) => id);
    expect(idsIn(`const other = 1 > 2;\n${text}`)).toEqual(expect.arrayContaining(ids));
    for (const id of idsIn(text.replace("return 0", "return 1"))) expect(ids).not.toContain(id);
  });

  it("of two handlers with one text have two names", () => {
    const handlers = "export const d = { one: (a) => a ?? 1, two: (a) => a ?? 1 };\n";
    const ids = mutationsOf(file, handlers).map(({ id }) => id);
    expect(new Set(ids).size).toBe(4);
  });

  it("stand in one compiled file, as itself until one of them is on", async () => {
    const { grown, turnOn } = await grownWith(text);
    expect(await grown(1, undefined)).toBe(1);
    expect(await grown(0, 3)).toBe(0);
    turnOn("a < 1 => a <= 1");
    expect(await grown(1, 3)).toBe(0);
    turnOn("a < 1 && b !== 2 => (a < 1)");
    expect(await grown(0, 2)).toBe(0);
    turnOn("b ?? a => (a)");
    expect(await grown(1, 3)).toBe(1);
  });

  it("are told when what they change is passed", async () => {
    const { grown, reached } = await grownWith(text);
    await grown(1, undefined);
    expect(reached()).not.toContain("b !== 2 => b === 2");
    await grown(0, 3);
    expect(reached()).toContain("b !== 2 => b === 2");
  });

  it("that leave out an await go on at once, and nobody hears of a rejection", async () => {
    const { grown, turnOn } = await grownWith(text);
    await expect(grown(1, undefined, Promise.reject(new Error("early")))).rejects.toThrow("early");
    turnOn("await wait => swallowed(wait)");
    await expect(grown(1, undefined, Promise.reject(new Error("late")))).resolves.toBe(1);
    await expect(grown(1, 5, new Promise(() => undefined))).resolves.toBe(5);
  });
});

it("each reason for a survivor is of a change that there is", () => {
  const project = fileURLToPath(new URL("../../../", import.meta.url));
  const all = Object.keys(areas).flatMap((name) =>
    mutationsOf(name, readFileSync(join(project, name), "utf8")),
  );
  const entries = readHarmless(join(project, "test/mutation/harmless.json"));
  expect(entries.length).toBeGreaterThan(0);
  expect(entries.filter((entry) => !all.some((mutation) => isOf(entry, mutation)))).toEqual([]);
});

interface Grown {
  readonly grown: (a: number, b: number | undefined, wait?: Promise<void>) => Promise<number>;
  readonly turnOn: (change: string) => void;
  /** The changes of what has been passed. */
  readonly reached: () => (string | undefined)[];
}

async function grownWith(text: string): Promise<Grown> {
  const mutations = mutationsOf(file, text);
  const changes = mutations.map(({ from, to }) => `${from} => ${to}`);
  const turnOn = (change: string): void => {
    expect(changes).toContain(change);
    Object.assign(globalThis, { mutant: changes.indexOf(change) });
  };
  const passed = new Set<number>();
  Object.assign(globalThis, { mutant: -1, reached: passed });
  const url = `data:text/javascript,${encodeURIComponent(compiled(text, mutations))}`;
  const { grown } = await import(url);
  return { grown, turnOn, reached: () => [...passed].map((at) => changes[at]) };
}

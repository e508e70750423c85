/** what-we-verify.md: every row names a test that exists, and every bound a limit that does. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { dataLimits } from "../../actors/limits.ts";
import { projectRoot } from "./reader_folder.ts";

const page = readFileSync(join(projectRoot, "docs", "reference", "what-we-verify.md"), "utf8");
const rows = page.split("\n").filter((line) => line.startsWith("| ") && !/^\| (what|bound) \|/.test(line));

it("every row of what is found and of what is not names a test that its file has", () => {
  const cited = rows.flatMap((line) => {
    const [, file, name] = /\| `(test\/[^`]+)`: ([^|]+) \|$/.exec(line) ?? [];
    return file === undefined || name === undefined ? [] : [{ file, name }];
  });
  expect(cited.length).toBeGreaterThan(20);
  for (const { file, name } of cited) {
    expect(existsSync(join(projectRoot, file)), file).toBe(true);
    expect(readFileSync(join(projectRoot, file), "utf8")).toContain(name);
  }
  const tables = page.slice(page.indexOf("## What it finds"));
  const all = tables.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| what |"));
  expect(all).toHaveLength(cited.length);
});

it("every bound that it names is a limit, or counted in what it says", () => {
  const text = page.slice(page.indexOf("| bound |"), page.indexOf("## What changed since"));
  const named = [...text.matchAll(/`(\w+Max)`/g)].map(([, name]) => name ?? "");
  expect(named.length).toBeGreaterThan(5);
  for (const name of named) expect(Object.keys(dataLimits)).toContain(name);
});

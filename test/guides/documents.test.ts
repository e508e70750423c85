/** README and the pages beside it: its example runs, its options exist, and every link leads somewhere. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, it } from "vitest";
import { runsOf } from "./guide.ts";
import { projectRoot, ReaderFolder } from "./reader_folder.ts";

const pages = [
  ...["README.md", "CHANGELOG.md", "SECURITY.md"],
  ...["guides", "reference"].flatMap((folder) =>
    readdirSync(join(projectRoot, "docs", folder)).map((name) => join("docs", folder, name)),
  ),
];

function read(page: string): string {
  return readFileSync(join(projectRoot, page), "utf8");
}

/** As GitHub makes them of headings. */
function anchorsOf(page: string): Set<string> {
  const headings = [...read(page).matchAll(/^#+ (.+)$/gm)].map(([, text]) => text ?? "");
  return new Set(
    headings.map((text) =>
      text
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}_ -]/gu, "")
        .replaceAll(" ", "-"),
    ),
  );
}

/** Links inside the project that lead nowhere. */
function brokenLinks(page: string, text: string): string[] {
  const targets = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target ?? "");
  return targets.filter((target) => {
    if (/^https?:/.test(target)) return false;
    const [path = "", anchor] = target.split("#");
    const linked = path === "" ? page : relative(projectRoot, join(projectRoot, dirname(page), path));
    if (!existsSync(join(projectRoot, linked))) return true;
    return anchor !== undefined && !anchorsOf(linked).has(anchor);
  });
}

it.each(pages)("every link of %s leads to a file, and to a heading of it", (page) => {
  expect(brokenLinks(page, read(page))).toEqual([]);
});

it("a link to a file or a heading that does not exist is found", () => {
  const text =
    "[a](nowhere.md) [b](#nowhere) [c](README.md#nowhere) [d](README.md#install) [e](https://x.org)";
  expect(brokenLinks("README.md", text)).toEqual(["nowhere.md", "#nowhere", "README.md#nowhere"]);
});

it("README's example compiles and prints what it shows", async () => {
  const section = /^## Example\n([\s\S]*?)^## /m.exec(read("README.md"))?.[1] ?? "";
  const [run] = runsOf(section);
  expect(run).toBeDefined();
  const reader = new ReaderFolder();
  try {
    expect(reader.compile(run?.files ?? new Map())).toEqual([]);
    expect((await reader.run(run?.arguments ?? [])).trimEnd()).toBe(run?.output);
  } finally {
    reader.remove();
  }
}, 60_000);

it("README names every option of the command line, and no other", () => {
  const source = read(join("app", "main.ts"));
  const options = [...source.matchAll(/^ {4}"(--[a-z-]+)|\.option\("(--[a-z-]+)/gm)].map(
    (found) => found[1] ?? found[2],
  );
  const named = [...read("README.md").matchAll(/^\| `(--[a-z-]+)/gm)].map(([, name]) => name);
  expect(options.length).toBeGreaterThan(10);
  expect(new Set(named)).toEqual(new Set(options));
  expect(named).toHaveLength(new Set(options).size);
});

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { runsOf } from "./guide.ts";
import { projectRoot, ReaderFolder } from "./reader_folder.ts";

const folder = join(projectRoot, "docs", "guides");
const guides = readdirSync(folder).filter((name) => name.endsWith(".md"));

it("the guides are found", () => {
  expect(guides.length).toBeGreaterThan(10);
});

describe.each(guides)("%s", (name) => {
  it("compiles under the project's settings at each step, and prints what it shows", async () => {
    const runs = runsOf(readFileSync(join(folder, name), "utf8"));
    expect(runs.length).toBeGreaterThan(0);
    const reader = new ReaderFolder();
    try {
      for (const { files, arguments: args, output, line } of runs) {
        expect(reader.compile(files), `compiled at line ${line}`).toEqual([]);
        expect((await reader.run(args)).trimEnd(), `printed at line ${line}`).toBe(output);
      }
    } finally {
      reader.remove();
    }
  }, 120_000);
});

describe("a guide's faults are found:", () => {
  const fence = (language: string, ...lines: string[]) => [`\`\`\`${language}`, ...lines, "```"].join("\n");
  const file = (...lines: string[]) => fence("ts", "// main.ts", ...lines);
  const run = fence("sh", "npx tsc && node dist/main.js");

  it.each([
    ["a block that names no file", [fence("ts", "export const x = 1;")], "the first line names no file"],
    ["a file that is never run", [file("export {};")], "main.ts: never run"],
    ["an output of no command", [file("export {};"), fence("text", "1")], "no command prints this"],
    ["a command without its output", [file("export {};"), run], "what it prints is not shown"],
    ["a block that is not closed", ["```ts", "// main.ts"], "not closed"],
    ["a block that nobody checks", [fence("js", "1")], "checked by nobody"],
  ])("%s", (_, parts, fault) => {
    expect(() => runsOf(parts.join("\n"))).toThrow(fault);
  });

  it("a type error, an export that does not exist, and a program that fails", async () => {
    const reader = new ReaderFolder();
    const compile = (...lines: string[]) => reader.compile(new Map([["main.ts", lines.join("\n")]]));
    try {
      expect(compile("const x: number = 'one';", "export { x };")).toHaveLength(1);
      expect(compile('import { teleport } from "nanoactor";', "export { teleport };")).toHaveLength(1);
      expect(
        compile('import { startSites } from "nanoactor/db";', "console.log(typeof startSites);"),
      ).toEqual([]);
      expect(await reader.run(["dist/main.js"])).toBe("function\n");
      expect(compile("throw new Error('no');", "export {};")).toEqual([]);
      await expect(reader.run(["dist/main.js"])).rejects.toThrow("Error: no");
    } finally {
      reader.remove();
    }
  }, 60_000);
});

/** Where the page of conformance is, and the titles of its tests as their sources have them. */

import { basename } from "node:path";
import { sections } from "../conformance/cases.ts";
import { readSources } from "../tidy/project.ts";
import { judge, lastLine, pageTables, readTitle, sourcesOf, type TestResult } from "./table.ts";

export const conformancePage = "docs/reference/conformance.md";

/** A title is a whole string in its source, so that it can be found there. */
const literal = /(["'`])((?:(?!\1)[^\\\n])+)\1/g;

/** What the sources of the tests say that they show; nothing is played. */
export function writtenTests(): TestResult[] {
  const sources = sourcesOf(sections);
  return readSources("test/conformance")
    .filter(({ path }) => path.endsWith(".test.ts"))
    .flatMap(({ path, text }) =>
      [...text.matchAll(literal)]
        .map(([, , title = ""]) => title)
        .filter((title) => readTitle(title, sources) !== undefined)
        .map((title) => ({ title, status: "passed", file: fileName(path) })),
    );
}

/** The file's name without its endings. */
export function fileName(path: string): string {
  return basename(path).replace(/\.test\.[jt]s$/, "");
}

/** The page as the cases and the tests' sources have it. */
export function writtenPage(): string {
  const rows = judge(sections, writtenTests());
  return `${beforeTables}\n${lastLine(rows)}.\n${pageTables(rows)}\n`;
}

const beforeTables = `# Conformance

Which behaviours of others this runtime has, by the names of their own tests: OTP's gen_server_SUITE and
supervisor_SUITE, ractor's factory, worker_pool, and what users asked for in the issues of such runtimes. The tests here
were written anew from the behaviour. *Refused* is what does not carry over, or what would break something that is
promised elsewhere, with its reason; *Here* says where a case has another meaning on Node.

\`npm run test:conformance\` plays them and prints these rows with what came of each. It fails if a case is neither
shown nor refused, if a test fails, or if one names a case that is not here. The cases are data, in
\`test/conformance/cases.ts\`; \`npm run test:conformance -- --write\` writes this page.
`;

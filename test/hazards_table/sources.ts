/** Where the hazards' page and the sources of their tests are. */

import { basename } from "node:path";
import { readSources } from "../tidy/project.ts";

export const hazardsPage = "docs/reference/hazards.md";

/** The sources of the hazards' tests by the names of their files. */
export function hazardSources(): Map<string, string> {
  const tests = readSources("test/sim/hazards").filter(({ path }) => path.endsWith(".test.ts"));
  return new Map(tests.map(({ path, text }) => [basename(path), text]));
}

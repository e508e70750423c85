/**
 * Which folder may import which, as rules of dependency-cruiser. Imports of types count as well, but for cycles: a
 * class and its parts may name each other's types, as long as nothing is loaded in a circle.
 */

import { cruise, type ICruiseResult, type IRegularForbiddenRuleType } from "dependency-cruiser";

/** The folders of the product, from the bottom up. */
export const productFolders = [
  "src/base",
  "src/seams",
  "src/wire",
  "src/core",
  "src/platform",
  "src/simulation",
  "actors",
  "app",
];

/** A folder, or files, may import nothing but these. */
function only(name: string, from: string, ...to: readonly string[]): IRegularForbiddenRuleType {
  return { name, severity: "error", from: { path: from }, to: { pathNot: [...to] } };
}

function never(
  name: string,
  from: IRegularForbiddenRuleType["from"],
  to: IRegularForbiddenRuleType["to"],
): IRegularForbiddenRuleType {
  return { name, severity: "error", from, to };
}

const builtin = { dependencyTypes: ["core" as const] };
const packages = "(^|/)node_modules/";

export const importRules: readonly IRegularForbiddenRuleType[] = [
  only("base knows nothing", "^src/base/", "^src/base/"),
  only("seams know base", "^src/seams/", "^src/(base|seams)/"),
  only("wire knows base", "^src/wire/", "^src/(base|wire)/", `${packages}msgpackr/`),
  only(
    "core knows base, seams and wire",
    "^src/core/",
    "^src/(base|seams|wire|core)/",
    `${packages}hashring/`,
  ),
  never("platform is above core", { path: "^src/platform/" }, { path: "^(src/simulation/|src/index\\.ts)" }),
  only("simulation is above core", "^src/simulation/", "^src/(base|seams|wire|core|simulation)/"),
  only("the public door stays in src", "^src/index\\.ts$", "^src/(base|seams|wire|core|platform)/"),
  never("the runtime knows no data layer", { path: "^src/" }, { path: "^(actors|app)/" }),
  never("only platform meets Node", { path: "^src/", pathNot: "^src/platform/" }, builtin),
  never("actors use the public door", { path: "^actors/" }, { path: "^src/", pathNot: "^src/index\\.ts$" }),
  never("actors know no app", { path: "^actors/" }, { path: "^app/" }),
  never("only stores meet Node", { path: "^actors/", pathNot: "^actors/stores/" }, builtin),
  never("only stores have drivers", { path: "^actors/", pathNot: "^actors/stores/" }, { path: packages }),
  never(
    "app uses the public doors",
    { path: "^app/" },
    { path: "^src/", pathNot: "^src/(simulation/)?index\\.ts$" },
  ),
  never("the product needs no tests", { path: "^(src|actors|app)/" }, { path: "^(test|bench)/" }),
  never("everything resolves", {}, { couldNotResolve: true }),
  never("no cycle is loaded", {}, { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } }),
];

/** Follows the imports of the product's sources below `root`. */
export async function cruiseImports(root: string, folders: readonly string[]): Promise<ICruiseResult> {
  const { output } = await cruise([...folders], {
    baseDir: root,
    tsPreCompilationDeps: true,
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: { extensions: [".ts", ".js"] },
    validate: true,
    ruleSet: { forbidden: [...importRules] },
  });
  if (typeof output === "string") throw new Error("dependency-cruiser gave a text where a result was due");
  return output;
}

/** `rule: from -> to` for each violation. */
export function violations({ summary }: ICruiseResult): string[] {
  return summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`).sort();
}

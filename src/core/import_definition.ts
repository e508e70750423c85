/** Finds a behaviour by its module's URL and export; a module is evaluated once for each thread. */

import { NanoError } from "../base/errors.ts";
import type { Definition, DefinitionName } from "./gen_server.ts";

/** Errors: `undef` when the module has no such export; what the module throws when it is evaluated. */
export async function importDefinition({ module, name }: DefinitionName): Promise<Definition> {
  const exports = (await import(module)) as Readonly<Record<string, unknown>>;
  const definition = exports[name];
  if (isDefinition(definition)) return definition;
  throw new NanoError("undef", `${module} exports no gen_server named ${name}`, { module, name });
}

function isDefinition(value: unknown): value is Definition {
  return typeof value === "object" && value !== null && "callbacks" in value && "module" in value;
}

/** Where the project lies and which sources it has; tests run compiled, so neither is where this file is. */

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

/** A source file: its path from the project's root, with `/`, and its text. */
export interface Source {
  readonly path: string;
  readonly text: string;
}

export const projectRoot = findRoot(dirname(fileURLToPath(import.meta.url)));

function findRoot(folder: string): string {
  if (existsSync(join(folder, "package.json"))) return folder;
  const above = dirname(folder);
  if (above === folder) throw new Error("no package.json above the compiled tests");
  return findRoot(above);
}

/** The TypeScript sources below these folders of the project; a folder that does not exist has none. */
export function readSources(...folders: readonly string[]): Source[] {
  const paths = folders
    .map((folder) => join(projectRoot, folder))
    .filter((folder) => existsSync(folder))
    .flatMap((folder) =>
      readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => join(folder, name)),
    )
    .filter((path) => path.endsWith(".ts"))
    .sort();
  return paths.map((path) => ({
    path: relative(projectRoot, path).replaceAll("\\", "/"),
    text: readFileSync(path, "utf8"),
  }));
}

/** Writes sources to a temporary folder, for as long as `use` takes. */
export async function withPlanted<T>(
  sources: readonly Source[],
  use: (root: string) => Promise<T>,
): Promise<T> {
  const root = mkdtempSync(join(tmpdir(), "nanoactor-tidy-"));
  try {
    for (const { path, text } of sources) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    return await use(root);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

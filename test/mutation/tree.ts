/**
 * A second project in which one compiled file is another: `dist` as hard links, the rest as it is. One for each run
 * beside the others.
 */

import { cpSync, linkSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

export class Tree {
  readonly root: string;
  readonly #project: string;
  #replaced: string | undefined;

  /** What stood in `root` is removed. */
  constructor(project: string, root: string) {
    this.#project = project;
    this.root = root;
    rmSync(root, { recursive: true, force: true });
    mkdirSync(root, { recursive: true });
    for (const path of readdirSync(join(project, "dist"), { recursive: true, encoding: "utf8" })) {
      if (!/\.(js|json)$/.test(path)) continue;
      const target = join(root, "dist", path);
      mkdirSync(dirname(target), { recursive: true });
      linkSync(join(project, "dist", path), target);
    }
    for (const folder of ["node_modules", "test", "docs", "actors", "src", "app"])
      symlinkSync(join(project, folder), join(root, folder));
    for (const file of ["package.json", "vitest.config.ts", "ARCHITECTURE.md"])
      cpSync(join(project, file), join(root, file));
  }

  /** `source`: as `actors/ledger.ts`; what was replaced before is itself again. Never reaches what was linked. */
  replace(source: string, code: string): void {
    if (this.#replaced !== undefined) {
      rmSync(join(this.root, this.#replaced));
      linkSync(join(this.#project, this.#replaced), join(this.root, this.#replaced));
    }
    this.#replaced = join("dist", source.replace(/\.ts$/, ".js"));
    rmSync(join(this.root, this.#replaced));
    writeFileSync(join(this.root, this.#replaced), code);
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

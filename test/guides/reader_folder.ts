/** A reader's project in a temporary folder: the package as a dependency, this project's strict compiler settings. */

import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import ts from "typescript";

/** Compiled, this file lies in dist/test/guides. */
export const projectRoot = join(import.meta.dirname, "..", "..", "..");

export class ReaderFolder {
  readonly path = mkdtempSync(join(tmpdir(), "nano-guide-"));

  constructor() {
    const modules = join(this.path, "node_modules");
    mkdirSync(modules);
    symlinkSync(projectRoot, join(modules, "nanoactor"));
    symlinkSync(join(projectRoot, "node_modules", "@types"), join(modules, "@types"));
    writeFileSync(join(this.path, "package.json"), JSON.stringify({ type: "module" }));
  }

  /** Compiles these files from src/ to dist/. Returns what the compiler complains about. */
  compile(files: ReadonlyMap<string, string>): string[] {
    const source = join(this.path, "src");
    rmSync(join(this.path, "dist"), { recursive: true, force: true });
    for (const [name, text] of files) {
      mkdirSync(dirname(join(source, name)), { recursive: true });
      writeFileSync(join(source, name), text);
    }
    const config = ts.readConfigFile(join(projectRoot, "tsconfig.json"), (path) => ts.sys.readFile(path));
    const overrides = { rootDir: "src", outDir: "dist", declaration: false, declarationMap: false };
    const { options, fileNames, errors } = ts.parseJsonConfigFileContent(
      {
        compilerOptions: { ...(config.config as { compilerOptions: object }).compilerOptions, ...overrides },
        include: ["src"],
      },
      ts.sys,
      this.path,
    );
    const program = ts.createProgram(fileNames, options);
    const emitted = program.emit();
    return [...errors, ...ts.getPreEmitDiagnostics(program), ...emitted.diagnostics].map(
      ({ file, start, messageText }) => {
        const at =
          file === undefined
            ? ""
            : `${file.fileName}:${file.getLineAndCharacterOfPosition(start ?? 0).line + 1} `;
        return `${at}${ts.flattenDiagnosticMessageText(messageText, "\n")}`;
      },
    );
  }

  /** Runs `node` as the reader's shell would; returns what it prints. Rejects when it fails. */
  async run(args: readonly string[]): Promise<string> {
    const { VITEST: _, NODE_ENV: __, ...env } = process.env;
    const { stdout } = await promisify(execFile)(process.execPath, [...args], {
      cwd: this.path,
      env,
      timeout: runMsMax,
    });
    return stdout;
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Against a guide that never ends; each takes a few seconds. */
const runMsMax = 90_000;

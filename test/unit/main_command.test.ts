/** What the command line says of itself. */

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const main = fileURLToPath(new URL("../../app/main.js", import.meta.url));
const packageFile = new URL("../../../package.json", import.meta.url);

it("--version is the package's", () => {
  const { version } = JSON.parse(readFileSync(packageFile, "utf8")) as { readonly version: string };
  const { status, stdout } = spawnSync(process.execPath, [main, "--version"], { encoding: "utf8" });
  expect({ status, stdout }).toEqual({ status: 0, stdout: `${version}\n` });
});

/** `nanoactor audit`: reads, checks and thins out the decision logs of a data directory. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { auditDecisions, type PrefixAudit } from "../actors/decision_audit.ts";
import { type DecisionEntry, eraseKey, readEntries } from "../actors/decision_log.ts";
import type { ControlStore } from "../actors/index.ts";
import { layout } from "../actors/stores/data_directory.ts";
import { whileLocked } from "../actors/stores/directory_lock.ts";
import { openLmdbControl } from "../actors/stores/lmdb_control.ts";
import { copyEnvironment } from "../actors/stores/lmdb_copy.ts";
import { hasEnvironment } from "../actors/stores/lmdb_file.ts";
import { nodeDigest } from "../actors/stores/sha256.ts";
import { NanoError } from "../src/index.ts";

interface AuditFlags {
  readonly data: string;
  readonly json?: boolean;
}

const dataOption = ["--data <directory>", "a data directory of `nanoactor migrate`"] as const;
const jsonOption = ["--json", "as JSON"] as const;

export function auditCommand(exitCodes: { readonly failed: number }): Command {
  const command = new Command("audit").description(
    "what was decided, by whom, and whether the log of it is whole",
  );
  command
    .command("verify")
    .description("check the chain of every prefix's decision log, and say in words what is wrong and where")
    .requiredOption(...dataOption)
    .option(...jsonOption)
    .action(async (flags: AuditFlags) => {
      const audits = await withControl(flags.data, true, (control) => auditDecisions(control, nodeDigest));
      print(flags, audits, verifyText(audits));
      if (audits.some(({ faults }) => faults.length > 0)) process.exitCode = exitCodes.failed;
    });
  command
    .command("show")
    .description("every step of every decision of a prefix, oldest first")
    .argument("<prefix>", "e.g. +49")
    .requiredOption(...dataOption)
    .option(...jsonOption)
    .action(async (prefix: string, flags: AuditFlags) => {
      const entries = await withControl(flags.data, true, (control) => readEntries(control, prefix));
      print(flags, entries, showText(prefix, entries));
    });
  command
    .command("erase")
    .description("erase what ties a key to the logs (its salts); the chains stay whole")
    .argument("<key>", "as clients use it, e.g. a phone number")
    .requiredOption(...dataOption)
    .action(async (key: string, flags: AuditFlags) => {
      const count = await withControl(flags.data, false, (control) => eraseKey(control, nodeDigest, key));
      process.stdout.write(`erased from ${count} ${count === 1 ? "entry" : "entries"}\n`);
    });
  return command;
}

/** Errors: `config` when there is no control store; `locked` when a system has the directory that is to be changed. */
async function withControl<T>(
  data: string,
  readOnly: boolean,
  work: (control: ControlStore) => Promise<T>,
): Promise<T> {
  const path = layout.control(data);
  if (!hasEnvironment(path)) {
    const cure = "give the directory that migrate was given, or printed";
    throw new NanoError("config", `--data: no control store in ${data}; ${cure}`, { field: "--data", cure });
  }
  if (!readOnly) return whileLocked(data, () => withOpened(path, {}, work));
  // A system may be at work in the directory: what it writes must not be opened by another process.
  const copy = mkdtempSync(join(tmpdir(), "nanoactor-audit-"));
  try {
    copyEnvironment(path, copy);
    return await withOpened(copy, { readOnly }, work);
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

async function withOpened<T>(
  path: string,
  options: { readonly readOnly?: boolean },
  work: (control: ControlStore) => Promise<T>,
): Promise<T> {
  const control = openLmdbControl(path, options);
  try {
    return await work(control);
  } finally {
    await control.close();
  }
}

function print({ json }: AuditFlags, value: unknown, text: string): void {
  process.stdout.write(`${json === true ? JSON.stringify(value, undefined, 2) : text}\n`);
}

export function verifyText(audits: readonly PrefixAudit[]): string {
  const lines = audits.flatMap(({ prefix, entries, head, erased, faults, notes }) => [
    `${prefix}: ${entries} entries, ${faults.length === 0 ? "whole" : "NOT WHOLE"}, head ${head}` +
      (erased > 0 ? `, ${erased} keys erased` : ""),
    ...faults.map((fault) => `  WRONG ${fault}`),
    ...notes.map((note) => `  note ${note}`),
  ]);
  const wrong = audits.reduce((sum, { faults }) => sum + faults.length, 0);
  const total = audits.reduce((sum, { entries }) => sum + entries, 0);
  const verdict =
    wrong === 0 ? "nothing is wrong" : `${wrong} ${wrong === 1 ? "thing is" : "things are"} wrong`;
  const prefixes = `${audits.length} ${audits.length === 1 ? "prefix" : "prefixes"}`;
  return [...lines, `${prefixes}, ${total} entries: ${verdict}`].join("\n");
}

export function showText(prefix: string, entries: readonly DecisionEntry[]): string {
  if (entries.length === 0) return `${prefix}: nothing was ever decided`;
  return entries.map(entryText).join("\n");
}

function entryText({ n, atMs, decision, step, by, facts, keys }: DecisionEntry): string {
  const said = Object.entries(facts)
    .filter(([, value]) => value !== "")
    .map(([name, value]) => `${name} ${value}`);
  if (keys.length > 0) said.push(`${keys.length} keys: ${keys.map((hash) => hash.slice(0, 12)).join(" ")}`);
  const about = decision === "" ? "by hand" : decision;
  const details = said.length === 0 ? "" : `: ${said.join(", ")}`;
  return `${String(n).padStart(4)}  ${new Date(atMs).toISOString()}  ${about}  ${step} (${by})${details}`;
}

/**
 * Checks the decision logs against themselves and against the decisions that control holds: says in words what is wrong
 * and where. Reads only; needs nothing but the control store.
 *
 * What it can't see: a whole log and its head replaced by another that is consistent. Keep the head's hash elsewhere
 * for that.
 */

import { type ControlStore, controlKeys, type DecisionRecord } from "./control_store.ts";
import {
  type DecisionEntry,
  type Digest,
  entryHash,
  type HeadRecord,
  noHash,
  readEntries,
  type SaltRecord,
} from "./decision_log.ts";
import { isOpen, readDecisions } from "./decisions.ts";

export interface PrefixAudit {
  readonly prefix: string;
  readonly entries: number;
  /** Of the last entry; `noHash` without entries. */
  readonly head: string;
  /** Keys whose salts were erased. */
  readonly erased: number;
  /** What contradicts the log, in words; empty when it holds. */
  readonly faults: readonly string[];
  /** What a coordinator that died leaves behind until the next one writes it. */
  readonly notes: readonly string[];
}

/** Of every prefix that has a log, a head or a decision, in the order of their names. */
export async function auditDecisions(control: ControlStore, digest: Digest): Promise<PrefixAudit[]> {
  const decisions = await readDecisions(control);
  const prefixes = new Set(decisions.map(({ prefix }) => prefix));
  for (const { key } of await control.list(controlKeys.allAudits)) prefixes.add(key.split("/")[1] ?? "");
  const heads = controlKeys.auditHead("");
  for (const { key } of await control.list(heads)) prefixes.add(key.slice(heads.length));
  const audits: PrefixAudit[] = [];
  for (const prefix of [...prefixes].sort()) {
    const own = decisions.filter((decision) => decision.prefix === prefix);
    audits.push(await auditPrefix(control, digest, prefix, own));
  }
  return audits;
}

async function auditPrefix(
  control: ControlStore,
  digest: Digest,
  prefix: string,
  decisions: readonly DecisionRecord[],
): Promise<PrefixAudit> {
  const records = await control.list(controlKeys.audits(prefix));
  const entries = await readEntries(control, prefix);
  const head = (await control.get(controlKeys.auditHead(prefix)))?.value as HeadRecord | undefined;
  const places = records.map(({ key }) => Number(key.slice(controlKeys.audits(prefix).length)));
  const faults = [...chainFaults(digest, prefix, entries, places), ...headFaults(prefix, entries, head)];
  const notes: string[] = [];
  const last = entries.at(-1);
  if (head !== undefined && last !== undefined && last.n > head.n) {
    notes.push(`${prefix}: the head names entry ${head.n} of ${last.n}: a writer died between the two`);
  }
  const ends = endFaults(prefix, entries, decisions);
  const salts = await saltFaults(control, prefix, entries);
  return {
    prefix,
    entries: entries.length,
    head: last?.hash ?? noHash,
    erased: salts.erased,
    faults: [...faults, ...ends.faults, ...salts.faults],
    notes: [...notes, ...ends.notes],
  };
}

function chainFaults(
  digest: Digest,
  prefix: string,
  entries: readonly DecisionEntry[],
  places: readonly number[],
): string[] {
  const faults: string[] = [];
  let expected = 1;
  let before: DecisionEntry | undefined;
  entries.forEach((entry, i) => {
    const at = `${prefix}: entry ${places[i]}`;
    const place = places[i] ?? 0;
    if (place !== expected) faults.push(`${prefix}: ${missing(expected, place - 1)}`);
    if (entry.n !== place || entry.prefix !== prefix) {
      faults.push(`${at} is not in its place: it says that it is entry ${entry.n} of ${entry.prefix}`);
    }
    const { hash, ...fields } = entry;
    if (entryHash(digest, fields) !== hash)
      faults.push(`${at} was changed: its hash is not that of what it says`);
    if (place === expected && entry.previous !== (before?.hash ?? noHash)) {
      faults.push(`${at} does not follow the one before it: that one was changed or replaced`);
    }
    expected = place + 1;
    before = entry;
  });
  return faults;
}

function missing(from: number, to: number): string {
  return from === to ? `entry ${from} is missing` : `entries ${from} to ${to} are missing`;
}

function headFaults(
  prefix: string,
  entries: readonly DecisionEntry[],
  head: HeadRecord | undefined,
): string[] {
  const last = entries.at(-1);
  if (head === undefined) {
    // The first entry may be there before its head.
    return last === undefined || last.n === 1 ? [] : [`${prefix}: the log has no head`];
  }
  if (last === undefined || last.n < head.n) {
    return [`${prefix}: ${missing((last?.n ?? 0) + 1, head.n)} at the end`];
  }
  const named = entries.find(({ n }) => n === head.n);
  return named === undefined || named.hash === head.hash
    ? []
    : [`${prefix}: entry ${head.n} is not the one that the head names: the log's end was replaced`];
}

/** What control says of a decision and what the log says of it must agree. */
function endFaults(
  prefix: string,
  entries: readonly DecisionEntry[],
  decisions: readonly DecisionRecord[],
): { readonly faults: string[]; readonly notes: string[] } {
  const faults: string[] = [];
  const notes: string[] = [];
  const ends = new Map<string, DecisionEntry>();
  for (const entry of entries) {
    if (entry.step !== "swapped" && entry.step !== "aborted") continue;
    const earlier = ends.get(entry.decision);
    if (earlier !== undefined && earlier.step !== entry.step) {
      faults.push(
        `${prefix}: ${entry.decision} is ${earlier.step} in entry ${earlier.n} and ${entry.step} in ${entry.n}`,
      );
    }
    ends.set(entry.decision, earlier ?? entry);
  }
  const known = new Map(decisions.map((decision) => [decision.id, decision]));
  for (const [id, { n, step }] of ends) {
    const state = known.get(id)?.state;
    if (state !== step)
      faults.push(`${prefix}: entry ${n} has ${id} as ${step}, control as ${state ?? "unknown"}`);
  }
  decisions.forEach(({ id, state }, i) => {
    if (isOpen(state) || ends.has(id)) return;
    const text = `${prefix}: the log does not have the end of ${id}, which is ${state}`;
    if (i < decisions.length - 1) faults.push(text);
    else notes.push(`${text}: its coordinator died there; the next one writes it`);
  });
  return { faults, notes };
}

async function saltFaults(
  control: ControlStore,
  prefix: string,
  entries: readonly DecisionEntry[],
): Promise<{ readonly faults: string[]; readonly erased: number }> {
  const faults: string[] = [];
  let erased = 0;
  for (const { n, keys, salts: id } of entries) {
    if (id === "") continue;
    const record = (await control.get(controlKeys.auditSalts(prefix, id)))?.value as SaltRecord | undefined;
    if (record === undefined) faults.push(`${prefix}: the salts of entry ${n} are gone`);
    else if (record.salts.length !== keys.length) {
      faults.push(`${prefix}: entry ${n} has ${keys.length} keys and ${record.salts.length} salts`);
    } else erased += record.salts.filter((salt) => salt === "").length;
  }
  return { faults, erased };
}

/**
 * What must hold of a data directory after a death, given the journal of what its clients were told: nothing that was
 * acknowledged is missing at the site that serves it, nothing differs without a mark or range, no term is above the
 * counter's. Shares nothing with the product.
 */

import type { CohortSeen, DirectorySeen, RowSeen } from "./disk_view.ts";

/** What the clients of a data directory know, over all its lives. */
export class Journal {
  /** What each key may hold: the last acknowledged operation, and those after it whose outcome is unknown. */
  readonly #possible = new Map<string, Map<number, "put" | "delete">>();
  readonly #open = new Map<number, string>();
  acknowledged = 0;
  highestOperation = 0;

  /** A line that a victim reported. */
  read(line: string): void {
    const [type, number = "", key = "", kind = ""] = line.split(" ");
    const operation = Number(number);
    if (type === "i") {
      this.highestOperation = Math.max(this.highestOperation, operation);
      this.#open.set(operation, key);
      this.possible(key).set(operation, kind === "delete" ? "delete" : "put");
    } else if (type === "a") {
      const known = this.#open.get(operation);
      if (known === undefined) throw new Error(`operation ${operation} was acknowledged, and never sent`);
      this.acknowledged++;
      for (const earlier of this.possible(known).keys()) {
        if (earlier < operation) this.possible(known).delete(earlier);
      }
    }
  }

  keys(): string[] {
    return [...this.#possible.keys()];
  }

  /** By operation; 0 stands for the time before the first one. */
  possible(key: string): Map<number, "put" | "delete"> {
    let found = this.#possible.get(key);
    if (found === undefined) {
      found = new Map([[0, "delete"]]);
      this.#possible.set(key, found);
    }
    return found;
  }

  /** The process is dead and what it left was read: what was unknown is known now. */
  settle(found: ReadonlyMap<string, RowSeen | undefined>): void {
    for (const [key, row] of found) {
      const possible = this.possible(key);
      for (const [operation, kind] of possible) {
        if (!holds(row, operation, kind)) possible.delete(operation);
      }
    }
  }
}

function holds(row: RowSeen | undefined, operation: number, kind: "put" | "delete"): boolean {
  if (row === undefined || row.value === null) return kind === "delete";
  return kind === "put" && operationOf(row.value) === operation;
}

/** A value begins with its operation's number. */
function operationOf(value: Uint8Array): number {
  return Number.parseInt(Buffer.from(value.subarray(0, 12)).toString("latin1"), 10);
}

export interface Verdict {
  /** What is wrong, in words; [] if nothing is. */
  readonly faults: readonly string[];
  /** The rows at the sites that serve them. */
  readonly found: ReadonlyMap<string, RowSeen | undefined>;
  readonly differing: number;
  readonly marks: number;
}

export interface JudgedBackend {
  readonly backend: string;
  readonly prefixes: readonly string[];
}

/**
 * `settled`: nothing was under way and nothing dirty, so nothing may differ but what is in quarantine. `powerLost`: a
 * log's last frame may be torn so that it can't be told from one that was acknowledged: its shards are then suspect.
 */
export interface Judged {
  readonly settled: boolean;
  readonly powerLost: boolean;
}

export function judge(
  seen: DirectorySeen,
  journal: Journal,
  { backend, prefixes }: JudgedBackend,
  { settled, powerLost }: Judged,
): Verdict {
  const faults = termFaults(seen, powerLost);
  const found = new Map<string, RowSeen | undefined>();
  let differing = 0;
  for (const key of journal.keys()) {
    const prefix = prefixes.find((each) => key.startsWith(each)) ?? "*";
    const cohort = seen.control.cohorts.find((each) => each.cohort === `${backend}/${prefix}`);
    const site = cohort === undefined ? undefined : servingSite(seen, cohort);
    const row = `${backend}\0${key}\0`;
    const served = site === undefined ? undefined : seen.sites[site]?.rows.get(row);
    const quarantined = Object.values(seen.sites).some(
      ({ held, marks }) => held.has(row) || marks.get(row) === perrorOwner,
    );
    const candidates = quarantined ? Object.values(seen.sites).map(({ rows }) => rows.get(row)) : [served];
    const possible = journal.possible(key);
    const kept = candidates.findIndex((each) => [...possible].some(([of, kind]) => holds(each, of, kind)));
    if (kept < 0) {
      faults.push(
        `${key} at ${site ?? "no site"} holds ${shown(served)}; possible: ${[...possible].join(" ")}`,
      );
    } else found.set(key, candidates[kept]);
    if (cohort === undefined || site === undefined || cohort.phase === "off" || !differs(seen, row)) continue;
    differing++;
    if (quarantined) continue;
    if (settled) faults.push(`${key} differs though nothing is dirty`);
    else if (powerLost && isSuspect(seen, site)) continue;
    else if (!isAccounted(seen, site, row))
      faults.push(`${key} differs and has neither mark nor range at ${site}`);
  }
  const marks = Object.values(seen.sites).reduce((sum, each) => sum + each.marks.size, 0);
  return { faults, found, differing, marks };
}

/** As a log writes it. */
const perrorOwner = 2;

/** The outcome of the cohort's latest decision. */
function servingSite({ control }: DirectorySeen, { cohort, site }: CohortSeen): string {
  const decided = control.decisions
    .filter(({ cohorts, state }) => cohorts.includes(cohort) && state !== "announced")
    .sort((a, b) => a.blockTerm - b.blockTerm)
    .at(-1);
  if (decided === undefined) return site;
  return decided.state === "swapped" ? decided.to : decided.from;
}

function differs({ sites }: DirectorySeen, row: string): boolean {
  const [one, other] = Object.values(sites).map(({ rows }) => rows.get(row)?.value ?? null);
  if (one === undefined || other === undefined) return false;
  if (one === null || other === null) return one !== other;
  return Buffer.compare(one, other) !== 0;
}

function isSuspect({ sites }: DirectorySeen, site: string): boolean {
  return (sites[site]?.damaged ?? 0) > 0;
}

function isAccounted({ sites }: DirectorySeen, site: string, row: string): boolean {
  const { marks, ranges } = sites[site] ?? { marks: new Map<string, number>(), ranges: [] };
  if (marks.has(row)) return true;
  // Keys here are ASCII: JavaScript's order is that of their bytes.
  return ranges.some(({ cursor, to }) => row >= cursor && (to === "" || row < to));
}

function termFaults({ control, sites }: DirectorySeen, powerLost: boolean): string[] {
  const faults: string[] = [];
  const check = (what: string, term: number): void => {
    if (term > control.term) faults.push(`${what} is of term ${term}, and the counter is at ${control.term}`);
  };
  for (const [site, { rows, fences, shardTerms, damaged }] of Object.entries(sites)) {
    if (damaged > 0 && !powerLost) faults.push(`${site}: ${damaged} damaged frames in its logs`);
    for (const [key, { version }] of rows) check(`${site}: ${key}`, Math.max(version[0], version[1]));
    for (const [scope, term] of fences) check(`${site}: the fence ${scope}`, term);
    for (const [shard, term] of shardTerms) {
      check(`${site}: shard ${shard}'s log`, term);
      const known = control.shards.get(`${site}/${shard}`) ?? 0;
      if (known > term) faults.push(`${site}: control knows shard ${shard} at ${known}, its log at ${term}`);
    }
  }
  return faults;
}

function shown(row: RowSeen | undefined): string {
  if (row === undefined) return "nothing";
  const version = row.version.join(",");
  return row.value === null ? `a tombstone ${version}` : `${operationOf(row.value)} ${version}`;
}

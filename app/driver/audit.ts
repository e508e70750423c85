/**
 * The audits that run beside the traffic: a random sample every 250 ms, and every row of both stores at each
 * change of phase, in slices that leave the traffic its turns. Phases that arrive while a full audit runs are
 * answered by the next one. While the connection is down nothing is judged.
 */

import type { RowKey } from "../../actors/records.ts";
import type { MigrationPhase } from "../messages.ts";
import type { Authorities } from "./authorities.ts";
import { Chance, mix, streams } from "./chance.ts";
import type { Client } from "./client.ts";
import type { Examiner, Look } from "./examiner.ts";
import { driverLimits } from "./limits.ts";
import type { Model } from "./model.ts";
import type { RowNumber } from "./population.ts";
import { RowSet } from "./row_set.ts";

export interface AuditParts {
  readonly model: Model;
  readonly client: Client;
  readonly authorities: Authorities;
  readonly examiner: Examiner;
  /** A full audit for these phases ended; it judged so many keys. */
  readonly audited: (phase: MigrationPhase, keys: number) => void;
  /** An audit could not read a store. */
  readonly failed: (error: unknown) => void;
}

export class Audit {
  readonly #parts: AuditParts;
  readonly #chance: Chance;
  #phases: MigrationPhase[] = [];
  #sampling: NodeJS.Timeout | undefined;
  #sample: Promise<void> = Promise.resolve();
  #full: Promise<void> | undefined;
  #suspects = new Set<Promise<void>>();
  #hurried = false;

  constructor(parts: AuditParts) {
    this.#parts = parts;
    this.#chance = new Chance(mix(parts.model.population.seed, parts.model.nextOperation()), streams.audit);
  }

  /** Begins to sample. */
  start(): void {
    if (this.#sampling !== undefined) return;
    let busy = false;
    this.#sampling = setInterval(() => {
      if (busy || !this.#parts.client.connected) return;
      busy = true;
      this.#sample = this.#takeSample()
        .catch(this.#parts.failed)
        .finally(() => {
          busy = false;
        });
    }, driverLimits.sampleEveryMs);
  }

  /** Every row is to be looked at because a phase began. */
  phase(phase: MigrationPhase): void {
    this.#phases.push(phase);
    this.#full ??= this.#answerPhases()
      .catch(this.#parts.failed)
      .finally(() => {
        this.#full = undefined;
      });
  }

  /** Ends the samples; resolves when what is under way has been judged, full audits included. */
  async finish(): Promise<void> {
    clearInterval(this.#sampling);
    this.#hurried = true; // there is no traffic left to rest for
    await this.#sample;
    await this.#full;
    await Promise.all(this.#suspects);
  }

  async #answerPhases(): Promise<void> {
    while (this.#phases.length > 0) {
      const phases = this.#phases;
      this.#phases = [];
      const keys = await this.#auditAll();
      for (const phase of phases) this.#parts.audited(phase, keys);
    }
  }

  async #takeSample(): Promise<void> {
    await this.#parts.authorities.refresh();
    const rows = Array.from({ length: driverLimits.sampleKeys }, () => this.#randomRow());
    await this.#conclude(this.#parts.examiner.lookAtRows([...new Set(rows)]));
  }

  #randomRow(): RowNumber {
    const { population } = this.#parts.model;
    for (;;) {
      const row = this.#chance.below(population.rows);
      if (population.has(population.unitOf(row).backend)) return row;
    }
  }

  async #auditAll(): Promise<number> {
    const { model, examiner } = this.#parts;
    const seen = new RowSet(model.population.rows);
    let keys = 0;
    for (let shard = 0; shard < examiner.sides.shards; shard++) keys += await this.#auditShard(shard, seen);
    return keys + (await this.#auditUnseen(seen));
  }

  async #auditShard(shard: number, seen: RowSet): Promise<number> {
    const { examiner } = this.#parts;
    let keys = 0;
    let from: RowKey | undefined = "";
    while (from !== undefined) {
      await this.#ready();
      const startedMs = performance.now();
      const page = examiner.sides.page(shard, from, driverLimits.sliceRows);
      const look = examiner.look(page.pairs);
      for (const row of look.rows) seen.add(row);
      const tookMs = performance.now() - startedMs;
      await this.#conclude(look);
      keys += look.judged;
      from = page.next;
      await this.#rest(tookMs);
    }
    return keys;
  }

  /** Rows that neither side showed: they must be acceptable as absent. */
  async #auditUnseen(seen: RowSet): Promise<number> {
    const { model, examiner } = this.#parts;
    let keys = 0;
    let rows: RowNumber[] = [];
    for (let row = 0; row < model.population.rows; row++) {
      if (!seen.has(row) && model.population.has(model.population.unitOf(row).backend)) rows.push(row);
      if (rows.length < driverLimits.sliceRows && row < model.population.rows - 1) continue;
      await this.#ready();
      const startedMs = performance.now();
      const look = examiner.lookAtRows(rows);
      const tookMs = performance.now() - startedMs;
      await this.#conclude(look);
      keys += look.judged;
      rows = [];
      await this.#rest(tookMs);
    }
    return keys;
  }

  async #conclude(look: Look): Promise<void> {
    const { suspects } = await this.#parts.examiner.conclude(look);
    const watched = suspects.catch(this.#parts.failed).finally(() => this.#suspects.delete(watched));
    this.#suspects.add(watched);
  }

  /** Waits for the connection, and knows the authorities afterwards. */
  async #ready(): Promise<void> {
    while (!this.#parts.client.connected && !this.#hurried) await sleep(driverLimits.recheckMs);
    await this.#parts.authorities.refresh();
  }

  async #rest(tookMs: number): Promise<void> {
    await sleep(this.#hurried ? 0 : tookMs * driverLimits.sliceRestFactor);
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * The driver: an independent witness in a process of its own. It loads the population, presses traffic
 * through the system, keeps the journal and the shadow model, audits both sides' stores all along and
 * compares every row at the end. Its messages are those of app/messages.ts; what it needs of the world
 * comes in as `DriverWorld`.
 */

import { existsSync, mkdirSync, renameSync } from "node:fs";
import { dirname } from "node:path";
import type { ControlStore } from "../../actors/control_store.ts";
import type { Site } from "../../actors/records.ts";
import { unreachable } from "../../src/index.ts";
import { jobFiles, sites } from "../layout.ts";
import type { DriverResult, FromDriver, JobSettings, ToDriver } from "../messages.ts";
import { Audit } from "./audit.ts";
import { Authorities } from "./authorities.ts";
import { Client } from "./client.ts";
import { Examiner, type ExaminerParts } from "./examiner.ts";
import { compareEverything } from "./final_comparison.ts";
import { Findings } from "./findings.ts";
import { Journal } from "./journal.ts";
import { Judge } from "./judge.ts";
import { driverLimits, type TrafficSettings } from "./limits.ts";
import { type LoadStore, loadPopulation, measurePopulation, type PopulationSize } from "./loading.ts";
import { Model } from "./model.ts";
import { drawPoison } from "./poison.ts";
import { Population } from "./population.ts";
import { type OpenReader, Sides } from "./sides.ts";
import { Statistics } from "./statistics.ts";
import { Traffic } from "./traffic.ts";

/** What the driver reaches outside itself. */
export interface DriverWorld {
  /** Opens a store for writing, before the system does; makes it, if need be. */
  readonly openStore: (site: Site, shard: number) => Promise<LoadStore>;
  /** Does what writes the stores while no other process can. */
  readonly whileLocked: <T>(work: () => Promise<T>) => Promise<T>;
  readonly openReader: OpenReader;
  /** Made, if need be. */
  readonly openControl: () => Promise<Records>;
  readonly send: (message: FromDriver) => void;
}

type Records = Pick<ControlStore, "list" | "close">;

/** What it reads of the system under test: opened before that system, which alone makes it safe. */
interface Evidence {
  readonly sides: Sides;
  readonly control: Records;
}

export class Driver {
  readonly #world: DriverWorld;
  readonly #model: Model;
  readonly #journal: Journal;
  readonly #size: PopulationSize;
  readonly #evidence: Evidence;
  readonly #client: Client;
  readonly #traffic: Traffic;
  readonly #findings: Findings;
  readonly #statistics = new Statistics();
  /** What audits and the comparison at the end judge by, and where they tell it. */
  readonly #examinerParts: ExaminerParts;
  readonly #audit: Audit;
  #progress: NodeJS.Timeout | undefined;
  #work: Promise<void> = Promise.resolve();

  private constructor(
    settings: JobSettings,
    world: DriverWorld,
    pace: TrafficSettings,
    model: Model,
    journal: Journal,
    evidence: Evidence,
  ) {
    this.#world = world;
    this.#model = model;
    this.#journal = journal;
    this.#evidence = evidence;
    this.#size = measurePopulation(model.population);
    this.#findings = new Findings(model.population.fixedRows);
    this.#client = new Client({
      connected: (anew) => this.#connected(anew),
      settled: () => this.#traffic.settle(),
    });
    const [judge, client, findings] = [new Judge(model), this.#client, this.#findings];
    const poison = drawPoison(model.population, settings.poisonKeys, settings.reversedPrefix);
    this.#traffic = new Traffic({
      model,
      journal,
      poison,
      judge,
      client,
      findings,
      statistics: this.#statistics,
      settings: pace,
    });
    this.#examinerParts = { model, judge, client, findings, authorities: new Authorities(evidence.control) };
    this.#audit = this.#newAudit();
    world.send({
      type: "loaded",
      users: model.population.users.length,
      rows: this.#size.rows,
      poisonKeys: poison.map((row) => model.population.rowKeyOf(row)),
    });
  }

  /**
   * Loads the population, or recovers the model from the journal of an earlier run, opens both sides' stores, and says
   * `loaded`: the system may start.
   */
  static async prepare(settings: JobSettings, world: DriverWorld, pace: TrafficSettings): Promise<Driver> {
    const { seed, users, shards, backends, dataDirectory } = settings;
    const model = new Model(new Population(seed, users, backends));
    const path = jobFiles.journal(dataDirectory);
    const header = Buffer.from(JSON.stringify({ format: 1, seed, users, shards, backends }));
    const evidence = await world.whileLocked(async () => {
      if (!existsSync(path)) {
        mkdirSync(dirname(path), { recursive: true });
        const [local, remote] = sites;
        await loadPopulation(model.population, shards, (shard) => world.openStore(local, shard));
        for (let shard = 0; shard < shards; shard++) await (await world.openStore(remote, shard)).close();
        // The journal's name says that the population stands: it appears last.
        Journal.create(`${path}.new`, header).close();
        renameSync(`${path}.new`, path);
      }
      return { sides: new Sides(shards, world.openReader), control: await world.openControl() };
    });
    const journal = Journal.recover(path, header, (event) => model.apply(event));
    if (journal.recovered > 0) {
      const restart = { type: "restart", settledAtMs: Date.now() + driverLimits.unknownSettleMs } as const;
      journal.append(restart);
      journal.flush();
      model.apply(restart);
    }
    return new Driver(settings, world, pace, model, journal, evidence);
  }

  /** Takes a message of the parent; messages are worked on one after the other. */
  handle(message: ToDriver): Promise<void> {
    if (message.type === "phase") {
      this.#audit.phase(message.phase);
      return this.#work;
    }
    this.#work = this.#work.then(() => this.#handle(message));
    return this.#work;
  }

  /** Ends everything and closes what is open. */
  async close(): Promise<void> {
    clearInterval(this.#progress);
    this.#client.close();
    await this.#evidence.sides.close();
    await this.#evidence.control.close();
    this.#journal.close();
  }

  async #handle(message: Exclude<ToDriver, { type: "phase" }>): Promise<void> {
    switch (message.type) {
      case "connect":
        this.#client.connect(message.port);
        return;
      case "finish":
        await this.#traffic.finish();
        await this.#audit.finish();
        clearInterval(this.#progress);
        this.#sendProgress(0, 0);
        this.#world.send({ type: "idle" });
        return;
      case "compare":
        await this.#compare(message.perrorKeys);
        return;
      default:
        unreachable(message);
    }
  }

  #newAudit(): Audit {
    return new Audit({
      ...this.#examinerParts,
      examiner: new Examiner(this.#examinerParts, this.#evidence.sides),
      audited: (phase, keys) => this.#world.send({ type: "audited", phase, keys }),
      failed: (error) => this.#fail(error),
    });
  }

  #connected(anew: boolean): void {
    if (anew) this.#traffic.incarnation();
    this.#traffic.start();
    this.#audit.start();
    this.#startProgress();
    this.#world.send({ type: "traffic_started" });
  }

  #startProgress(): void {
    if (this.#progress !== undefined) return;
    let { reads, writes } = this.#statistics;
    let lastMs = performance.now();
    this.#progress = setInterval(() => {
      const nowMs = performance.now();
      const perSecond = (count: number): number => Math.round((count * 1_000) / (nowMs - lastMs));
      this.#sendProgress(
        perSecond(this.#statistics.writes - writes),
        perSecond(this.#statistics.reads - reads),
      );
      ({ reads, writes } = this.#statistics);
      lastMs = nowMs;
    }, driverLimits.progressEveryMs);
  }

  #sendProgress(writesPerSecond: number, readsPerSecond: number): void {
    this.#world.send({
      type: "progress",
      progress: {
        writesPerSecond,
        readsPerSecond,
        acknowledgedWrites: this.#model.acknowledgedWrites,
        inFlight: this.#traffic.inFlight,
        unaccounted: this.#findings.unaccountedMax,
        lost: this.#findings.lostCount,
        auditedKeys: this.#findings.auditedKeys,
      },
    });
  }

  async #compare(perrorKeys: readonly string[]): Promise<void> {
    await compareEverything(this.#examinerParts, this.#evidence.sides, new Set(perrorKeys));
    this.#world.send({ type: "result", result: this.#result() });
  }

  #result(): DriverResult {
    const { population } = this.#model;
    return {
      users: population.users.length,
      rows: this.#size.rows,
      valueBytes: this.#size.valueBytes,
      acknowledged: {
        writes: this.#model.acknowledgedWrites,
        lost: this.#findings.lostCount,
        lostKeys: this.#findings.lostKeys,
      },
      unaccounted: this.#findings.unaccounted(population.places),
      unequal: this.#findings.unequalRows,
      operations: this.#statistics.operations,
      writesPerSecondMedian: this.#statistics.writesPerSecondMedian,
      longestPauseMs: this.#statistics.longestPauseMs,
      latency: this.#statistics.latency,
    };
  }

  #fail(error: unknown): void {
    const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    this.#world.send({ type: "failed", code: "driver", message });
  }
}

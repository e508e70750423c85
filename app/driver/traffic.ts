/**
 * The traffic: a closed loop that keeps a bounded number of operations in flight at a bounded rate, from
 * `start` to `finish`, across lost connections. Intents are journaled before they are sent and outcomes
 * before they are counted; refused operations come again later as new ones; takes with an unknown outcome
 * are repeated under their request id. Answers are judged against the model as they come.
 */

import { Choice, type Plan, type ReadPlan, type WritePlan } from "./choice.ts";
import type { Client, Outcome } from "./client.ts";
import { CodeLoad } from "./code_load.ts";
import type { DriverEvent, WriteIntent } from "./events.ts";
import type { Findings } from "./findings.ts";
import type { Journal } from "./journal.ts";
import { type Judge, requestId } from "./judge.ts";
import { driverLimits, type TrafficSettings } from "./limits.ts";
import { type Model, stateWord } from "./model.ts";
import type { RowNumber } from "./population.ts";
import { ReadCheck } from "./read_check.ts";
import { Retries } from "./retries.ts";
import type { Statistics } from "./statistics.ts";
import { TakeCheck } from "./take_check.ts";

export interface TrafficParts {
  readonly model: Model;
  readonly judge: Judge;
  readonly journal: Journal;
  readonly client: Client;
  readonly findings: Findings;
  readonly statistics: Statistics;
  readonly settings: TrafficSettings;
  readonly poison: readonly RowNumber[];
}

/** How often the loop looks for tokens; Node's timers are no finer. */
const pumpEveryMs = 1;

interface Recorded {
  readonly event: DriverEvent;
  readonly then: () => void;
}

export class Traffic {
  readonly #parts: TrafficParts;
  readonly #choice: Choice;
  readonly #retries: Retries;
  readonly #reads: ReadCheck;
  readonly #takes: TakeCheck;
  readonly #load: CodeLoad;
  #recorded: Recorded[] = [];
  #timer: NodeJS.Timeout | undefined;
  #tokens = 0;
  #refilledMs = 0;
  #inFlight = 0;
  #finished: (() => void) | undefined;

  constructor(parts: TrafficParts) {
    this.#parts = parts;
    this.#choice = new Choice(parts.model, parts.settings, parts.poison, parts.model.nextOperation());
    this.#retries = new Retries(parts.model, this.#choice);
    this.#reads = new ReadCheck(parts.model, parts.judge, parts.findings);
    this.#takes = new TakeCheck(parts.model, parts.judge, parts.findings);
    this.#load = new CodeLoad(parts.model.population, parts.settings.codeWritesMax);
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Begins, or goes on after an interruption. */
  start(): void {
    this.#parts.statistics.start(performance.now());
    if (this.#timer !== undefined) return;
    this.#refilledMs = performance.now();
    this.#timer = setInterval(() => this.pump(), pumpEveryMs);
  }

  /** Issues nothing more; resolves when nothing is in flight. */
  async finish(): Promise<void> {
    clearInterval(this.#timer);
    await new Promise<void>((resolve) => {
      this.#finished = resolve;
      this.#checkFinished();
    });
    this.#parts.statistics.finish(performance.now());
  }

  /** Another process serves now: what the last one had not admitted is settled. */
  incarnation(): void {
    this.#record({ type: "incarnation" }, () => undefined);
    this.settle();
  }

  /** Journals the outcomes of a batch of answers, then counts them. */
  settle(): void {
    const recorded = this.#recorded;
    this.#recorded = [];
    this.#parts.journal.flush();
    for (const { event, then } of recorded) {
      this.#parts.model.apply(event);
      then();
    }
    this.#checkFinished();
    this.pump();
  }

  /** Issues as many operations as rate, bound and connection allow. */
  pump(): void {
    const { client, journal, settings } = this.#parts;
    if (this.#finished !== undefined || this.#timer === undefined || !client.connected) return;
    this.#refill();
    this.#tick();
    while (this.#tokens >= 1 && this.#inFlight < settings.inFlightMax) {
      const plan = this.#retries.due(performance.now()) ?? this.#chosen();
      this.#tokens -= 1;
      if (plan !== undefined) this.#issue(plan);
    }
    journal.flush();
    client.flush();
  }

  /** The next operation, unless the users of its calling code have enough writes waiting. */
  #chosen(): Plan | undefined {
    const plan = this.#choice.next();
    return plan !== undefined && isWrite(plan) && this.#load.isFull(plan.unit.user) ? undefined : plan;
  }

  #refill(): void {
    const { operationsPerSecond, inFlightMax } = this.#parts.settings;
    const nowMs = performance.now();
    const earned = ((nowMs - this.#refilledMs) * operationsPerSecond) / 1_000;
    this.#tokens = Math.min(inFlightMax, this.#tokens + earned);
    this.#refilledMs = nowMs;
  }

  #tick(): void {
    const { model, journal } = this.#parts;
    const nowMs = Math.max(Date.now(), model.clock.lastTickMs);
    if (nowMs - model.clock.lastTickMs < 1_000) return;
    const event: DriverEvent = { type: "tick", operation: model.nextOperation(), nowMs };
    journal.append(event);
    model.apply(event);
  }

  #issue(plan: Plan): void {
    this.#inFlight++;
    if (isWrite(plan)) this.#write(plan);
    else this.#read(plan);
  }

  #write(plan: WritePlan): void {
    const { model, journal, client } = this.#parts;
    const intent = intentOf(plan, model.nextOperation());
    journal.append(intent);
    model.apply(intent);
    this.#load.began(plan.unit.user);
    const sentMs = performance.now();
    const [operation, message] = this.#request(plan, intent);
    client.request(plan.unit.backend, operation, message, (outcome) => {
      this.#inFlight--;
      this.#load.ended(plan.unit.user);
      this.#writeEnded(plan, intent, outcome, sentMs);
    });
  }

  #writeEnded(plan: WritePlan, intent: WriteIntent, outcome: Outcome, sentMs: number): void {
    const { statistics } = this.#parts;
    const { operation } = intent;
    switch (outcome.type) {
      case "done": {
        const event =
          intent.type === "take"
            ? this.#takes.judge(plan.unit, intent, outcome.result)
            : ({ type: "acknowledged", operation } as const);
        const nowMs = performance.now();
        this.#record(event, () => statistics.writeDone(sentMs, nowMs));
        return;
      }
      case "refused":
        this.#record({ type: "refused", operation }, () => {
          statistics.refused(outcome.code);
          this.#retries.refused(plan, outcome.code, performance.now());
        });
        return;
      case "unknown": {
        const settledAtMs = Date.now() + driverLimits.unknownSettleMs;
        this.#record({ type: "unknown", operation, settledAtMs }, () => {
          statistics.unknown++;
          this.#retries.unknown(plan, intent, performance.now());
        });
        return;
      }
    }
  }

  #read(plan: ReadPlan): void {
    const { client, statistics } = this.#parts;
    const check = this.#reads.begin(plan);
    const sentMs = performance.now();
    client.request(plan.unit.backend, plan.type, check.message, (outcome) => {
      this.#inFlight--;
      const settled = check.end(outcome);
      if (outcome.type === "done") statistics.readDone(sentMs, performance.now());
      else if (outcome.type === "refused") statistics.refused(outcome.code);
      for (const { row, word } of settled) {
        const operation = stateWord.operation(word);
        const removes = stateWord.isAbsent(word);
        this.#record({ type: "settled", row, operation, removes }, () => undefined);
      }
    });
  }

  #record(event: DriverEvent, then: () => void): void {
    this.#parts.journal.append(event);
    this.#recorded.push({ event, then });
  }

  #checkFinished(): void {
    if (this.#finished !== undefined && this.#inFlight === 0) this.#finished();
  }

  /** The operation's name and message, in the words of protocol.ts. */
  #request(plan: WritePlan, intent: WriteIntent): [operation: string, message: unknown] {
    const { values, expiries } = this.#parts.judge;
    const { population } = this.#parts.model;
    const { backend, key } = plan.unit;
    const value = (row: RowNumber): Buffer => values.make(backend, row, intent.operation);
    if (intent.type === "upload") {
      const keys = intent.rows.map((row) => ({ id: population.subOf(plan.unit, row), value: value(row) }));
      return ["upload", { key, keys }];
    }
    if (intent.type === "take") return ["take", { key, requestId: requestId(intent.request) }];
    const relationship = backend === "blocklist" || backend === "groups";
    const address = relationship ? { key, member: population.subOf(plan.unit, intent.row) } : { key };
    if (intent.type === "remove") return [relationship ? "remove" : "delete", address];
    const message = { ...address, value: value(intent.row) };
    const expiresAtMs = expiries.of(backend, intent.operation);
    return [relationship ? "add" : "put", expiresAtMs === 0 ? message : { ...message, expiresAtMs }];
  }
}

function isWrite(plan: Plan): plan is WritePlan {
  switch (plan.type) {
    case "put":
    case "remove":
    case "upload":
    case "take":
      return true;
    case "get":
    case "list":
    case "count":
    case "of":
      return false;
  }
}

function intentOf(plan: WritePlan, operation: number): WriteIntent {
  switch (plan.type) {
    case "put":
    case "remove":
      return { type: plan.type, operation, row: plan.row };
    case "upload":
      return { type: "upload", operation, user: plan.unit.user, rows: plan.rows };
    case "take":
      return { type: "take", operation, user: plan.unit.user, request: plan.request ?? operation };
  }
}

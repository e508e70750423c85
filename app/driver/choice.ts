/**
 * What the traffic does next: a user by Zipf, a backend and an operation by weight, a row by what the model
 * knows.
 */

import { Chance, mix, streams } from "./chance.ts";
import { driverLimits, type TrafficSettings } from "./limits.ts";
import { type Model, stateWord } from "./model.ts";
import type { Backend, RowNumber, Unit } from "./population.ts";
import { scatter, Zipf } from "./zipf.ts";

export type WritePlan =
  | { readonly type: "put" | "remove"; readonly unit: Unit; readonly row: RowNumber }
  /** `rows` beyond the population's are new keys. */
  | { readonly type: "upload"; readonly unit: Unit; readonly rows: readonly RowNumber[] }
  /** `request` repeats an earlier take whose outcome is unknown. */
  | { readonly type: "take"; readonly unit: Unit; readonly request: number | undefined };

export type ReadPlan =
  | { readonly type: "get" | "list" | "count"; readonly unit: Unit }
  | { readonly type: "of"; readonly unit: Unit; readonly row: RowNumber };

export type Plan = WritePlan | ReadPlan;

/** Shares of the operations by backend. Only their ratios matter. */
const writeWeights: readonly [Backend, number][] = [
  ["device_platform", 32],
  ["profile_picture", 8],
  ["blocklist", 20],
  ["groups", 25],
  ["public_keys", 15],
];
const readWeights: readonly [Backend, number][] = [
  ["device_platform", 45],
  ["profile_picture", 15],
  ["blocklist", 15],
  ["groups", 15],
  ["public_keys", 10],
];

/** A reverse lookup asks every shard: one read of a relationship in ten. */
const reverseShare = 0.1;
const removeShare = 0.3;
const keysOfUpload = 4;
const keysLow = 4;
const uploadShare = 0.1;
/** How often a busy or empty place is passed over before the turn is. */
const triesMax = 8;

export class Choice {
  readonly #model: Model;
  readonly #settings: TrafficSettings;
  readonly #chance: Chance;
  readonly #zipf: Zipf;
  readonly #userOfRank: (rank: number) => number;
  readonly #poison: readonly RowNumber[];
  readonly #writes: readonly [Backend, number][];
  readonly #reads: readonly [Backend, number][];

  /** `run` differs for each start of the driver: one that starts again does not repeat itself. */
  constructor(model: Model, settings: TrafficSettings, poison: readonly RowNumber[], run: number) {
    const { population } = model;
    this.#model = model;
    this.#settings = settings;
    this.#poison = poison;
    this.#chance = new Chance(mix(population.seed, run), streams.traffic);
    this.#zipf = new Zipf(population.users.length, settings.skew);
    this.#userOfRank = scatter(population.users.length);
    this.#writes = writeWeights.filter(([backend]) => population.has(backend));
    this.#reads = readWeights.filter(([backend]) => population.has(backend));
  }

  /** The next operation; undefined if chance found only busy or empty places. */
  next(): Plan | undefined {
    const writes = this.#chance.float() < this.#settings.writeShare;
    for (let attempt = 0; attempt < triesMax; attempt++) {
      const plan = writes ? this.#write() : this.#read();
      if (plan !== undefined) return plan;
    }
    return undefined;
  }

  /** A time in ms around `meanMs`, for waiting apart from others. */
  jitter(meanMs: number): number {
    return meanMs * (0.5 + this.#chance.float());
  }

  #write(): WritePlan | undefined {
    if (this.#poison.length > 0 && this.#chance.float() < this.#settings.poisonShare)
      return this.#writePoison();
    const backend = weighted(this.#writes, this.#chance);
    switch (backend) {
      case "public_keys":
        return this.#writeKeys();
      case "device_platform":
      case "profile_picture":
      case "blocklist":
      case "groups":
        return this.#writeRow(backend);
    }
  }

  #writePoison(): WritePlan | undefined {
    const row = this.#poison[this.#chance.below(this.#poison.length)];
    if (row === undefined || this.#model.isBusy(row)) return undefined;
    return { type: "put", unit: this.#model.population.unitOf(row), row };
  }

  #writeRow(backend: Backend): WritePlan | undefined {
    const unit = this.#unit(backend, this.#hotUser());
    if (unit === undefined || unit.count === 0) return undefined;
    const row = unit.first + this.#chance.below(unit.count);
    if (this.#model.isBusy(row)) return undefined;
    const there = !stateWord.isAbsent(this.#model.acknowledged(row));
    const removes = there && this.#chance.float() < removeShare;
    return { type: removes ? "remove" : "put", unit, row };
  }

  /**
   * One-time keys are taken by whoever writes to a user first: spread over all users, unlike the rest. A user
   * with few keys left uploads more, up to what one user may have.
   */
  #writeKeys(): WritePlan | undefined {
    const { population } = this.#model;
    const unit = population.unit(this.#chance.below(population.users.length), "public_keys");
    if (this.#model.isBusy(unit.first)) return undefined;
    const { lower } = this.#model.keyBounds(unit);
    if (lower >= keysLow && this.#chance.float() >= uploadShare)
      return { type: "take", unit, request: undefined };
    const room = driverLimits.oneTimeKeysPerUserMax - unit.count - population.uploaded(unit.user).length;
    if (room < keysOfUpload) return lower > 0 ? { type: "take", unit, request: undefined } : undefined;
    const rows = Array.from({ length: keysOfUpload }, (_, index) => population.rows + index);
    return { type: "upload", unit, rows };
  }

  #read(): ReadPlan | undefined {
    const backend = weighted(this.#reads, this.#chance);
    const unit = this.#unit(backend, this.#hotUser());
    if (unit === undefined || unit.count === 0) return undefined;
    switch (backend) {
      case "device_platform":
      case "profile_picture":
        return { type: "get", unit };
      case "blocklist":
      case "groups":
        if (this.#chance.float() >= reverseShare) return { type: "list", unit };
        return { type: "of", unit, row: unit.first + this.#chance.below(unit.count) };
      case "public_keys":
        return { type: "count", unit };
    }
  }

  #hotUser(): number {
    return this.#userOfRank(this.#zipf.draw(this.#chance));
  }

  #unit(backend: Backend, user: number): Unit | undefined {
    const { population } = this.#model;
    if (backend !== "groups") return population.unit(user, backend);
    const groups = population.groupCount(user);
    return groups === 0 ? undefined : population.unit(user, "groups", this.#chance.below(groups));
  }
}

function weighted(weights: readonly [Backend, number][], chance: Chance): Backend {
  const total = weights.reduce((sum, [, weight]) => sum + weight, 0);
  let left = chance.float() * total;
  for (const [backend, weight] of weights) {
    left -= weight;
    if (left < 0) return backend;
  }
  return weights.at(-1)?.[0] ?? "device_platform";
}

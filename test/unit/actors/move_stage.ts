/**
 * A move of +49 from A to B by itself: control and the decision log are what they are, the shards answer what the
 * scenario says, after the time that it says, and note what they are asked.
 */

import { expect } from "vitest";
import { type ControlStore, controlKeys, type DecisionRecord } from "../../../actors/control_store.ts";
import { type CoveragePart, changeCoverage } from "../../../actors/coverage.ts";
import { type DecisionEntry, DecisionLog } from "../../../actors/decision_log.ts";
import {
  type Move,
  type MoveContext,
  MoveInWork,
  type MoveReport,
  VerificationPace,
} from "../../../actors/failover_move.ts";
import type { ShardLoad } from "../../../actors/read_only_prediction.ts";
import type { DirtyRange, RowKey } from "../../../actors/records.ts";
import type { SiteCounts, SiteOptions, SiteShards, SiteVerification } from "../../../actors/site_shards.ts";
import { MemoryControl } from "../../../actors/stores/memory_control.ts";
import { nodeDigest } from "../../../actors/stores/sha256.ts";
import { type From, genServer, noReply, type Ref, type Self, toErrorData } from "../../../src/index.ts";
import { simulateSeed, type World } from "../../../src/simulation/index.ts";

export const cohort = "things/+49";

export const move: Move = { prefix: "+49", cohorts: [cohort], from: "A", to: "B" };

export const idle: ShardLoad = {
  shard: 0,
  dirty: 0,
  perror: 0,
  dirtyOfAll: 0,
  queued: 0,
  parked: 0,
  remoteAnswers: true,
  repairsPerSecond: 1_000,
  pace: { roundTripMs: 2, perRowMs: 0.1 },
};

export const noCounts: SiteCounts = { marks: 0, pending: 0, perror: 0, ranges: 0, lagMs: 0 };

export const part: CoveragePart = {
  cohort,
  site: "A",
  epoch: 4,
  rows: 1_000,
  fullFromMs: 0,
  fullToMs: 0,
  againFromMs: 0,
  againRows: 7,
};

type Ranges = readonly { readonly shard: number; readonly range: DirtyRange }[];

/** Answers are taken in turn; the last one stays. */
export class Shards {
  loads: readonly ShardLoad[][] = [[idle]];
  counts: readonly SiteCounts[] = [noCounts];
  ranges: readonly Ranges[] = [[]];
  mismatches: readonly number[] = [0];
  changed: readonly number[] = [0];
  verifications: readonly SiteVerification[] = [{ verified: 10, differing: 0, parts: [[part]] }];
  held: readonly RowKey[] = [];
  /** By what is asked, virtual ms. */
  readonly takesMs: Record<string, number> = {};
  /** What is asked and fails, and how often. */
  readonly failing: Record<string, number> = {};
  /** Hears of each question before it is answered. */
  onAsked: (what: string) => void | Promise<void> = () => undefined;
  readonly asked: string[] = [];
  readonly #world: World;
  readonly #taken = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
  }

  get all(): SiteShards {
    const fake = {
      loads: () => this.#answer("loads", this.loads),
      counts: () => this.#answer("counts", this.counts),
      ranges: () => this.#answer("ranges", this.ranges),
      changed: () => this.#answer("changed", this.changed),
      verify: () => this.#answer("verify", this.verifications),
      validate: (_: string, { changedOnly }: { changedOnly: boolean }) =>
        this.#answer(changedOnly ? "validate what changed" : "validate", this.mismatches),
      refresh: (site: string) => this.#answer(`refresh ${site}`, [undefined]),
      letGo: (site: string) => this.#answer(`let go ${site}`, [undefined]),
      pauseCrawlers: () => this.#answer("pause crawlers", [undefined]),
      resumeCrawlers: () => this.#answer("resume crawlers", [undefined]),
      carryHeld: async (_: string, __: string, ___: unknown, { mayGoOn }: { mayGoOn: () => void }) => {
        mayGoOn();
        return this.#answer("carry held", [this.held]);
      },
      quarantined: () => this.#answer("quarantined", [this.held]),
      adopt: () => this.#answer("adopt", [[9]]),
      recordAdopted: (site: string, epochs: readonly number[], parts: SiteVerification["parts"]) =>
        this.#answer(`record adopted ${site} ${epochs.join()} ${parts.length}`, [undefined]),
      releaseHeld: (site: string, _: unknown, earlier: readonly string[]) =>
        this.#answer(`release held ${site} ${earlier.join()}`, [undefined]),
      unhold: (site: string, [id]: readonly string[]) => this.#answer(`unhold ${site} ${id}`, [undefined]),
      retried: <T>(attempt: () => Promise<T>) => attempt(),
      pause: (ms: number) => {
        this.asked.push(`pause ${ms}`);
        return this.#world.sleep(ms);
      },
    };
    return fake as unknown as SiteShards;
  }

  async #answer<T>(what: string, answers: readonly T[]): Promise<T> {
    this.asked.push(what);
    await this.onAsked(what);
    await this.#world.sleep(this.takesMs[what] ?? 1);
    if ((this.failing[what] ?? 0) > 0) {
      this.failing[what] = (this.failing[what] ?? 0) - 1;
      throw new Error(`${what} fails`);
    }
    const turn = this.#taken.get(what) ?? 0;
    this.#taken.set(what, turn + 1);
    return answers[Math.min(turn, answers.length - 1)] as T;
  }
}

interface Moving {
  readonly context: MoveContext;
  leftUndone: number;
  work: MoveInWork | undefined;
}

const mover = genServer(import.meta.url, "mover", {
  deadlines: "own",
  init: ({ open }: { open: (self: Self) => MoveContext }, self: Self): Moving => ({
    context: open(self),
    leftUndone: 0,
    work: undefined,
  }),
  call: {
    run: (state, asked: Move, from: From<MoveReport>) => {
      const { self } = state.context;
      state.work = new MoveInWork(state.context, asked);
      state.work.run().then(
        (report) => self.reply(from, report),
        (error) => self.replyError(from, toErrorData(error)),
      );
      return noReply;
    },
    held: (state) => state.work?.held ?? "",
    leftUndone: (state) => state.leftUndone,
    verifyMs: (state, keys: number) => state.context.pace.verifyMs(keys),
  },
  cast: {
    abort: (state, why: string) => state.work?.abort(why),
    leftUndone: (state) => {
      state.leftUndone++;
    },
  },
});

export interface MoveStage {
  readonly world: World;
  readonly shards: Shards;
  readonly memory: MemoryControl;
  readonly mover: Ref<typeof mover>;
  readonly run: (more?: Partial<Move>) => Promise<MoveReport>;
  /** The move's decision as control has it. */
  readonly decision: () => DecisionRecord | undefined;
  /** The steps that the decision log has, in order. */
  readonly steps: () => string[];
  readonly entries: () => DecisionEntry[];
  /** How the move sees control. */
  readonly control: Controlled;
}

/** Control, as slow and as bad as it is made. */
export class Controlled implements ControlStore {
  takesMs = 1;
  /** Hears of each write before it is done; may throw instead of it. */
  onWrite: (key: string, value: unknown) => void | Promise<void> = () => undefined;
  /** Hears of each write that was done; may throw. */
  onWritten: (key: string, value: unknown) => void = () => undefined;
  /** Hear of each read before it is done; may throw. */
  onRead: (key: string) => void = () => undefined;
  onList: (prefix: string) => void = () => undefined;
  readonly #memory: MemoryControl;
  readonly #world: World;

  constructor(memory: MemoryControl, world: World) {
    this.#memory = memory;
    this.#world = world;
  }

  async get(key: string) {
    this.onRead(key);
    return this.#memory.get(key);
  }

  async list(prefix: string) {
    this.onList(prefix);
    return this.#memory.list(prefix);
  }

  async compareAndSet(key: string, revision: number, value: unknown) {
    await this.#world.sleep(this.takesMs);
    await this.onWrite(key, value);
    const written = await this.#memory.compareAndSet(key, revision, value);
    this.onWritten(key, value);
    return written;
  }

  nextTerm() {
    return this.#memory.nextTerm();
  }

  async close() {}
}

/** Control as it is before a move: the cohort is live at A, and was compared just now. */
export async function controlBefore(world: World): Promise<{ memory: MemoryControl; control: Controlled }> {
  const memory = new MemoryControl();
  const record = { cohort, phase: "live", site: "A", term: 1 };
  await memory.compareAndSet(controlKeys.cohort(cohort), 0, record);
  await changeCoverage(memory, 0, { found: 0, parts: [{ ...part, fullFromMs: world.wallMs }] });
  return { memory, control: new Controlled(memory, world) };
}

/** Of a coordinator of one shard. */
export const options: SiteOptions = {
  sites: ["A", "B"],
  shards: 1,
  prefixes: ["+49"],
  leaseMs: 0,
  sending: { sendBatchMax: 100, sendsInFlightMax: 2 },
};

export async function playMove(scenario: (stage: MoveStage) => Promise<void>): Promise<void> {
  await simulateSeed({ seed: 1 }, async (world) => {
    const { memory, control } = await controlBefore(world);
    const shards = new Shards(world);
    const { system } = await world.node("n");
    const open = (self: Self): MoveContext => ({
      self,
      options,
      control,
      shards: shards.all,
      log: new DecisionLog(self, control, nodeDigest),
      pace: new VerificationPace(),
    });
    const pid = await system.spawn(mover, { open });
    const ref = system.ref(mover, pid);
    const values = <T>(prefix: string) => memory.listNow(prefix).map(({ value }) => value as T);
    await scenario({
      world,
      shards,
      memory,
      control,
      mover: ref,
      run: (more = {}) => ref.call.run({ ...move, ...more }, { timeoutMs: 10_000_000 }),
      decision: () => values<DecisionRecord>("decision/").at(-1),
      entries: () => values<DecisionEntry>("audit/"),
      steps: () => values<DecisionEntry>("audit/").map(({ step }) => step),
    });
  });
}

/** It was aborted with this reason, and the old side serves. */
export async function aborts(
  stage: MoveStage,
  reason: string,
  more: Partial<Move> = {},
): Promise<MoveReport> {
  const report = await stage.run(more);
  expect(report).toMatchObject({ outcome: "aborted", reason: expect.stringContaining(reason) });
  expect(stage.decision()?.state).toBe("aborted");
  expect(stage.steps().at(-1)).toBe("aborted");
  return report;
}

/**
 * The life of the system's process: started by the command with settings and poison keys as its argument, speaks
 * app/messages.ts over IPC, ends when the command does.
 */

import { readFileSync } from "node:fs";
import { readDecisions } from "../../actors/db_failover.ts";
import { readPhase } from "../../actors/db_migration.ts";
import type { RowKey, Site } from "../../actors/records.ts";
import { NanoError, toErrorData } from "../../src/index.ts";
import { sites } from "../layout.ts";
import type {
  FromSystem,
  JobSettings,
  MigrationPhase,
  PrefixReport,
  SystemProgress,
  SystemResult,
  ToSystem,
} from "../messages.ts";
import { Faults, movesFrom } from "./faults.ts";
import { startFrontEnd } from "./front_end.ts";
import { type Job, type JobReplacements, migrationPlan, startJob } from "./job.ts";
import { answered, isOfRestart } from "./restarts.ts";

export interface SystemArgument {
  readonly settings: JobSettings;
  readonly poison: readonly RowKey[];
}

const progressMs = 500;
const settlePollMs = 50;

/** Shares of the traffic's time: the moves, with a reserve for those that come late. */
const movesFromWithoutFaults = 0.2;
const movesUntil = 0.95;

/** Writes in flight when the traffic ends are answered within this; what is left then is a defect. */
const settleMsMax = 30_000;

function say(message: FromSystem): void {
  process.send?.(message);
}

/** Never returns an error: it is said to the command. `replaced`: see SitePlan. */
export function runSystem(replaced: JobReplacements = {}): void {
  process.on("disconnect", () => process.exit(1));
  // Ctrl-C reaches the whole group; this process ends with the command, by its disconnection.
  process.on("SIGINT", () => undefined);
  run(JSON.parse(process.argv[2] ?? "{}") as SystemArgument, replaced).catch((error) => {
    fail(error);
    process.exit(1);
  });
}

async function run({ settings, poison }: SystemArgument, replaced: JobReplacements): Promise<void> {
  const job = await startJob(settings, poison, replaced);
  const resumed = (await readPhase(job.control)) !== "off";
  const faults = new Faults(job.sites.system, settings.shards);
  const frontEnd = await startFrontEnd((backend, operation, message) =>
    serve(job, backend, operation, message),
  );
  const watch = new Watch(job, settings);
  let rssAnonBytesMax = 0;
  const timer = setInterval(() => {
    rssAnonBytesMax = Math.max(rssAnonBytesMax, rssAnonBytes());
    watch.look().catch((error) => process.stderr.write(`progress: ${toErrorData(error).message}\n`));
  }, progressMs);
  const stop = async (): Promise<void> => {
    clearInterval(timer);
    faults.stop();
    await frontEnd.close();
    await job.stop();
    process.exit(0);
  };
  process.on("message", (message: ToSystem) => {
    switch (message.type) {
      case "traffic_started":
        if (settings.faults) faults.start(settings.seconds);
        migrate(job, settings).catch(fail);
        return;
      case "settle":
        settle(job, settings, faults)
          .then((result) => say({ type: "settled", result: { ...result, rssAnonBytesMax } }))
          .catch(fail);
        return;
      case "stop":
        stop().catch(fail);
    }
  });
  say({ type: "ready", port: frontEnd.port, resumed });
}

function serve(job: Job, backend: string, operation: string, message: unknown): Promise<unknown> {
  if (backend !== "admin") return job.run(backend, operation, message);
  return job.sites.accounts((message as { readonly keys: readonly RowKey[] }).keys);
}

async function migrate(job: Job, settings: JobSettings): Promise<void> {
  const from = settings.faults ? movesFrom : movesFromWithoutFaults;
  const atShare = (share: number): number => Date.now() + share * settings.seconds * 1_000;
  const times = { movesFromMs: atShare(from), movesUntilMs: atShare(movesUntil) };
  await job.sites.migration.call.run(migrationPlan(job, settings, times));
}

/** Tells the command about phases and progress. */
class Watch {
  readonly #job: Job;
  readonly #settings: JobSettings;
  #phase: MigrationPhase | undefined;
  #migrated = false;

  constructor(job: Job, settings: JobSettings) {
    this.#job = job;
    this.#settings = settings;
  }

  async look(): Promise<void> {
    const { phase, moves, stopped } = await this.#job.sites.migration.call.progress();
    if (phase !== this.#phase) {
      this.#phase = phase;
      say({ type: "phase", phase });
    }
    if (phase === "swapped" && !this.#migrated) {
      this.#migrated = true;
      say({ type: "migrated" });
    }
    const total = this.#settings.prefixes.length + 2;
    const sums = await this.#job.sites.counts();
    const progress: SystemProgress = {
      phase,
      detail: stopped,
      share: phase === "failing_over" ? moves.length / total : phase === "swapped" ? 1 : 0,
      swappedPrefixes: moves.filter(({ outcome }) => outcome === "swapped").length,
      ...sums,
    };
    say({ type: "progress", progress });
  }
}

/** Waits until nothing is dirty but what db_perror holds, on both sites, or says what is still dirty. */
async function settle(
  job: Job,
  settings: JobSettings,
  faults: Faults,
): Promise<Omit<SystemResult, "rssAnonBytesMax">> {
  const deadline = performance.now() + settleMsMax;
  let settled = await isSettled(job);
  while (!settled && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, settlePollMs));
    settled = await isSettled(job);
  }
  const dirty = settled ? 0 : (await answered(() => job.sites.counts())).dirty;
  const perror: { key: string; reason: string; site: Site }[] = [];
  for (const site of sites) {
    const entries = await answered(() => job.sites.perror(site));
    perror.push(...entries.map(({ key, reason }) => ({ key, reason, site })));
  }
  const report = await faults.report();
  const compared = await coverageAtEnd(job);
  return { prefixes: await prefixReports(job, settings), faults: report, perror, dirty, compared };
}

/** What changed since the last comparison is compared once more: nothing moves any longer. */
async function coverageAtEnd({ sites: both }: Job): Promise<SystemResult["compared"]> {
  try {
    await both.compare({ changedOnly: true });
  } catch (error) {
    // The remote fails, a shard restarts, or a migration that still validates began one: coverage says what there is.
    if (!(error instanceof NanoError)) throw error;
  }
  const { cohorts: _, ...all } = await answered(() => both.coverage());
  return all;
}

/** False as well while a shard restarts: a thread may have been killed just before. */
async function isSettled(job: Job): Promise<boolean> {
  try {
    return await job.sites.settled();
  } catch (error) {
    if (isOfRestart(error)) return false;
    throw error;
  }
}

/** From the decisions, which outlive every restart; the times of moves before a restart are not known. */
async function prefixReports(job: Job, settings: JobSettings): Promise<PrefixReport[]> {
  const decisions = await readDecisions(job.control);
  const { moves } = await answered(() => job.sites.migration.call.progress());
  return settings.prefixes.map((prefix) => {
    const own = decisions.filter((decision) => decision.prefix === prefix);
    const timed = moves.filter((move) => move.prefix === prefix && move.outcome === "swapped");
    const swapped = own.filter(({ state }) => state === "swapped");
    const last = swapped.at(-1);
    return {
      prefix,
      state: last?.to === sites[1] ? "swapped" : "local",
      history: own.map(({ state, to }) =>
        state !== "swapped" ? state : to === sites[1] ? "swapped" : "reversed",
      ),
      readOnlyMs: timed.map(({ readOnlyMs }) => Math.round(readOnlyMs)),
      predictedReadOnlyMs: timed.map(({ predictedReadOnlyMs }) => predictedReadOnlyMs),
      compared: swapped.flatMap(({ compared }) => {
        if (compared === undefined) return [];
        const { rows, againRows, fullAgeMs, againAgeMs } = compared;
        return [{ rows, againRows, fullAgeMs, againAgeMs }];
      }),
    };
  });
}

/** Anonymous memory of this process: what is not a mapped file. 0 where the platform does not tell. */
function rssAnonBytes(): number {
  try {
    const found = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"));
    return Number(found?.[1] ?? 0) * 1_024;
  } catch {
    return 0;
  }
}

function fail(error: unknown): void {
  const { code, message } = toErrorData(error);
  say({ type: "failed", code, message });
  process.exitCode = 1;
}

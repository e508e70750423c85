/**
 * `nanoactor migrate`: starts the driver and the system, brings them together, shows progress, and judges the end.
 * Either may die: then the command says how to go on with the same data directory.
 */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Child } from "./children.ts";
import type { FromDriver, FromSystem, JobSettings, ToDriver, ToSystem } from "./messages.ts";
import { type ProgressView, startProgress } from "./progress.ts";
import { makeReport, type Report } from "./report.ts";

const driverModule = new URL("./driver/main.js", import.meta.url);
const systemModule = new URL("./system/main.js", import.meta.url);

/** A migration that says for so long why it can't go on is judged as it stands; its retries take fractions of it. */
const stuckMsMax = 30_000;

/** Both children end by themselves well within this. */
const endGraceMs = 10_000;

export interface MigrateOptions {
  readonly quiet: boolean;
  /** Ends the traffic once a key is lost or unaccounted for: more would prove nothing new. */
  readonly untilDisproved?: boolean;
  /** A system's module that stands for the product's: to prove that the proof can fail. */
  readonly system?: URL;
}

type Driver = Child<ToDriver, FromDriver>;
type System = Child<ToSystem, FromSystem>;

/** Errors: `crashed` when a child ended early; the data directory is intact then. */
export async function migrate(settings: JobSettings, options: MigrateOptions): Promise<Report> {
  const startedMs = performance.now();
  const view = startProgress({ seconds: settings.seconds, quiet: options.quiet });
  const children: { end(graceMs: number): Promise<void> }[] = [];
  const logPath = (name: string): string => join(settings.dataDirectory, `${name}.log`);
  try {
    view.note(`data in ${settings.dataDirectory}`);
    const driver: Driver = new Child("driver", driverModule, settings, logPath("driver"));
    children.push(driver);
    const { users, rows, poisonKeys } = await driver.next("loaded");
    view.note(`${users} users, ${rows} rows on site A`);
    const argument = { settings, poison: poisonKeys };
    const system: System = new Child("system", options.system ?? systemModule, argument, logPath("system"));
    children.push(system);
    writePids(settings, driver, system);
    const { driverResult, systemResult } = await Promise.race([
      conduct(settings, driver, system, { view, untilDisproved: options.untilDisproved ?? false }),
      driver.failed,
      system.failed,
    ]);
    const seconds = (performance.now() - startedMs) / 1_000;
    return makeReport(settings, driverResult, systemResult, seconds);
  } finally {
    view.close();
    await Promise.all(children.map((child) => child.end(endGraceMs)));
  }
}

interface Watching {
  readonly view: ProgressView;
  readonly untilDisproved: boolean;
}

async function conduct(settings: JobSettings, driver: Driver, system: System, watching: Watching) {
  const { view } = watching;
  const hopeless = relay(driver, system, watching);
  const { port, resumed } = await system.next("ready");
  if (resumed) view.note("going on from where an earlier run was");
  driver.send({ type: "connect", port });
  await driver.next("traffic_started");
  system.send({ type: "traffic_started" });
  const trafficEnds = new Promise((resolve) => setTimeout(resolve, settings.seconds * 1_000));
  await Promise.race([system.next("migrated").then(() => trafficEnds), hopeless]);
  driver.send({ type: "finish" });
  await driver.next("idle");
  system.send({ type: "settle" });
  const { result: systemResult } = await system.next("settled");
  const perrorKeys = [...new Set(systemResult.perror.map(({ key }) => key))];
  driver.send({ type: "compare", perrorKeys });
  const { result: driverResult } = await driver.next("result");
  system.told();
  system.send({ type: "stop" });
  await system.ended;
  return { driverResult, systemResult };
}

/**
 * Phases go to the driver, which audits every key at each; progress of both goes to the view. Resolves when there is
 * nothing more to wait for: the migration has been stuck for too long, or is disproved.
 */
function relay(driver: Driver, system: System, { view, untilDisproved }: Watching): Promise<void> {
  let stuckSinceMs: number | undefined;
  return new Promise((resolve) => {
    system.onMessage((message) => {
      if (message.type === "phase") {
        view.note(`phase ${message.phase}`);
        driver.send({ type: "phase", phase: message.phase });
      } else if (message.type === "progress") {
        view.system(message.progress);
        const { detail } = message.progress;
        if (detail === "") stuckSinceMs = undefined;
        else if (stuckSinceMs === undefined) {
          stuckSinceMs = performance.now();
          view.note(`the migration waits: ${detail}`);
        } else if (performance.now() - stuckSinceMs > stuckMsMax) resolve();
      }
    });
    driver.onMessage((message) => {
      if (message.type !== "progress") return;
      const { progress } = message;
      view.driver(progress);
      if (untilDisproved && progress.lost + progress.unaccounted > 0) resolve();
    });
  });
}

/** So that a test, or an operator, finds the processes of this data directory. */
function writePids({ dataDirectory }: JobSettings, driver: Driver, system: System): void {
  const pids = { parent: process.pid, driver: driver.pid, system: system.pid };
  writeFileSync(join(dataDirectory, "pids.json"), JSON.stringify(pids));
}

/** Where the report goes if no place was named. */
export function defaultReportDirectory(settings: JobSettings): string {
  return join(settings.dataDirectory, "report");
}

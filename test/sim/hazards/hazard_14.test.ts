/**
 * The tail of the dirty log: bytes that were never synced when the power goes, a record that was begun and not ended,
 * and what can't be read any more though it was synced.
 */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { type Findings, hazard, judge } from "./hazard.ts";
import { copiedAndCutOff, lastPlaceOf, rangesOf } from "./log_files.ts";
import { forgetful_log, trusting_log, unsynced_log } from "./log_twins.ts";

const keys = Array.from({ length: 8 }, (_, i) => `+491701${i}`);

/** All keys are acknowledged and marked; the mark of one more is on its way to the disk. */
async function powerGoes(sites: TwoSites, world: World): Promise<Findings> {
  await copiedAndCutOff(sites);
  const unaccounted = sites.watchUnaccounted();
  const acknowledged = await Promise.all(keys.map((key) => sites.write(key, "acknowledged")));
  const wrong = acknowledged.every((answer) => answer) ? [] : ["a write was refused"];
  sites.points.arm("A log append");
  const last = sites.write("+4917100", "in flight");
  await sites.reached("A log append");
  // Time enough for whoever does not wait for the disk.
  await world.sleep(20);
  sites.points.release("A log append");
  await world.sleep(0);
  sites.crash({ powerLoss: true });
  if (await last) wrong.push("what was not synced was acknowledged");
  sites.points.disarm("A log append");
  await sites.restart();
  sites.weather("A").down = false;
  return judge(sites, unaccounted, wrong);
}

hazard({
  number: 14,
  title: "what of the log was not synced when the power went was not acknowledged either",
  seeds: Array.from({ length: 12 }, (_, i) => i + 1),
  play: powerGoes,
  twin: { name: "a log that acknowledges before it syncs", replaced: { db_dirty_log: unsynced_log } },
});

/** A bit of a synced mark turns over while the machine is down. */
async function bitRots(sites: TwoSites, key: string): Promise<Findings> {
  await copiedAndCutOff(sites);
  const unaccounted = sites.watchUnaccounted();
  for (const each of keys) await sites.write(each, "acknowledged");
  const { path, offset } = lastPlaceOf(sites, key);
  sites.crash();
  sites.disk.rot(path, { offset });
  await sites.restart();
  const wrong = rangesOf(sites).includes("log_lost") ? [] : ["nobody noticed"];
  sites.weather("A").down = false;
  return judge(sites, unaccounted, wrong);
}

hazard({
  number: 14,
  title: "a synced record that can't be read any more makes its shard a dirty range",
  play: (sites) => bitRots(sites, keys[3] ?? ""),
  twin: { name: "a log that skips what it can't read", replaced: { db_dirty_log: trusting_log } },
});

hazard({
  number: 14,
  title: "the last synced record is no torn tail, if it can't be read",
  play: (sites) => bitRots(sites, keys.at(-1) ?? ""),
  twin: { name: "a log that skips what it can't read", replaced: { db_dirty_log: trusting_log } },
});

/** What was acknowledged last is gone as if it had never been written; the mirror has it. */
async function tailVanishes(sites: TwoSites): Promise<Findings> {
  await copiedAndCutOff(sites);
  const unaccounted = sites.watchUnaccounted();
  for (const each of keys.slice(0, 4)) await sites.write(each, "acknowledged");
  const { path } = lastPlaceOf(sites, keys[3] ?? "");
  const size = sites.disk.read(path).byteLength;
  for (const each of keys.slice(4)) await sites.write(each, "acknowledged");
  sites.crash();
  sites.disk.lie(path, size);
  await sites.restart();
  const wrong = rangesOf(sites).length > 0 ? ["compared as a whole"] : [];
  sites.weather("A").down = false;
  return judge(sites, unaccounted, wrong);
}

hazard({
  number: 14,
  title: "a synced tail that vanishes whole is found in the mirror",
  options: {
    mirror: (site) => ({ type: "local", policy: "required", folder: (thread) => `mirror/${site}-${thread}` }),
  },
  play: tailVanishes,
  twin: { name: "a log that tells its mirror nothing", replaced: { db_dirty_log: forgetful_log } },
});

/** The mirror is down, and the disk with the log is lost afterwards, when the mirror is back: under both policies. */

import type { MirrorPolicy } from "../../../actors/log_mirror.ts";
import type { ControlCall } from "../../../app/simulate/sim_control.ts";
import type { TwoSites, WorldOptions } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { gate } from "./gate.ts";
import { type Findings, hazard, judge } from "./hazard.ts";
import { copiedAndCutOff, logFolder, rangesOf } from "./log_files.ts";
import { hurried_log, silent_log } from "./log_twins.ts";

const mirrored = (policy: MirrorPolicy): WorldOptions => ({
  mirror: (site) => ({ type: "local", policy, folder: (thread) => `mirror/${site}-${thread}` }),
});

function mirrorDies(sites: TwoSites): void {
  sites.disk.faults.broken.add("mirror/");
}

function mirrorIsBack(sites: TwoSites): void {
  sites.disk.faults.broken.delete("mirror/");
}

/** The disk is lost in the instant in which the mirror is back, before it could hear of anything. */
async function diskLost(sites: TwoSites): Promise<void> {
  sites.crash();
  sites.disk.wipe(logFolder);
  mirrorIsBack(sites);
  await sites.restart();
}

// --- required ----------------------------------------------------------------------------------------------------

async function required(sites: TwoSites, world: World): Promise<Findings> {
  await copiedAndCutOff(sites);
  const unaccounted = sites.watchUnaccounted();
  const wrong: string[] = [];
  await sites.write("+4917056", "mirrored");
  mirrorDies(sites);
  if (await sites.write("+4917156", "not mirrored"))
    wrong.push("a write was acknowledged without its mirror");
  await world.sleep(5_000);
  if (await sites.write("+4917256", "not mirrored")) wrong.push("a later one was");
  await diskLost(sites);
  if (rangesOf(sites).length > 0) wrong.push("the mirror was not loaded");
  if (!(await sites.write("+4917356", "mirrored again"))) wrong.push("writes are refused though it is back");
  sites.weather("A").down = false;
  return judge(sites, unaccounted, wrong);
}

hazard({
  number: 56,
  title: "a required mirror that is down refuses writes, so a disk that is lost then has nothing of its own",
  options: mirrored("required"),
  play: required,
  twin: { name: "a log that mirrors after it acknowledged", replaced: { db_dirty_log: hurried_log } },
});

// --- degrade -----------------------------------------------------------------------------------------------------

async function degraded(sites: TwoSites, world: World): Promise<Findings> {
  await copiedAndCutOff(sites);
  const unaccounted = sites.watchUnaccounted();
  const wrong: string[] = [];
  mirrorDies(sites);
  // Control remembers first: while it does not, nothing is acknowledged.
  const matches = (call: unknown): boolean => (call as ControlCall).key.startsWith("mirror/A");
  sites.points.arm("control compareAndSet", { matches });
  let acknowledged = false;
  const written = sites.write("+4917056", "not mirrored").then((answer) => {
    acknowledged = answer;
  });
  await world.sleep(1_000);
  if (acknowledged) wrong.push("acknowledged before control knew");
  sites.points.disarm("control compareAndSet");
  sites.points.release("control compareAndSet");
  await written;
  if (!acknowledged) wrong.push("a write was refused");
  const words = await gate(sites);
  if (!/the mirror of A's shards 0 is stale/.test(words)) wrong.push(`the gate says: ${words}`);
  await diskLost(sites);
  if (!rangesOf(sites).includes("log_lost")) wrong.push("the stale mirror was trusted");
  sites.weather("A").down = false;
  return judge(sites, unaccounted, wrong);
}

hazard({
  number: 56,
  title: "a mirror that was left behind is not loaded when the disk is lost: everything is suspect",
  options: mirrored("degrade"),
  play: degraded,
  twin: { name: "a log that does not record that it went on alone", replaced: { db_dirty_log: silent_log } },
});

/** It comes back with the log alive: the gate stays closed until the shard was compared as a whole. */
async function mirrorCaughtUp(sites: TwoSites, world: World): Promise<Findings> {
  await copiedAndCutOff(sites);
  const unaccounted = sites.watchUnaccounted();
  const wrong: string[] = [];
  mirrorDies(sites);
  if (!(await sites.write("+4917056", "not mirrored"))) wrong.push("a write was refused");
  mirrorIsBack(sites);
  const stands = () => rangesOf(sites).includes("mirror_stale");
  await world.eventually("a range over the shard", stands, 10_000).catch(() => wrong.push("no range"));
  await world.sleep(100);
  const words = await gate(sites);
  if (!/1 range still copied or repaired/.test(words)) wrong.push(`the gate says: ${words}`);
  sites.weather("A").down = false;
  const findings = await judge(sites, unaccounted, wrong);
  const after = await gate(sites);
  if (after !== "") return { ...findings, wrong: [...findings.wrong, after] };
  // It is trusted again.
  await sites.write("+3317056", "mirrored");
  await diskLost(sites);
  if (rangesOf(sites).length > 0)
    return { ...findings, wrong: [...findings.wrong, "the mirror was not loaded"] };
  return judge(sites, unaccounted, findings.wrong);
}

hazard({
  number: 56,
  title: "a mirror that was left behind and is back is trusted again once its shard was compared",
  options: mirrored("degrade"),
  play: mirrorCaughtUp,
  twin: { name: "a log that does not record that it went on alone", replaced: { db_dirty_log: silent_log } },
});

/** Takes of one-time keys whose answers are unknown, late, or given just before the swap: no key has two holders. */

import { publicKeys } from "../../../actors/backends/public_keys.ts";
import { type Row, splitRowKey } from "../../../actors/records.ts";
import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import { queue } from "../../../src/index.ts";
import { drained_ledger } from "../../sabotage/twins.ts";
import { decisionBecomes, ending, isUp } from "./at_rest.ts";
import { forgetting_switch, hasty_amends_switch } from "./data_twins.ts";
import { hazard, judge } from "./hazard.ts";

const key = "+4917055";
const forEver = 60_000;

/** Of the key's rows: one with this id. */
function ofKey(id: string) {
  return (details: unknown): boolean =>
    (details as { readonly rows: readonly Row[] }).rows.some((row) => splitRowKey(row.key).sub === id);
}

/** Three keys, on both sides; requests of one key do not wait for each other on their way to the shard. */
async function uploaded(sites: TwoSites): Promise<void> {
  await sites.copied();
  const { call } = await sites.access(publicKeys, { writers: 4, routing: queue() });
  const keys = ["k1", "k2", "k3"].map((id) => ({ id, value: new TextEncoder().encode(id) }));
  await sites.alive(call.upload({ key, keys }));
  await sites.settled();
}

/** The id of the key that this request has from now on, or the code of its refusal. */
async function take(sites: TwoSites, requestId: string, timeoutMs = forEver): Promise<string> {
  const { call } = await sites.access(publicKeys);
  const answer = await ending(sites.alive(call.take({ key, requestId }, { timeoutMs })));
  if (answer === null) return "none";
  return "id" in answer ? answer.id : answer.code;
}

/** What differs from what each request should have. */
function mismatches(
  given: Readonly<Record<string, string>>,
  wanted: Readonly<Record<string, string>>,
): string[] {
  const names = Object.keys(wanted).filter((name) => given[name] !== wanted[name]);
  return names.map((name) => `${name} has ${given[name]}, not ${wanted[name]}`);
}

hazard({
  number: 55,
  title:
    "a take that is repeated after an unknown answer, on the other side, gets the key that it had burned",
  play: async (sites, world) => {
    await uploaded(sites);
    const unaccounted = sites.watchUnaccounted();
    sites.points.arm("A store applied", { matches: ofKey("k1") });
    const unknown = await take(sites, "r1", 300);
    sites.points.drop("A store applied");
    sites.kill("A", "db_store");
    await world.sleep(1);
    await isUp(sites, world, sites.name("A", "db_switch"));
    const other = await take(sites, "r2");
    await ending(sites.move("+49"));
    const repeated = await take(sites, "r1");
    const last = await take(sites, "r3");
    const wanted = { unknown: "timeout", other: "k2", repeated: "k1", last: "k3" };
    return judge(sites, unaccounted, mismatches({ unknown, other, repeated, last }, wanted));
  },
  twin: { name: "takes without a request's id", replaced: { db_switch: forgetting_switch } },
});

hazard({
  number: 55,
  title: "a key whose take is not committed yet is not given to another request",
  play: async (sites, world) => {
    await uploaded(sites);
    const unaccounted = sites.watchUnaccounted();
    sites.points.arm("A log append");
    const first = take(sites, "r1");
    await sites.reached("A log append");
    const second = take(sites, "r2");
    await world.sleep(100);
    sites.points.release("A log append");
    const given = { first: await first, second: await second };
    return judge(sites, unaccounted, mismatches(given, { first: "k1", second: "k2" }));
  },
  twin: { name: "amends that read what is pending", replaced: { db_switch: hasty_amends_switch } },
});

hazard({
  number: 55,
  title: "a key that was given just before the block is not given again by the new side",
  play: async (sites) => {
    await uploaded(sites);
    const unaccounted = sites.watchUnaccounted();
    sites.points.arm("control compareAndSet", decisionBecomes("blocking"));
    const move = ending(sites.move("+49"));
    await sites.reached("control compareAndSet");
    // The send of the taken key is held on the network: it takes a repair to bring it over.
    sites.points.arm("A apply request", { matches: ofKey("k1") });
    const before = await take(sites, "r1");
    await sites.reached("A apply request");
    sites.points.release("control compareAndSet");
    await move;
    const after = await take(sites, "r2");
    sites.points.release("A apply request");
    return judge(sites, unaccounted, mismatches({ before, after }, { before: "k1", after: "k2" }));
  },
  twin: { name: "a ledger that says it has drained", replaced: { db_dirty_keys: drained_ledger } },
});

/** Found by thinking about what a site can lose beside what it serves: a replica's store, the account of holds. */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import { NanoError } from "../../../src/index.ts";
import type { World } from "../../../src/simulation/index.ts";
import { ending, isUp, within } from "./at_rest.ts";
import { counting_crawler, hasty_log, unheeding_ledger, unrecalling_ledger } from "./found_twins.ts";
import { hazard, judge, rowOf } from "./hazard.ts";
import { replaceDisk } from "./rogue.ts";

const keys = Array.from({ length: 20 }, (_, i) => `+49${48_000 + i}`);
const poison = "+4917501";
const row = rowOf(poison);

hazard({
  number: "N13",
  title: "a replica whose disk was wiped is filled again, and what it lacks lies in a range until then",
  play: async (sites, world) => {
    await sites.copied();
    for (const key of keys) await sites.write(key, "v");
    await sites.write("+49480001", "gone soon");
    await sites.write("+49480001", null);
    await sites.settled();
    sites.crash();
    replaceDisk(sites, "B");
    sites.disk.wipe("B/log-0");
    await sites.restart();
    const range = () =>
      sites
        .ledger("A")
        ?.ranges()
        .some(({ reason }) => reason === "peer_lost") === true;
    const wrong = await within("A has a range over what B lost", () =>
      world.eventually("it has", range, 5_000),
    );
    const unaccounted = sites.watchUnaccounted();
    await within("A has filled B", () => sites.settled(10_000));
    const move = await ending(sites.move("+49"));
    if (!("outcome" in move) || move.outcome !== "swapped") wrong.push("the prefix does not move to B");
    else if (!(await sites.write("+4948000", "after"))) wrong.push("B does not serve it");
    return judge(sites, unaccounted, wrong);
  },
  twin: { name: "a peer that is not told", replaced: { db_dirty_keys: unheeding_ledger } },
});

/** B rejects v2 of a key, serves its prefix since then, and holds that key. */
async function heldAtB(sites: TwoSites, world: World): Promise<void> {
  await sites.copied();
  await sites.write(poison, "v1");
  await sites.settled();
  sites.weather("A").rejected.add(row);
  await sites.write(poison, "v2");
  await world.eventually("it is quarantined", () => sites.ledger("A")?.owner(row) === "perror", 10_000);
  await ending(sites.move("+49"));
}

/** The node dies, and comes back without a site's log. */
async function loseLog(sites: TwoSites, world: World, site: "A" | "B"): Promise<void> {
  sites.crash();
  sites.disk.wipe(`${site}/log-0`);
  await sites.restart();
  await isUp(sites, world, sites.name(site, "db_switch"));
  await within("the log's range is repaired", () => sites.settled(10_000));
}

/** The prefix goes back to where v2 is, and the key is healed from there. */
async function healed(sites: TwoSites, world: World): Promise<string[]> {
  await ending(sites.move("+49", "B", "A"));
  const wrong = (await sites.read(poison)) === "v2" ? [] : ["v2, which was acknowledged, is lost"];
  sites.weather("A").rejected.clear();
  await world.sleep(100);
  await sites.write(poison, "v3");
  return wrong;
}

hazard({
  number: "N14",
  title: "a key that a swap carried over is still held when the new side has lost its log",
  play: async (sites, world) => {
    await heldAtB(sites, world);
    await loseLog(sites, world, "B");
    const unaccounted = sites.watchUnaccounted();
    const answer = await ending(sites.read(poison));
    const wrong = answer instanceof NanoError && answer.code === "held" ? [] : [`B shows ${String(answer)}`];
    wrong.push(...(await healed(sites, world)));
    return judge(sites, unaccounted, wrong);
  },
  twin: { name: "a start that recalls nothing", replaced: { db_dirty_keys: unrecalling_ledger } },
});

hazard({
  number: "N15",
  title: "a key that the new side holds is still quarantined when the old side has lost its log",
  play: async (sites, world) => {
    await heldAtB(sites, world);
    const unaccounted = sites.watchUnaccounted();
    await loseLog(sites, world, "A");
    const wrong = await healed(sites, world);
    return judge(sites, unaccounted, wrong);
  },
  twin: { name: "a start that recalls nothing", replaced: { db_dirty_keys: unrecalling_ledger } },
});

hazard({
  number: "N17",
  title: "rows that only the peer has because it serves them do not stop a crawl",
  options: { tuning: { deletesPerRangeMax: 5 } },
  play: async (sites, world) => {
    await sites.copied();
    await sites.write("+3317501", "v1");
    await ending(sites.move("+49"));
    // What B takes does not reach A for a while, and A loses its log: it crawls everything.
    sites.weather("B").down = true;
    for (const key of keys) await sites.write(key, "only at B");
    sites.crash();
    sites.disk.wipe("A/log-0");
    await sites.restart();
    await isUp(sites, world, sites.name("A", "db_switch"));
    const unaccounted = sites.watchUnaccounted();
    const repaired = () => sites.ledger("A")?.ranges().length === 0;
    const wrong = await within("A has crawled everything", () => world.eventually("it has", repaired, 5_000));
    if (keys.some((key) => sites.shown("B", key) !== "only at B")) wrong.push("a row of B is gone");
    sites.weather("B").down = false;
    return judge(sites, unaccounted, wrong);
  },
  twin: { name: "a crawl that counts the peer's own rows", replaced: { db_crawler: counting_crawler } },
});

hazard({
  number: "N20",
  title: "a write that a full ledger's range absorbs is acknowledged only when that range is durable",
  options: { tuning: { ledgerBytesMax: 1 } },
  play: async (sites, world) => {
    await sites.copied();
    await sites.settled();
    // What makes it durable that the copy's range is done.
    await sites.write("+3320001", "elsewhere");
    const unaccounted = sites.watchUnaccounted();
    sites.points.arm("A log append");
    void sites.write("+4920001", "opens a range");
    await sites.reached("A log append");
    // By several writers, of which the first one's waits.
    for (const key of keys.slice(0, 6)) void sites.write(key, "is absorbed by it");
    await world.sleep(200);
    sites.crash({ powerLoss: true });
    await sites.restart();
    const wrong = await within("both sites are equal", () => sites.settled(10_000));
    return judge(sites, unaccounted, wrong);
  },
  twin: { name: "a log that answers nothing at once", replaced: { db_dirty_log: hasty_log } },
});

/**
 * The authority's disk is wiped or replaced by an older copy: every row of the peer looks as if only the peer had it,
 * and what the peer has in a newer version looks foreign.
 */

import { db_crawler } from "../../../actors/db_crawler.ts";
import { db_switch } from "../../../actors/db_switch.ts";
import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import { NanoError } from "../../../src/index.ts";
import type { World } from "../../../src/simulation/index.ts";
import { ending, isUp, within } from "./at_rest.ts";
import { eager_ledger } from "./crawl_twins.ts";
import { incarnate_store, uncounting_crawler, unfenced_identity_store } from "./data_twins.ts";
import { clean, type Findings, hazard, judge, rowOf } from "./hazard.ts";
import { backup, replaceDisk } from "./rogue.ts";

const keys = Array.from({ length: 20 }, (_, i) => `+49${47_000 + i}`);

/** A has lost what it had and knows it: it serves nothing, decides nothing, and B keeps every row. */
async function lostAtA(sites: TwoSites, world: World): Promise<Findings> {
  const before = new Map(keys.map((key) => [key, sites.shown("B", key)]));
  await sites.restart();
  const wrong: string[] = [];
  const [key = ""] = keys;
  const read = await ending(sites.read(key));
  if (!(read instanceof NanoError) || read.code !== "lost") wrong.push(`A answers a read: ${String(read)}`);
  if (await sites.write(key, "after")) wrong.push("A takes a write");
  const move = await ending(sites.move("+49"));
  if (!(move instanceof NanoError) || move.code !== "lost")
    wrong.push("the failover's gate does not say lost");
  const admission = sites.node.system.ref(db_switch, sites.name("A", "db_switch"));
  const term = await admission.call.term();
  // Crawls and repairs have had their time.
  await world.sleep(5_000);
  if ((await admission.call.term()) !== term) wrong.push("A's db_switch does not wait for an operator");
  for (const [each, value] of before) {
    if (sites.shown("B", each) !== value) wrong.push(`B shows ${sites.shown("B", each)} for ${each}`);
  }
  return { ...clean, wrong };
}

async function copiedKeys(sites: TwoSites, value: string): Promise<void> {
  await Promise.all(keys.map((key) => sites.write(key, value)));
  await sites.settled();
}

hazard({
  number: 47,
  title: "nothing on the peer is deleted when the authority's disk is wiped, log and all",
  play: async (sites, world) => {
    await sites.copied();
    await copiedKeys(sites, "v1");
    sites.crash();
    replaceDisk(sites, "A");
    sites.disk.wipe("A/log-0");
    return lostAtA(sites, world);
  },
  twin: { name: "a store that claims to be what it was", replaced: { db_store: incarnate_store } },
});

hazard({
  number: 47,
  title:
    "nothing on the peer is overwritten when the authority's store comes back from a backup of its last life",
  play: async (sites, world) => {
    await sites.copied();
    await copiedKeys(sites, "v1");
    const held = backup(sites, "A");
    sites.crash();
    await sites.restart();
    await copiedKeys(sites, "v2");
    sites.crash();
    // It will open under the incarnation that control remembers: the copy's last one, and one more.
    replaceDisk(sites, "A", held);
    sites.disk.wipe("A/log-0");
    return lostAtA(sites, world);
  },
  twin: {
    name: "a store that claims the fences it was given",
    replaced: { db_store: unfenced_identity_store },
  },
});

hazard({
  number: 47,
  title:
    "what the log forgot is not looked for in a store that is lost: it is found once the right one is back",
  play: async (sites, world) => {
    await sites.copied();
    await copiedKeys(sites, "v1");
    const older = backup(sites, "A");
    sites.crash();
    await sites.restart();
    sites.weather("A").down = true;
    const [key = ""] = keys;
    const wrong = (await sites.write(key, "v2")) ? [] : ["the last write was refused"];
    sites.crash();
    const right = backup(sites, "A");
    // It is as the peer's, so whoever crawls it finds nothing to do.
    replaceDisk(sites, "A", older);
    sites.disk.wipe("A/log-0");
    await sites.restart();
    sites.weather("A").down = false;
    const admission = sites.name("A", "db_switch");
    await sites.node.system.ref(db_switch, admission).call.refresh();
    await world.sleep(2_000);
    sites.kill("A", "db_switch");
    await isUp(sites, world, admission);
    await world.sleep(2_000);
    // It is stopped, so that its log keeps what it only noted.
    await sites.stop();
    replaceDisk(sites, "A", right);
    await sites.restart();
    return judge(sites, sites.watchUnaccounted(), wrong);
  },
  twin: { name: "a ledger that lets ranges be scanned at once", replaced: { db_dirty_keys: eager_ledger } },
});

hazard({
  number: 47,
  title: "a crawl that finds more rows only at the peer than may be deleted stops and asks",
  options: { tuning: { deletesPerRangeMax: 10 } },
  play: async (sites, world) => {
    await sites.copied();
    await copiedKeys(sites, "v1");
    sites.crash();
    // Its rows are gone, its identity is not: nobody can tell that it is lost.
    sites.files("A").rows.clear();
    sites.disk.wipe("A/log-0");
    await sites.restart();
    const stopped = () => (sites.node.stateOf("A/0/db_crawler") as { stopped?: string } | undefined)?.stopped;
    const wrong = await within("the crawl stops", () =>
      world.eventually("it stops", () => (stopped() ?? "") !== "", 2_000),
    );
    const unaccounted = sites.watchUnaccounted();
    await world.sleep(2_000);
    const gone = keys.filter((key) => sites.shown("B", key) === null);
    if (gone.length > 0) wrong.push(`${gone.length} rows were deleted at B`);
    if (sites.ledger("A")?.account(rowOf("+4947000")) !== "range") wrong.push("what differs is in no range");
    // The rows come back from somewhere, and an operator lets the crawl go on.
    for (const key of keys) await sites.write(key, "v2");
    const crawler = sites.node.system.ref(db_crawler, sites.name("A", "db_crawler"));
    await sites.alive(crawler.call.allowDeletes());
    return judge(sites, unaccounted, wrong);
  },
  twin: { name: "a crawl that does not count", replaced: { db_crawler: uncounting_crawler } },
});

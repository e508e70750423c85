/** The source is written by others and its feed has a gap. */

import type { FeedStatistics } from "../../../actors/db_feed.ts";
import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { mute, silent_feed, trusting_feed } from "./feed_twins.ts";
import { hazard, judge, rowOf } from "./hazard.ts";

const lost = "+4917001";
const later = "+4917002";

function write(sites: TwoSites, key: string, value: string | null): void {
  sites.source.write(rowOf(key), value === null ? null : new TextEncoder().encode(value));
}

function gaps(sites: TwoSites): number {
  return (sites.stateOf("A", "db_feed") as FeedStatistics | undefined)?.gaps ?? 0;
}

/** What is wrong about how a gap was told and what became of the key whose event was lost. */
function told(sites: TwoSites, world: World, value: string | null): string[] {
  const wrong: string[] = [];
  if (gaps(sites) !== 1) wrong.push(`${gaps(sites)} gaps were found`);
  const said = world.logged.filter(
    ({ level, message }) => level === "error" && message.includes("has a gap"),
  );
  if (said.length !== 1) wrong.push(`${said.length} lines of the log tell of it`);
  if (sites.shown("B", lost) !== value) wrong.push(`B shows ${sites.shown("B", lost)}`);
  return wrong;
}

hazard({
  number: 58,
  title: "a change whose event the feed dropped is found by the next event, told, and repaired",
  options: { foreign: true },
  play: async (sites: TwoSites, world: World) => {
    write(sites, later, "v0");
    await sites.copied();
    write(sites, lost, "v1");
    sites.source.lose(({ key }) => key === rowOf(lost));
    write(sites, later, "v1");
    await world.sleep(3_000);
    return judge(sites, [], told(sites, world, "v1"));
  },
  twin: { name: "a db_feed that takes each event as the next one", replaced: { db_feed: trusting_feed } },
});

hazard({
  number: 58,
  title: "a deletion whose event was the last one and was dropped is found without another write",
  options: { foreign: true },
  play: async (sites: TwoSites, world: World) => {
    write(sites, lost, "v0");
    await sites.copied();
    mute(sites.stateOf("A", "db_feed"));
    write(sites, lost, null);
    sites.source.lose(({ key }) => key === rowOf(lost));
    await world.sleep(5_000);
    return judge(sites, [], told(sites, world, null));
  },
  twin: { name: "a silent feed that is given no watermark", replaced: { db_feed: silent_feed } },
});

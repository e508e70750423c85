/** One byte at the peer is not what was sent, under the version that was: no version says which row is right. */

import { compareVersions, type Version, versionZero } from "../../../actors/records.ts";
import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { version_trusting_crawler, version_trusting_replay } from "./compare_twins.ts";
import { compared, crawl, retry } from "./comparing.ts";
import { hazard, judge, rowOf } from "./hazard.ts";
import { corrupt } from "./rogue.ts";

const key = "+4917049";

function versions(sites: TwoSites): readonly [Version, Version] {
  const of = (site: string): Version => sites.row(site, rowOf(key))?.version ?? versionZero;
  return [of("A"), of("B")];
}

async function flipped(sites: TwoSites, wrong: string[]): Promise<Version> {
  await sites.copied();
  await sites.write(key, "value");
  await sites.settled();
  corrupt(sites, "B", key, "valuf");
  const [local, peer] = versions(sites);
  if (compareVersions(local, peer) !== 0) wrong.push("the versions differ");
  return local;
}

/** Equal bytes of one version, newer than the one that said nothing. */
function judgeRewritten(sites: TwoSites, before: Version): string[] {
  const [local, peer] = versions(sites);
  const wrong: string[] = [];
  if (sites.shown("B", key) !== "value") wrong.push(`B shows ${sites.shown("B", key)}`);
  if (compareVersions(local, before) <= 0 || compareVersions(local, peer) !== 0) wrong.push("no new version");
  return wrong;
}

hazard({
  number: 49,
  title: "a flipped byte at the peer is found by a comparison and rewritten under a new version",
  play: async (sites: TwoSites, world: World) => {
    const wrong: string[] = [];
    const before = await flipped(sites, wrong);
    const found = await compared(sites);
    if (found.join() !== rowOf(key)) wrong.push(`reported: ${JSON.stringify(found)}`);
    await retry(sites, [rowOf(key)]);
    await world.sleep(100);
    return judge(sites, [], [...wrong, ...judgeRewritten(sites, before)]);
  },
  twin: {
    name: "a repair that trusts an equal version",
    replaced: { db_replay: version_trusting_replay },
  },
});

hazard({
  number: 49,
  title: "a crawl rewrites the flipped byte under a new version, too",
  play: async (sites: TwoSites, world: World) => {
    const wrong: string[] = [];
    const before = await flipped(sites, wrong);
    await crawl(sites);
    await world.sleep(1_000);
    return judge(sites, [], [...wrong, ...judgeRewritten(sites, before)]);
  },
  twin: {
    name: "a crawl that compares versions only",
    replaced: { db_crawler: version_trusting_crawler },
  },
});

/** Found by thinking about clocks: one is ahead when a row expires, one is set back while somebody waits. */

import { profilePicture } from "../../../actors/backends/profile_picture.ts";
import type { DataAccess } from "../../../actors/data_access.ts";
import { rowKey } from "../../../actors/records.ts";
import { ending } from "./at_rest.ts";
import { judging_crawler, undecided_store, wall_clock_replay } from "./found_twins.ts";
import { carrying, hazard, judge, rowOf } from "./hazard.ts";

const key = "+4917301";
const hourMs = 3_600_000;

hazard({
  number: "N5",
  title: "a row that has expired before a swap does not come back on a side whose clock is behind",
  play: async (sites, world) => {
    const { wallClock } = sites.node;
    await sites.copied();
    wallClock.skewMs = hourMs;
    const pictures: DataAccess<typeof profilePicture> = await sites.access(profilePicture);
    const expiresAtMs = Math.ceil(wallClock.startMs + hourMs + world.nowMs) + 1_000;
    await sites.alive(pictures.call.put({ key, value: new Uint8Array([1]), expiresAtMs }));
    await world.sleep(2_000);
    const wrong: string[] = [];
    const shows = async (): Promise<boolean> => (await sites.alive(pictures.call.get({ key }))) !== null;
    if (await shows()) wrong.push("it is shown an instant after it expired");
    await ending(sites.move("+49"));
    wallClock.skewMs = 0;
    if (sites.authority(rowOf(key)).site !== "B") wrong.push("the prefix did not swap");
    if (await shows()) wrong.push("it is shown again after the swap");
    return judge(sites, [], wrong);
  },
  twin: { name: "a store that judges by its own clock only", replaced: { db_store: undecided_store } },
});

hazard({
  number: "N6",
  title: "a key whose repair waits for its backoff is repaired soon after the wall clock was set back",
  play: async (sites, world) => {
    await sites.copied();
    const unaccounted = sites.watchUnaccounted();
    sites.weather("A").down = true;
    await sites.write(key, "v");
    const parked = (): boolean =>
      (sites.node.stateOf("A/0/db_replay") as { parked: { size: number } }).parked.size > 0;
    await world.eventually("its backoff runs", parked, 5_000);
    sites.node.wallClock.skewMs = -hourMs;
    sites.weather("A").down = false;
    return judge(sites, unaccounted);
  },
  twin: { name: "backoffs on the wall clock", replaced: { db_replay: wall_clock_replay } },
});

hazard({
  number: "N7",
  title: "a send that is never answered ends in time when the wall clock was set back meanwhile",
  play: async (sites, world) => {
    await sites.copied();
    const unaccounted = sites.watchUnaccounted();
    sites.points.arm("A apply request", { matches: carrying(key) });
    await sites.write(key, "v");
    await sites.reached("A apply request");
    sites.points.drop("A apply request");
    sites.node.wallClock.skewMs = -hourMs;
    await world.sleep(1);
    return judge(sites, unaccounted);
  },
  twin: { name: "deadlines on the wall clock", replaced: { db_replay: wall_clock_replay } },
});

hazard({
  number: "N18",
  title: "a row that has expired only by a clock that is ahead is copied like any other",
  play: async (sites, world) => {
    const { wallClock } = sites.node;
    const pictures: DataAccess<typeof profilePicture> = await sites.access(profilePicture);
    const expiresAtMs = Math.ceil(wallClock.startMs + world.nowMs) + hourMs / 2;
    await sites.alive(pictures.call.put({ key, value: new Uint8Array([1]), expiresAtMs }));
    wallClock.skewMs = hourMs;
    await sites.copied();
    wallClock.skewMs = 0;
    const row = rowKey(profilePicture.name, key);
    const wrong =
      (await sites.alive(pictures.call.get({ key }))) === null ? ["it is not shown any more"] : [];
    if (sites.row("B", row) === undefined) wrong.push("it was not copied");
    return judge(sites, sites.watchUnaccounted(), wrong);
  },
  twin: { name: "a crawl that judges what has expired", replaced: { db_crawler: judging_crawler } },
});

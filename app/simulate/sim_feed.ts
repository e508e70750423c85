/**
 * The feed of a simulated source, with pause points: `A feed read` before its events are read, `A feed watermark`
 * before a watermark is written.
 */

import type { ChangeFeed, FeedOpener } from "../../actors/change_feed.ts";
import type { PausePoints, SimulatedThread } from "../../src/simulation/index.ts";

export function pausingFeeds(feed: ChangeFeed, points: PausePoints, thread: SimulatedThread): FeedOpener {
  /** What is let go on after its thread's death does nothing more. */
  const pass = async (point: string, details: unknown): Promise<void> => {
    await points.pass(point, details);
    if (!thread.alive) await new Promise<never>(() => undefined);
  };
  return {
    open: async (site, shard) => ({
      from: async (position, limit) => {
        await pass(`${site} feed read`, { shard, position });
        return feed.from(position, limit);
      },
      watermark: async () => {
        await pass(`${site} feed watermark`, { shard });
        return feed.watermark();
      },
    }),
  };
}

import { defaultTuning, type ShardOptions } from "../../../actors/shard_options.ts";

/** What a process of the only shard of site A is started with. */
export const loneShard: ShardOptions = {
  site: "A",
  peerSite: "B",
  shard: 0,
  shards: 1,
  peer: "peer",
  log: "log",
  prefixes: ["+49"],
  tuning: defaultTuning,
};

/** Bounds of a dirty log that nobody sets are those of `dataLimits`. */

import { expect, it } from "vitest";
import { dataLimits } from "../../actors/limits.ts";
import { logProcess } from "../../actors/shard_options.ts";
import { TwoSites } from "../../app/simulate/two_sites.ts";
import { simulateSeed } from "../../src/simulation/index.ts";

it("a log is compacted at its own bound, or at the one that stands in the limits", async () => {
  const boundWith = async (logCompactionBytes?: number): Promise<number | undefined> => {
    const { result } = await simulateSeed({ seed: 1 }, async (world) => {
      const sites = await TwoSites.start(
        world,
        logCompactionBytes === undefined ? {} : { logCompactionBytes },
      );
      const log = sites.node.stateOf(logProcess("A", 0)) as { readonly compactionBytes: number } | undefined;
      return log?.compactionBytes;
    });
    return result;
  };
  expect(await boundWith()).toBe(dataLimits.logCompactionBytes);
  expect(await boundWith(20_000)).toBe(20_000);
});

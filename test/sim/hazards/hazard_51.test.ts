/** The ledger is full, so writes widen a dirty range; one of them is under way when the range is scanned. */

import { compareKeys, type RowKey } from "../../../actors/records.ts";
import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { impatient_range_ledger, open_range_ledger } from "./data_twins.ts";
import { carrying, hazard, judge, rowOf } from "./hazard.ts";

/** No mark fits: every write is absorbed. */
const full = { ledgerBytesMax: 1, crawlBatchMax: 2 };

const key = "+4917051";

hazard({
  number: 51,
  title: "a range is not scanned while a write that it has absorbed is pending",
  options: { tuning: full },
  play: async (sites, world) => {
    await sites.copied();
    const unaccounted = sites.watchUnaccounted();
    sites.points.arm("A store apply", { matches: carrying(key, "absorbed") });
    const written = sites.write(key, "absorbed", 30_000);
    await sites.reached("A store apply");
    // Time enough for a scan that does not wait.
    await world.sleep(2_000);
    const wrong = sites.ledger("A")?.account(rowOf(key)) === "range" ? [] : ["no range has the key any more"];
    sites.points.release("A store apply");
    if (!(await written)) wrong.push("the write was refused");
    const findings = await judge(sites, unaccounted, wrong);
    const shown = sites.shown("B", key);
    return shown === "absorbed" ? findings : { ...findings, wrong: [...wrong, `B shows ${shown}`] };
  },
  twin: {
    name: "a ledger that does not wait for what its range absorbed",
    replaced: { db_dirty_keys: impatient_range_ledger },
  },
});

/** A range with six keys is scanned, and the scan has passed some of them. */
async function halfScanned(sites: TwoSites, world: World): Promise<void> {
  const keys = Array.from({ length: 6 }, (_, i) => `+491751${i}`);
  sites.points.arm("A scan reply", {
    matches: (details) => {
      const { range } = details as { readonly range: { readonly from: RowKey } };
      return compareKeys(range.from, rowOf("+4917511")) > 0;
    },
  });
  await Promise.all(keys.map((each) => sites.write(each, "v")));
  await sites.reached("A scan reply");
  const cursor = sites.ledger("A")?.ranges()[0]?.cursor ?? "";
  if (compareKeys(cursor, rowOf("+4917511")) <= 0) throw new Error("the cursor has not moved");
  await world.sleep(1);
}

hazard({
  number: 51,
  title: "writes just behind and just ahead of a scan's cursor both reach the peer",
  options: { tuning: full },
  play: async (sites, world) => {
    await sites.copied();
    const unaccounted = sites.watchUnaccounted();
    await halfScanned(sites, world);
    const wrong: string[] = [];
    for (const each of ["+4917510", "+49175105", "+4917513", "+49175135"]) {
      if (!(await sites.write(each, "while it is scanned"))) wrong.push(`${each} was refused`);
    }
    sites.points.release("A scan reply");
    return judge(sites, unaccounted, wrong);
  },
  twin: {
    name: "a range that stays open to writes while it is scanned",
    replaced: { db_dirty_keys: open_range_ledger },
  },
});

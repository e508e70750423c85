/** The ledger overflows: room for 10 marks, the remote stalled, 1,000 keys. */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { hazard, judge, rowOf } from "./hazard.ts";
import { forgetful_ledger } from "./repair_twins.ts";

const keys = 1_000;
const marksMax = 10;
/** What a mark of these keys is charged with (actors/ledger.ts). */
const markBytes = 160 + 2 * rowOf("+49171000").length;
const ledgerBytesMax = marksMax * markBytes;

/** What is not as it should be while the remote is stalled. */
function overflowed(sites: TwoSites): string[] {
  const ledger = sites.ledger("A");
  if (ledger === undefined) return ["there is no ledger"];
  const wrong: string[] = [];
  if (ledger.size !== marksMax) wrong.push(`${ledger.size} marks in a ledger for ${marksMax}`);
  if (ledger.bytes > ledgerBytesMax) wrong.push(`${ledger.bytes} bytes of ${ledgerBytesMax}`);
  // At most one that is scanned, and one that takes the writes meanwhile.
  const ranges = ledger.ranges().filter(({ reason }) => reason === "overflow").length;
  if (ranges < 1 || ranges > 2) wrong.push(`${ranges} ranges stand for what did not fit`);
  return wrong;
}

hazard({
  number: 17,
  title: "what does not fit into the ledger lies in a range, and all of it arrives",
  options: { tuning: { ledgerBytesMax } },
  seeds: [1],
  play: async (sites: TwoSites, world: World) => {
    await sites.copied();
    const unaccounted = sites.watchUnaccounted();
    sites.points.arm("A apply request", { count: Number.POSITIVE_INFINITY });
    sites.points.arm("A scan reply", { count: Number.POSITIVE_INFINITY });
    const written = Array.from({ length: keys }, (_, i) => sites.write(`+4917${1_000 + i}`, `${i}`));
    const acknowledged = await Promise.all(written);
    const wrong = acknowledged.every((each) => each) ? [] : ["a full ledger refused a write"];
    wrong.push(...overflowed(sites));
    for (const point of ["A apply request", "A scan reply"]) {
      sites.points.disarm(point);
      sites.points.release(point);
    }
    await world.sleep(1_000);
    return judge(sites, unaccounted, wrong);
  },
  twin: { name: "a ledger that forgets what does not fit", replaced: { db_dirty_keys: forgetful_ledger } },
});

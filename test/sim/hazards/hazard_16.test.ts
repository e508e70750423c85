/** The queue to the remote overflows: capacity 4, the remote stalled, 100 writes. */

import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { hazard, judge } from "./hazard.ts";
import { silent_queuer } from "./twins.ts";

const queueMax = 4;
const writes = 100;

interface Queue {
  readonly waiting: ReadonlySet<string>;
  readonly discarded: number;
}

/** What is not as it should be while the remote is stalled. */
function overflowed(sites: TwoSites): string[] {
  const queue = sites.node.stateOf(sites.name("A", "db_queuer")) as Queue;
  const owners = [...(sites.ledger("A")?.marks() ?? [])].map(({ owner }) => owner);
  const ofReplay = owners.filter((owner) => owner === "replay").length;
  const wrong: string[] = [];
  if (owners.length !== writes) wrong.push(`${owners.length} marks for ${writes} writes`);
  if (queue.waiting.size !== queueMax) wrong.push(`${queue.waiting.size} wait in a queue of ${queueMax}`);
  if (queue.discarded === 0) wrong.push("nothing was discarded: the queue did not overflow");
  if (queue.discarded !== ofReplay) wrong.push(`${queue.discarded} discards, ${ofReplay} marks of replay`);
  return wrong;
}

hazard({
  number: 16,
  title: "each key that the full queue discards is a mark of replay, and all of them arrive",
  options: { tuning: { queueMax } },
  play: async (sites: TwoSites, world: World) => {
    await sites.copied();
    const unaccounted = sites.watchUnaccounted();
    sites.points.arm("A apply request", { count: Number.POSITIVE_INFINITY });
    const written = Array.from({ length: writes }, (_, i) => sites.write(`+49${16_000 + i}`, `${i}`));
    const acknowledged = await Promise.all(written);
    // The last discards change owners before the peer's time-out does.
    await world.sleep(10);
    const wrong = acknowledged.every((each) => each) ? [] : ["a full queue refused a write"];
    wrong.push(...overflowed(sites));
    sites.points.disarm("A apply request");
    sites.points.release("A apply request");
    return judge(sites, unaccounted, wrong);
  },
  twin: { name: "a queuer that drops what does not fit", replaced: { db_queuer: silent_queuer } },
});

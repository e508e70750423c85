/** Found by thinking about a move: what it can't see because nothing marks it, or because it comes late. */

import type { ChangedKeys } from "../../../actors/changed_keys.ts";
import { cohortId } from "../../../actors/records.ts";
import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import { decisionBecomes, ending } from "./at_rest.ts";
import {
  credulous_failover,
  forgetful_ledger,
  gullible_ledger,
  holding_ledger,
  untidy_ledger,
} from "./found_twins.ts";
import { carrying, hazard, judge, rowOf } from "./hazard.ts";
import { corrupt } from "./rogue.ts";
import { type Instruction, stepped_failover } from "./stepped_coordinator.ts";

const key = "+4917101";

const instruction = "A/db_failover instruction";

/** What became of a move, in a word. */
async function endOf(move: ReturnType<TwoSites["move"]>): Promise<string> {
  const end = await ending(move);
  return "outcome" in end ? end.outcome : String(end);
}

/** A move is aborted while this instruction of it is on its way, where it stays until it is released. */
async function abortedAt(sites: TwoSites, what: string): Promise<string> {
  sites.points.arm(instruction, { matches: (each) => (each as Instruction).what.startsWith(what) });
  const end = endOf(sites.move("+49"));
  await sites.reached(instruction, 1, 30_000);
  await sites.sites.abortMove("the operator waits no longer");
  return end;
}

hazard({
  number: "N1",
  title: "a write to a prefix that makes no marks yet is not lost when the prefix moves around it",
  play: async (sites, world) => {
    // No migration has begun: both sides are equal and empty, so nothing but the gates keeps the prefix from moving.
    sites.points.arm("control compareAndSet", decisionBecomes("blocking"));
    let refused = false;
    const move = ending(sites.move("+49")).then((ended) => {
      refused = !("outcome" in ended);
    });
    const blocks = (): boolean => refused || sites.points.parked("control compareAndSet") > 0;
    await world.eventually("it blocks, or is refused", blocks, 10_000);
    const wrong = (await sites.write(key, "unmarked")) ? [] : ["the write was refused before the block"];
    sites.points.release("control compareAndSet");
    await move;
    // A migration copies what was written before it.
    if (refused) await sites.copied();
    return judge(sites, [], wrong);
  },
  twin: {
    name: "no such gate, and a ledger that remembers as changed only what it marks",
    replaced: { db_dirty_keys: forgetful_ledger },
    replacedCoordinators: { db_failover: credulous_failover },
  },
});

hazard({
  number: "N2",
  title: "a renewal that is admitted while its prefix swaps leaves no mark behind on the old side",
  play: async (sites, world) => {
    const row = rowOf(key);
    await sites.copied();
    const unaccounted = sites.watchUnaccounted();
    const { points } = sites;
    const readsKey = { matches: (keys: unknown) => (keys as string[]).join() === row };
    // B has other bytes at the version that is marked here: only a renewal can repair that.
    points.arm("A apply reply", { matches: carrying(key, "v") });
    await sites.write(key, "v");
    await sites.reached("A apply reply");
    points.drop("A apply reply");
    corrupt(sites, "B", key, "damaged");
    await world.eventually("replay owns it", () => sites.ledger("A")?.owner(row) === "replay", 5_000);
    // Its first repair asks for a renewal, whose read is slow; so the second asks for another.
    points.arm("A apply reply", { matches: carrying(key, "v") });
    await sites.reached("A apply reply");
    points.arm("A store get", readsKey);
    points.release("A apply reply");
    await sites.reached("A store get");
    points.arm("A apply reply", { matches: carrying(key, "v") });
    await sites.reached("A apply reply");
    points.arm("A store applied", { matches: carrying(key, "v") });
    points.release("A apply reply");
    await world.sleep(5);
    points.release("A store get");
    await sites.reached("A store applied");
    points.arm("A store get", readsKey);
    points.release("A store applied");
    await sites.reached("A store get");
    // The first renewal repairs the key, the prefix drains; the second is read when it has swapped.
    points.arm("control wrote", decisionBecomes("swapped"));
    const move = ending(sites.move("+49"));
    await sites.reached("control wrote", 1, 30_000);
    points.arm("A store apply", { matches: carrying(key, "v") });
    points.release("A store get");
    await sites.reached("A store apply");
    points.release("control wrote");
    await world.sleep(50);
    points.release("A store apply");
    const ended = await move;
    const wrong = "outcome" in ended && ended.outcome === "swapped" ? [] : ["the prefix did not swap"];
    return judge(sites, unaccounted, wrong);
  },
  twin: {
    name: "a ledger that keeps what nobody here will send",
    replaced: { db_dirty_keys: untidy_ledger },
  },
});

hazard({
  number: "N22",
  title:
    "what changed since a swap is compared before the next one, also when an earlier move's hand-over comes late",
  options: { replacedCoordinators: { db_failover: stepped_failover } },
  play: async (sites, world) => {
    await sites.copied();
    const unaccounted = sites.watchUnaccounted();
    const aborted = await abortedAt(sites, "B/0/db_dirty_keys adoptPass");
    const ends = [aborted, await endOf(sites.move("+49"))];
    await sites.write(key, "since the swap");
    await sites.settled();
    const changed = (): string => {
      const state = sites.stateOf("B", "db_dirty_keys") as { readonly changed: ChangedKeys };
      return String(state.changed.of(cohortId("device_platform", "+49")));
    };
    const before = changed();
    sites.points.release(instruction);
    await world.sleep(100);
    const wrong = ends.join() === "aborted,swapped" ? [] : [`the moves ended as ${ends.join()}`];
    if (before !== "1" || changed() !== "1") wrong.push(`changed: ${before} before, ${changed()} after`);
    return judge(sites, unaccounted, wrong);
  },
  twin: {
    name: "a ledger that takes any hand-over for the newest",
    replaced: { db_dirty_keys: gullible_ledger },
  },
});

hazard({
  number: "N23",
  title: "a key that an aborted move held is served again, also when its hold comes late",
  options: { replacedCoordinators: { db_failover: stepped_failover } },
  play: async (sites, world) => {
    await sites.write(key, "first");
    await sites.copied();
    const unaccounted = sites.watchUnaccounted();
    const row = rowOf(key);
    sites.weather("A").rejected.add(row);
    await sites.write(key, "refused there");
    await world.eventually("it is quarantined", () => sites.ledger("A")?.owner(row) === "perror", 10_000);
    const aborted = await abortedAt(sites, "B/0/db_dirty_keys hold");
    sites.weather("A").rejected.clear();
    await sites.write(key, "healed");
    await world.eventually("it is healed", () => sites.shown("B", key) === "healed", 10_000);
    await sites.settled();
    sites.points.release(instruction);
    await world.sleep(100);
    const ends = [aborted, await endOf(sites.move("+49"))];
    const wrong = ends.join() === "aborted,swapped" ? [] : [`the moves ended as ${ends.join()}`];
    const read = await ending(sites.read(key));
    if (read !== "healed") wrong.push(`where it is served it reads ${read}`);
    return judge(sites, unaccounted, wrong);
  },
  twin: {
    name: "a ledger that does not remember of which decisions all was released",
    replaced: { db_dirty_keys: holding_ledger },
  },
});

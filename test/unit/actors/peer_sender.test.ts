/** How one batch goes to the peer: what is said of each key. */

import { describe, expect, it } from "vitest";
import type { SendOutcome } from "../../../actors/peer_sender.ts";
import { cohortId, type Row, type Version } from "../../../actors/records.ts";
import type { ApplyResult } from "../../../actors/store_messages.ts";
import { type Desk, grants, keyOf, playSender, rowOf, takenOf } from "./sender_stage.ts";

const a = keyOf("a");
const mine: Version = rowOf(a).version;

/** What is said of one key. */
async function outcomeOf(prepared: (desk: Desk) => void): Promise<SendOutcome | undefined> {
  let outcome: SendOutcome | undefined;
  await playSender(async ({ desk, played }) => {
    prepared(desk);
    [outcome] = (await played.call.send([takenOf("a")])).map((sent) => sent.outcome);
  });
  return outcome;
}

/** The local row as it is read first, and as it is read after the peer's answer. */
function localRows(desk: Desk, ...versions: readonly (Version | undefined)[]): void {
  const reads = [...versions];
  desk.rows = (keys) =>
    keys.map((key): Row | undefined => {
      const version = reads.shift();
      return version === undefined ? undefined : { ...rowOf(key), version };
    });
}

describe("a row that the peer answers", () => {
  it.each<{ result: ApplyResult; outcome: SendOutcome }>([
    { result: { status: "applied" }, outcome: { status: "confirmed" } },
    { result: { status: "same" }, outcome: { status: "confirmed" } },
    { result: { status: "rejected", code: "full" }, outcome: { status: "rejected", code: "full" } },
    { result: { status: "fenced", scope: "shard/0", term: 9 }, outcome: { status: "fenced" } },
    { result: { status: "stale", current: mine }, outcome: { status: "amend" } },
    { result: { status: "stale", current: [3, 4, 9] }, outcome: { status: "amend" } },
  ])("$result.status is said to be $outcome.status", async ({ result, outcome }) => {
    expect(
      await outcomeOf((desk) => {
        desk.apply = () => [result];
      }),
    ).toEqual(outcome);
  });

  it("with fewer results than rows leaves the others unknown", () =>
    playSender(async ({ desk, played }) => {
      desk.apply = () => [{ status: "applied" }];
      const sent = await played.call.send([takenOf("a"), takenOf("b")]);
      expect(sent.map(({ outcome }) => outcome.status)).toEqual(["confirmed", "unknown"]);
    }));
});

describe("a row of which the peer has a newer version", () => {
  /** Grants are of cohort term 3 and shard term 5. */
  it.each<{ what: string; peer: Version; now: Version | undefined; outcome: SendOutcome }>([
    { what: "a write of ours since", peer: [3, 5, 2], now: [3, 5, 2], outcome: { status: "again" } },
    { what: "an older one than ours now", peer: [3, 5, 2], now: [3, 5, 3], outcome: { status: "again" } },
    { what: "one of our term that is not here", peer: [3, 5, 2], now: mine, outcome: foreign() },
    { what: "one of a later shard term", peer: [3, 6, 1], now: mine, outcome: foreign() },
    { what: "one of a later cohort term", peer: [4, 1, 1], now: mine, outcome: foreign() },
    { what: "one of our term, and nothing here", peer: [3, 5, 2], now: undefined, outcome: foreign() },
  ])("$what", async ({ peer, now, outcome }) => {
    expect(
      await outcomeOf((desk) => {
        desk.apply = () => [{ status: "stale", current: peer }];
        localRows(desk, mine, now);
      }),
    ).toEqual(outcome);
  });

  /** What was sent is from before a loss: the peer's is older than what this term admits. */
  it.each<{ what: string; sent: Version; peer: Version }>([
    { what: "of an earlier shard term", sent: [3, 3, 1], peer: [3, 4, 9] },
    { what: "of an earlier cohort term", sent: [1, 9, 1], peer: [2, 9, 1] },
  ])("one $what that is gone here needs a fresh version", async ({ sent, peer }) => {
    expect(
      await outcomeOf((desk) => {
        desk.apply = () => [{ status: "stale", current: peer }];
        localRows(desk, sent, sent);
      }),
    ).toEqual({ status: "amend" });
  });

  it("is foreign to who has no grants, and by its cohort's term to who has that grant alone", () =>
    playSender(async ({ desk, played }) => {
      desk.apply = () => [{ status: "stale", current: [3, 5, 2] }];
      for (const some of [[], grants.slice(0, 1)]) {
        const [sent] = await played.call.send([{ ...takenOf("a"), grants: some as never }]);
        expect(sent?.outcome.status).toBe(some.length === 0 ? "rejected" : "amend");
      }
    }));

  function foreign(): SendOutcome {
    return { status: "rejected", code: "foreign" };
  }
});

describe("a marked key without a row here", () => {
  it.each<{ what: string; peer: Row | undefined; outcome: SendOutcome }>([
    { what: "nothing either", peer: undefined, outcome: { status: "confirmed" } },
    { what: "a tombstone", peer: { ...rowOf(a), value: null }, outcome: { status: "confirmed" } },
    { what: "a row", peer: rowOf(a), outcome: { status: "amend" } },
  ])("the peer has $what", ({ peer, outcome }) =>
    playSender(async ({ desk, played }) => {
      desk.rows = () => [undefined, rowOf(keyOf("b"))];
      desk.peerRows = () => [peer];
      const sent = await played.call.send([takenOf("a"), takenOf("b")]);
      const outcomes = Object.fromEntries(sent.map((each) => [each.taken.key, each.outcome]));
      expect(outcomes).toEqual({ [a]: outcome, [keyOf("b")]: { status: "confirmed" } });
      expect(desk.took("apply")).toEqual([[[keyOf("b")]]]);
    }),
  );

  it("alone is not applied", () =>
    playSender(async ({ desk, played }) => {
      desk.rows = () => [undefined];
      await played.call.send([takenOf("a")]);
      expect(desk.took("apply")).toEqual([]);
    }));
});

describe("a batch", () => {
  it("goes in a group for each cohort, with its grants", () =>
    playSender(async ({ desk, played }) => {
      const other = { ...takenOf("b"), cohort: cohortId("things", "*") };
      const sent = await played.call.send([takenOf("a"), other, takenOf("c")]);
      expect(desk.took("apply")).toEqual([[[a, keyOf("c")], [keyOf("b")]]]);
      expect(sent.map(({ outcome }) => outcome.status)).toEqual(["confirmed", "confirmed", "confirmed"]);
    }));

  it("below a fence of the peer is fenced as a whole, and nothing of it is applied", () =>
    playSender(async ({ desk, played }) => {
      desk.fence = (term) => term + 1;
      const sent = await played.call.send([takenOf("a"), takenOf("b")]);
      expect(sent.map(({ outcome }) => outcome.status)).toEqual(["fenced", "fenced"]);
      expect(desk.took("apply")).toEqual([]);
      // A fence that was refused is asked for again.
      expect(desk.took("fence")).toHaveLength(1);
      await played.call.send([takenOf("a")]);
      expect(desk.took("fence")).toHaveLength(1);
    }));

  it("under a new term is fenced anew, once", () =>
    playSender(async ({ desk, played }) => {
      await played.call.send([takenOf("a")]);
      expect(desk.took("fence")).toHaveLength(2);
      const [cohort, shard] = grants;
      const later = { ...takenOf("a"), grants: [cohort, { ...shard, term: 6 }] as never };
      await played.call.send([later]);
      await played.call.send([later]);
      expect(desk.took("fence")).toEqual(["shard/0"]);
    }));

  it("without an answer is unknown, and says nothing of the peer's pace", () =>
    playSender(async ({ system, played }) => {
      await played.call.send([takenOf("a")]);
      const pace = await played.call.pace();
      await system.stopProcess(system.whereis("peer") as never);
      const sent = await played.call.send([takenOf("a"), takenOf("b")]);
      expect(sent.map(({ outcome }) => outcome.status)).toEqual(["unknown", "unknown"]);
      expect(await played.call.pace()).toEqual(pace);
    }));

  it("that can't be read here is an error", () =>
    playSender(async ({ desk, played }) => {
      desk.rows = () => {
        throw new Error("the disk is away");
      };
      await expect(played.call.send([takenOf("a")])).rejects.toMatchObject({ code: "crashed" });
    }));
});

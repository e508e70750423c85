/**
 * The decision log of a prefix: every step of every decision is in it, it is a chain that shows what was changed, and a
 * person can be erased from it without breaking it.
 */

import { describe, expect, it } from "vitest";
import type { DecisionRecord } from "../../actors/control_store.ts";
import { auditDecisions } from "../../actors/decision_audit.ts";
import {
  type DecisionEntry,
  DecisionLog,
  eraseKey,
  readEntries,
  saltedHash,
} from "../../actors/decision_log.ts";
import { rowKey } from "../../actors/records.ts";
import { nodeDigest } from "../../actors/stores/sha256.ts";
import { TwoSites } from "../../app/simulate/two_sites.ts";
import { NanoError, type Self } from "../../src/index.ts";
import { simulateSeed, type World } from "../../src/simulation/index.ts";
import { decisionBecomes, ending, isUp } from "./hazards/at_rest.ts";

const prefix = "+49";
const poison = "+491701";

function simulated<T>(scenario: (world: World) => Promise<T>): Promise<T> {
  return simulateSeed({ seed: 1 }, scenario).then(({ result }) => result);
}

/** A move with one quarantined key, and one back that is aborted. */
async function twoDecisions(world: World): Promise<TwoSites> {
  const sites = await TwoSites.start(world);
  await sites.write(poison, "v1");
  await sites.copied();
  const row = rowKey("device_platform", poison);
  sites.weather("A").rejected.add(row);
  await sites.write(poison, "v2");
  await world.eventually("it is quarantined", () => sites.ledger("A")?.owner(row) === "perror", 10_000);
  await sites.move(prefix);
  sites.points.arm("control compareAndSet", decisionBecomes("blocking"));
  const back = sites.move(prefix, "B", "A");
  await sites.reached("control compareAndSet");
  await sites.sites.abortMove("changed our mind");
  await back;
  sites.points.release("control compareAndSet");
  await world.sleep(100);
  return sites;
}

const audit = (sites: TwoSites) => auditDecisions(sites.control, nodeDigest);

describe("the decision log of a prefix", () => {
  it("has every step of every decision, in order, and is whole", async () => {
    const { steps, audits } = await simulated(async (world) => {
      const sites = await twoDecisions(world);
      const entries = await readEntries(sites.control, prefix);
      return {
        steps: entries.map(({ decision, step }) => `${decision.slice(-2)} ${step}`),
        audits: await audit(sites),
      };
    });
    const first = steps[0]?.slice(0, 2);
    const second = steps.at(-1)?.slice(0, 2);
    const moved = [
      "announced",
      "compared",
      "blocking",
      "blocked",
      "drained_and_verified",
      "carried",
      "swapped",
    ];
    expect(steps).toEqual([
      ...[...moved, "unblocked"].map((step) => `${first} ${step}`),
      ...["announced", "compared", "aborted"].map((step) => `${second} ${step}`),
    ]);
    expect(audits).toEqual([
      {
        prefix,
        entries: 11,
        head: expect.stringMatching(/^[0-9a-f]{64}$/),
        erased: 0,
        faults: [],
        notes: [],
      },
    ]);
  });

  it("has the time that a move was predicted to be read-only, as its report has it", async () => {
    const { compared, report } = await simulated(async (world) => {
      const sites = await TwoSites.start(world);
      await sites.copied();
      const report = await sites.move(prefix);
      const entries = await readEntries(sites.control, prefix);
      return { compared: entries.find(({ step }) => step === "compared"), report };
    });
    expect(report.predictedReadOnlyMs).toBeGreaterThan(0);
    expect(compared?.facts).toMatchObject({ predictedReadOnlyMs: report.predictedReadOnlyMs });
  });

  it("names a key by its salted hash alone, and forgets it when the salt is erased, chain intact", async () => {
    const { text, tied, erased, again, audits, still } = await simulated(async (world) => {
      const sites = await twoDecisions(world);
      const records = sites.control.listNow("audit");
      const tiedNow = async () => {
        const [carried] = (await readEntries(sites.control, prefix)).filter(({ keys }) => keys.length > 0);
        const salts = sites.control.listNow("audit_salt/")[0]?.value as { readonly salts: readonly string[] };
        return salts.salts.some(
          (salt) => saltedHash(nodeDigest, salt, "device_platform", poison) === carried?.keys[0],
        );
      };
      const before = await tiedNow();
      return {
        text: JSON.stringify(records),
        tied: before,
        erased: await eraseKey(sites.control, nodeDigest, poison),
        again: await eraseKey(sites.control, nodeDigest, poison),
        still: await tiedNow(),
        audits: await audit(sites),
      };
    });
    expect(text).not.toContain(poison.slice(1));
    expect({ tied, erased, again, still }).toEqual({ tied: true, erased: 1, again: 0, still: false });
    expect(audits).toMatchObject([{ erased: 1, faults: [], notes: [] }]);
  });

  it("gets the end of a decision whose coordinator died before it wrote it, from the next one", async () => {
    const { during, after } = await simulated(async (world) => {
      const sites = await TwoSites.start(world);
      await sites.copied();
      sites.points.arm("control wrote", decisionBecomes("swapped"));
      const move = ending(sites.move(prefix));
      await sites.reached("control wrote");
      const during = await audit(sites);
      sites.node.kill("A/db_failover");
      sites.points.drop("control wrote");
      await move;
      await isUp(sites, world, "A/db_failover");
      await world.sleep(500);
      return { during, after: await audit(sites) };
    });
    expect(during).toMatchObject([
      {
        faults: [],
        notes: [
          "+49: the head names entry 2 of 5: a writer died between the two",
          expect.stringContaining("the log does not have the end of"),
        ],
      },
    ]);
    expect(after).toMatchObject([{ faults: [], notes: [] }]);
  });
});

/** What somebody does to the records, and what the check says then. */
const tampering: Readonly<Record<string, readonly [deed: (store: Store) => void, fault: string]>> = {
  "a fact of an entry is changed": [
    (store) => store.change(5, (entry) => ({ ...entry, facts: { ...entry.facts, round: 7 } })),
    "+49: entry 5 was changed: its hash is not that of what it says",
  ],
  "an entry is changed and hashed anew": [
    (store) => store.change(5, (entry) => store.rehashed({ ...entry, facts: { round: 7 } })),
    "+49: entry 6 does not follow the one before it: that one was changed or replaced",
  ],
  "an entry in the middle is left out": [(store) => store.remove(4), "+49: entry 4 is missing"],
  "several are left out": [
    (store) => {
      store.remove(4);
      store.remove(5);
    },
    "+49: entries 4 to 5 are missing",
  ],
  "the last entries are cut off": [
    (store) => {
      store.remove(10);
      store.remove(11);
    },
    "+49: entries 10 to 11 are missing at the end",
  ],
  "two entries change places": [
    (store) => store.swap(2, 3),
    "+49: entry 2 is not in its place: it says that it is entry 3 of +49",
  ],
  "the last entry is replaced by another that fits": [
    (store) => store.change(11, (entry) => store.rehashed({ ...entry, by: "somebody" })),
    "+49: entry 11 is not the one that the head names: the log's end was replaced",
  ],
  "the end of a decision is turned round in control": [
    (store) => store.decide("aborted"),
    "as swapped, control as aborted",
  ],
  "the salts of an entry are deleted": [(store) => store.dropSalts(), "+49: the salts of entry 6 are gone"],
};

it.each(Object.entries(tampering))("the check finds it when %s", async (_, [deed, fault]) => {
  const faults = await simulated(async (world) => {
    const sites = await twoDecisions(world);
    deed(new Store(sites));
    return (await audit(sites)).flatMap((each) => each.faults);
  });
  expect(faults.join("\n")).toContain(fault);
});

/** Beside compare-and-set: as somebody would who has the store in hands. */
class Store {
  readonly #records: Map<string, { key: string; value: unknown; revision: number }>;

  constructor({ control }: TwoSites) {
    this.#records = new Map(control.listNow("").map((record) => [record.key, record as never]));
    const records = this.#records;
    control.listNow = (start) =>
      [...records.values()]
        .filter(({ key }) => key.startsWith(start))
        .sort((a, b) => (a.key < b.key ? -1 : 1));
    control.get = async (key) => structuredClone(records.get(key));
    control.list = async (start) => structuredClone(control.listNow(start));
  }

  change(n: number, change: (entry: DecisionEntry) => DecisionEntry): void {
    const record = this.#at(n);
    record.value = change(record.value as DecisionEntry);
  }

  rehashed(entry: DecisionEntry): DecisionEntry {
    const { hash: replaced, ...fields } = entry;
    if (replaced === "") throw new Error("an entry has a hash");
    const hash = nodeDigest.sha256(
      JSON.stringify(Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)))),
    );
    return { ...fields, hash };
  }

  remove(n: number): void {
    this.#records.delete(this.#at(n).key);
  }

  swap(a: number, b: number): void {
    const [one, other] = [this.#at(a), this.#at(b)];
    [one.value, other.value] = [other.value, one.value];
  }

  decide(state: DecisionRecord["state"]): void {
    const record = [...this.#records.values()].find(({ key }) => key.startsWith("decision/"));
    if (record !== undefined) record.value = { ...(record.value as DecisionRecord), state };
  }

  dropSalts(): void {
    for (const key of this.#records.keys()) if (key.startsWith("audit_salt/")) this.#records.delete(key);
  }

  #at(n: number) {
    const record = this.#records.get(`audit/${prefix}/${String(n).padStart(8, "0")}`);
    if (record === undefined) throw new Error(`no entry ${n}`);
    return record;
  }
}

describe("two writers of one log", () => {
  const logOf = (sites: TwoSites, name: string): DecisionLog => {
    const self = {
      name,
      clock: { now: () => 5 },
      random: { bytes: (_: string, count: number) => new Uint8Array(count) },
    } as unknown as Self;
    return new DecisionLog(self, sites.control, nodeDigest);
  };
  const draft = { prefix, decision: "", step: "perror_retried" } as const;

  it("never share a place, whatever each of them knows of the other", async () => {
    const audits = await simulated(async (world) => {
      const sites = await TwoSites.start(world);
      const [one, two] = [logOf(sites, "one"), logOf(sites, "two")];
      await Promise.all([one, two].flatMap((log) => [1, 2, 3].map(() => log.append(draft))));
      await one.append(draft);
      return audit(sites);
    });
    // One writer's equal appends of one instant are one: an append whose answer was lost is not repeated.
    expect(audits).toMatchObject([{ faults: [], notes: [] }]);
    expect(audits[0]?.entries).toBeGreaterThanOrEqual(2);
  });

  it("do not write an entry again whose answer was lost", async () => {
    const { failed, audits } = await simulated(async (world) => {
      const sites = await TwoSites.start(world);
      const log = logOf(sites, "one");
      const compareAndSet = sites.control.compareAndSet.bind(sites.control);
      sites.control.compareAndSet = async (...request) => {
        await compareAndSet(...request);
        sites.control.compareAndSet = compareAndSet;
        throw new NanoError("unavailable", "the answer was lost");
      };
      const failed = await ending(log.append(draft));
      await log.append(draft);
      return { failed, audits: await audit(sites) };
    });
    expect(failed).toMatchObject({ code: "unavailable" });
    expect(audits).toMatchObject([{ entries: 1, faults: [], notes: [] }]);
  });
});

import { expect, it } from "vitest";
import { Ledger } from "../../actors/ledger.ts";
import { rowKey, type Version } from "../../actors/records.ts";
import { TwoSites } from "../../app/simulate/two_sites.ts";
import { simulateSeed } from "../../src/simulation/index.ts";

const key = "+4911";
const row = rowKey("device_platform", key);

it("db_perror lists a key after every restart, with when and why it came", async () => {
  await simulateSeed({ seed: 1 }, async (world) => {
    const sites = await TwoSites.start(world);
    await sites.copied();
    sites.weather("A").rejected.add(row);
    await sites.write(key, "v");
    const listed = () => sites.alive(sites.sites.perror("A"));
    await world.eventually("it is quarantined", () => sites.ledger("A")?.counts().perror === 1, 10_000);
    const [first] = await listed();
    expect(first).toMatchObject({ key: row, reason: "poison" });
    for (let restart = 1; restart <= 3; restart++) {
      sites.crash();
      await sites.restart();
      expect((await listed()).map(({ firstAtMs, reason }) => ({ firstAtMs, reason }))).toEqual([
        { firstAtMs: first?.firstAtMs, reason: "poison" },
      ]);
    }
  });
});

it("a version that was written while an older one was being quarantined is tried, not quarantined with it", () => {
  const ledger = new Ledger(1_000_000);
  const [older, newer]: Version[] = [
    [1, 1, 1],
    [1, 1, 2],
  ];
  if (older === undefined || newer === undefined) throw new Error("two versions");
  ledger.admit(row, "device_platform/+49", older, 0);
  ledger.settle(row);
  ledger.own(row, "replay");
  const [taken] = ledger.takeReady(1);
  ledger.admit(row, "device_platform/+49", newer, 0);
  ledger.settle(row);
  expect(ledger.mayQuarantine(row, older)).toBe(false);
  ledger.quarantine(row, older);
  expect(ledger.owner(row)).toBe("replay");
  if (taken === undefined) throw new Error("replay was given the key");
  ledger.release([{ taken, outcome: "again" }]);
  const [again] = ledger.takeReady(1);
  expect(again?.version).toEqual(newer);
  if (again === undefined) throw new Error("it is tried again");
  // db_perror has an entry for it: it hears that the key healed.
  expect(ledger.release([{ taken: again, outcome: "confirmed" }]).cleared).toMatchObject([{ healed: true }]);
});

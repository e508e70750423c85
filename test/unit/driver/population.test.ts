import parsePhoneNumber from "libphonenumber-js/mobile";
import { describe, expect, it } from "vitest";
import { compareKeys, type RowKey } from "../../../actors/records.ts";
import { measurePopulation } from "../../../app/driver/loading.ts";
import { callingCodes } from "../../../app/driver/numbering_plans.ts";
import { drawPoison } from "../../../app/driver/poison.ts";
import { Population } from "../../../app/driver/population.ts";

const population = new Population(1, 20_000);

/** Every row's key, unit by unit. */
function* keys(of: Population): Generator<RowKey> {
  for (const unit of of.units()) for (const row of of.rowsOfUnit(unit)) yield of.rowKeyOf(row);
}

describe("users", () => {
  it("have different valid numbers in ascending order, of at least 20 countries", () => {
    const countries = new Set<string>();
    for (const number of population.users) {
      const parsed = parsePhoneNumber(number);
      expect(parsed?.isValid()).toBe(true);
      countries.add(parsed?.country ?? "");
    }
    expect(countries.size).toBeGreaterThanOrEqual(20);
    expect(population.users).toEqual([...new Set(population.users)].sort());
  });

  it("live under calling codes of which none begins another", () => {
    const prefixes = callingCodes.map((code) => code.prefix);
    for (const prefix of prefixes) {
      expect(prefixes.filter((other) => other.startsWith(prefix))).toEqual([prefix]);
      expect(population.users.some((number) => number.startsWith(prefix))).toBe(true);
    }
    expect(prefixes.length).toBeGreaterThanOrEqual(20);
  });

  it("are spread over the codes by weight", () => {
    const total = callingCodes.reduce((sum, code) => sum + code.weight, 0);
    for (const { prefix, weight } of callingCodes) {
      const share = population.users.filter((number) => number.startsWith(prefix)).length / 20_000;
      expect(Math.abs(share - weight / total)).toBeLessThan(0.01);
    }
  });
});

describe("rows", () => {
  it("are at least 15 for each user, with pictures of about 1 KiB", () => {
    const { rows, valueBytes } = measurePopulation(population);
    expect(rows).toBeGreaterThanOrEqual(15 * 20_000);
    expect(valueBytes.max).toBeGreaterThan(16 * 1024);
    expect(valueBytes.max).toBeLessThanOrEqual(64 * 1024);
    expect(valueBytes.mean).toBeGreaterThan(32);
  });

  it("are the same for the same seed, and others for another", () => {
    const [first, again, other] = [5, 5, 6].map((seed) => [...keys(new Population(seed, 150))]);
    expect(again).toEqual(first);
    expect(other).not.toEqual(first);
  });

  it("have different keys, and each key leads back to its row", () => {
    const small = new Population(7, 300);
    const seen = new Set<RowKey>();
    for (let row = 0; row < small.rows; row++) {
      const key = small.rowKeyOf(row);
      expect(small.rowOf(key)).toBe(row);
      seen.add(key);
    }
    expect(seen.size).toBe(small.rows);
    expect([...keys(small)].sort(compareKeys)).toEqual([...seen].sort(compareKeys));
  });

  it("lead back from uploaded keys too", () => {
    const small = new Population(8, 200);
    const rows = [3, 4, 3, 3].map((user) => small.addKeyRow(user));
    expect(rows).toEqual([0, 1, 2, 3].map((index) => small.fixedRows + index));
    for (const row of rows) expect(small.rowOf(small.rowKeyOf(row))).toBe(row);
    expect(small.uploaded(3)).toEqual([rows[0], rows[2], rows[3]]);
  });

  it("are not found under keys that nobody has", () => {
    const [number] = population.users;
    expect(population.rowOf("device_platform\u0000+10000000000\u0000")).toBeUndefined();
    expect(population.rowOf(`device_platform\u0000${number}\u0000sub`)).toBeUndefined();
    expect(population.rowOf(`blocklist\u0000${number}\u0000${number}`)).toBeUndefined();
    expect(population.rowOf(`groups\u0000${number}-1\u0000${number}`)).toBeUndefined();
    expect(population.rowOf(`public_keys\u0000${number}\u00001`)).toBeUndefined();
    expect(population.rowOf(`public_keys\u0000${number}\u0000000000`)).toBeUndefined();
    expect(population.rowOf(`no_backend\u0000${number}\u0000`)).toBeUndefined();
  });

  it("of a group carry the prefix of the user who made it", () => {
    for (const unit of population.units()) {
      if (unit.backend === "groups")
        expect(unit.key.startsWith(`${population.number(unit.user)}-`)).toBe(true);
    }
  });

  it("exist for the chosen backends alone", () => {
    const few = new Population(1, 150, ["groups", "blocklist"]);
    const backends = new Set([...few.units()].map((unit) => unit.backend));
    expect([...backends].sort()).toEqual(["blocklist", "groups"]);
    expect(few.rowOf(`device_platform\u0000${few.number(0)}\u0000`)).toBeUndefined();
  });
});

describe("poison rows", () => {
  it("are there from the start, and none has the spared prefix", () => {
    const rows = drawPoison(population, 8, "+91");
    expect(new Set(rows).size).toBe(8);
    expect(drawPoison(population, 8, "+91")).toEqual(rows);
    for (const row of rows) {
      const unit = population.unitOf(row);
      expect(unit.key.startsWith("+91")).toBe(false);
      expect(population.presentAtStart(unit, row)).toBe(true);
    }
  });
});

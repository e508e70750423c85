import { describe, expect, it } from "vitest";
import { Chance } from "../../../app/driver/chance.ts";
import { scatter, Zipf } from "../../../app/driver/zipf.ts";

describe("Zipf", () => {
  it.each([0.5, 0.99, 1, 1.3])("draws each rank as often as the law says, with exponent %f", (exponent) => {
    const [count, draws] = [1_000, 200_000];
    const zipf = new Zipf(count, exponent);
    const chance = new Chance(1, 1);
    const seen = new Float64Array(count);
    for (let i = 0; i < draws; i++) {
      const rank = zipf.draw(chance);
      seen[rank] = (seen[rank] ?? 0) + 1;
    }
    let total = 0;
    for (let rank = 1; rank <= count; rank++) total += rank ** -exponent;
    let chiSquare = 0;
    for (let rank = 0; rank < count; rank++) {
      const expected = (draws * (rank + 1) ** -exponent) / total;
      chiSquare += ((seen[rank] ?? 0) - expected) ** 2 / expected;
    }
    // 999 degrees of freedom: mean 999, standard deviation 45. The draws are fixed by the seed.
    expect(chiSquare).toBeLessThan(999 + 5 * 45);
  });

  it("stays within its ranks", () => {
    const chance = new Chance(2, 2);
    for (const count of [1, 2, 3]) {
      const zipf = new Zipf(count, 0.99);
      const ranks = new Set(Array.from({ length: 1_000 }, () => zipf.draw(chance)));
      expect([...ranks].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, rank) => rank));
    }
  });
});

describe("scatter", () => {
  it("is a permutation that keeps neighbours apart", () => {
    for (const count of [100, 20_000, 99_991]) {
      const place = scatter(count);
      const places = new Set(Array.from({ length: count }, (_, rank) => place(rank)));
      expect(places.size).toBe(count);
      expect(Math.abs(place(1) - place(0))).toBeGreaterThan(count / 4);
    }
  });
});

/** Shrinking of plans that fail for known reasons: what is left, how it is found, and that it ends. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalJson, type Plan, shrink } from "../../../src/simulation/index.ts";

interface Experiment extends Plan {
  readonly decisions: readonly { readonly id: number }[];
  readonly nodes: number;
}

const planOf = (count: number, nodes = 1): Experiment => ({
  decisions: Array.from({ length: count }, (_, id) => ({ id })),
  nodes,
});
const idsOf = ({ decisions }: Experiment): number[] => decisions.map(({ id }) => id);
const fewerNodes = function* ({ nodes, ...plan }: Experiment): Iterable<Experiment> {
  for (let fewer = 1; fewer < nodes; fewer++) yield { ...plan, nodes: fewer };
};

/** Fails by `reason`; counts, and refuses to play a plan twice. */
function playing(reason: (plan: Experiment) => boolean) {
  const played = new Set<string>();
  const fails = async (plan: Experiment): Promise<boolean> => {
    expect(played.has(canonicalJson(plan)), "played twice").toBe(false);
    played.add(canonicalJson(plan));
    return reason(plan);
  };
  return { played, fails };
}

describe("a plan is shrunk to", () => {
  it("the two of 1,000 decisions that fail together", async () => {
    const { fails, played } = playing((plan) => [17, 803].every((id) => idsOf(plan).includes(id)));
    const { plan, tries, minimal } = await shrink(planOf(1_000), { fails, budget: { triesMax: 1_000 } });
    expect(idsOf(plan)).toEqual([17, 803]);
    expect({ tries, minimal }).toEqual({ tries: played.size, minimal: true });
    expect(tries).toBeLessThan(150);
  });

  it("no decision, if the rest of the plan fails alone, and that is tried first", async () => {
    const { fails } = playing(({ nodes }) => nodes === 1);
    expect(await shrink(planOf(1_000), { fails, budget: { triesMax: 2 } })).toEqual({
      plan: planOf(0),
      tries: 2,
      minimal: true,
    });
  });

  it("the fewest nodes that fail, and then to the decisions that these few need", async () => {
    // With three nodes it takes decisions 1 and 2, with two nodes decision 1 is enough.
    const reason = (plan: Experiment): boolean => {
      const ids = idsOf(plan);
      return plan.nodes > 1 && ids.includes(1) && (plan.nodes === 2 || ids.includes(2));
    };
    const { fails } = playing(reason);
    const options = { fails, simplify: fewerNodes, budget: { triesMax: 100 } };
    const { plan, minimal } = await shrink(planOf(10, 3), options);
    expect({ ids: idsOf(plan), nodes: plan.nodes, minimal }).toEqual({ ids: [1], nodes: 2, minimal: true });
  });
});

describe("shrinking ends", () => {
  it("with the smallest plan found, not called minimal, when the budget is spent", async () => {
    const reason = (plan: Experiment): boolean => [17, 803].every((id) => idsOf(plan).includes(id));
    const { fails } = playing(reason);
    const { plan, tries, minimal } = await shrink(planOf(1_000), { fails, budget: { triesMax: 20 } });
    expect({ tries, minimal }).toEqual({ tries: 20, minimal: false });
    expect(reason(plan)).toBe(true);
    expect(plan.decisions.length).toBeLessThan(1_000);
  });

  it("when what is simpler leads round in a circle", async () => {
    const { fails } = playing(() => true);
    const simplify = ({ nodes }: Experiment) => [planOf(0, (nodes + 1) % 3)];
    expect(await shrink(planOf(5), { fails, simplify, budget: { triesMax: 100 } })).toMatchObject({
      minimal: true,
    });
  });

  it("at once when the plan does not fail", async () => {
    const shrinking = shrink(planOf(3), { fails: async () => false, budget: { triesMax: 100 } });
    await expect(shrinking).rejects.toThrow("the plan that is to be shrunk fails");
  });
});

it("a plan whose failure is the harness's own error is not shrunk: the error comes out", async () => {
  const fails = async () => {
    throw new Error("no such scenario");
  };
  await expect(shrink(planOf(3), { fails, budget: { triesMax: 9 } })).rejects.toThrow("no such scenario");
});

it("what is left of any plan still fails, is 1-minimal, and is the same when it is shrunk again", async () => {
  const size = 24;
  const causes = fc.array(fc.uniqueArray(fc.nat(size - 1), { minLength: 1, maxLength: 5 }), {
    minLength: 1,
    maxLength: 4,
  });
  await fc.assert(
    fc.asyncProperty(causes, fc.nat(3), fc.integer({ min: 1, max: 4 }), async (reasons, odd, nodes) => {
      // Not monotone: some decisions spoil the failure unless they come in numbers that `odd` allows.
      const reason = (plan: Experiment): boolean => {
        const ids = idsOf(plan);
        const caused = reasons.some((cause) => cause.every((id) => ids.includes(id)));
        return plan.nodes >= Math.min(nodes, 2) && caused && (odd !== 1 || ids.length !== 7);
      };
      const start = planOf(size, nodes);
      if (!reason(start)) return;
      const options = () => ({ ...playing(reason), simplify: fewerNodes, budget: { triesMax: 10_000 } });
      const shrunk = await shrink(start, options());
      expect(shrunk.minimal).toBe(true);
      expect(reason(shrunk.plan)).toBe(true);
      for (const [i] of shrunk.plan.decisions.entries()) {
        expect(reason({ ...shrunk.plan, decisions: shrunk.plan.decisions.toSpliced(i, 1) })).toBe(false);
      }
      for (const simpler of fewerNodes(shrunk.plan)) expect(reason(simpler)).toBe(false);
      expect(await shrink(start, options())).toEqual(shrunk);
    }),
    { numRuns: 300 },
  );
});

it("equal data has equal canonical JSON, whatever the order of its fields", () => {
  expect(canonicalJson({ b: [{ d: 1, c: null }], a: "x" })).toBe('{"a":"x","b":[{"c":null,"d":1}]}');
  expect(canonicalJson([1, 2])).not.toBe(canonicalJson([2, 1]));
});

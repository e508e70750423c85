/**
 * Makes a plan that fails smaller while it still fails: delta debugging (`ddmin`, Zeller and Hildebrandt 2002) over the
 * list of its decisions, then whatever simpler plans the caller knows (fewer nodes, smaller values), both again until
 * neither finds more.
 *
 * Deterministic if `fails` is. No plan is tried twice: plans are known by their canonical JSON.
 */

import { assert } from "../base/assert.ts";

/** Plain data, all that a run depends on. A decision means the same whichever others are there. */
export interface Plan {
  readonly decisions: readonly unknown[];
}

export interface ShrinkOptions<P extends Plan> {
  /** Plays a plan: true if it still fails, and in the way that matters. */
  readonly fails: (plan: P) => Promise<boolean>;
  /** Simpler plans to try instead of this one, the simplest first. */
  readonly simplify?: (plan: P) => Iterable<P>;
  readonly budget: { readonly triesMax: number };
}

export interface Shrunk<P extends Plan> {
  /** The smallest plan that was seen to fail. */
  readonly plan: P;
  /** How often a plan was played. */
  readonly tries: number;
  /** True if the budget sufficed: without any one decision, or simplified in any one way, the plan fails no more. */
  readonly minimal: boolean;
}

/** Rejects with `AssertionError` if `plan` does not fail, and with what `fails` throws. */
export async function shrink<P extends Plan>(plan: P, options: ShrinkOptions<P>): Promise<Shrunk<P>> {
  const trials = new Trials(options.fails, options.budget.triesMax);
  assert(await trials.fails(plan), "the plan that is to be shrunk fails");
  const beenThere = new Set([canonicalJson(plan)]);
  let smallest = plan;
  for (;;) {
    smallest = await withFewerDecisions(smallest, trials);
    beenThere.add(canonicalJson(smallest));
    const simpler = await firstFailing(options.simplify?.(smallest) ?? [], trials, beenThere);
    if (simpler === undefined) break;
    beenThere.add(canonicalJson(simpler));
    smallest = simpler;
  }
  return { plan: smallest, tries: trials.count, minimal: !trials.spent };
}

class Trials<P extends Plan> {
  readonly #play: (plan: P) => Promise<boolean>;
  readonly #triesMax: number;
  readonly #known = new Map<string, boolean>();
  count = 0;
  /** True once a plan could not be tried any more. */
  spent = false;

  constructor(play: (plan: P) => Promise<boolean>, triesMax: number) {
    assert(triesMax >= 1, "a budget allows one try at least");
    this.#play = play;
    this.#triesMax = triesMax;
  }

  /** False, too, if the budget is spent. */
  async fails(plan: P): Promise<boolean> {
    const name = canonicalJson(plan);
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    if (this.count >= this.#triesMax) this.spent = true;
    if (this.spent) return false;
    this.count++;
    const failed = await this.#play(plan);
    this.#known.set(name, failed);
    return failed;
  }
}

/** ddmin, which begins with no decisions at all: what is left may be due to the rest of the plan. */
async function withFewerDecisions<P extends Plan>(plan: P, trials: Trials<P>): Promise<P> {
  const none = { ...plan, decisions: [] };
  if (plan.decisions.length === 0 || (await trials.fails(none))) return none;
  let smallest = plan;
  let parts = 2;
  while (smallest.decisions.length > 1 && !trials.spent) {
    const { length } = smallest.decisions;
    const part = await firstFailing(pieces(smallest, parts, "alone"), trials);
    const rest = part ?? (await firstFailing(pieces(smallest, parts, "left out"), trials));
    if (part !== undefined) parts = 2;
    else if (rest !== undefined) parts = Math.max(parts - 1, 2);
    else if (parts < length) parts = Math.min(parts * 2, length);
    else break;
    smallest = rest ?? smallest;
  }
  return smallest;
}

/** The decisions in so many pieces of about one size: plans with each of them alone, or without each. */
function* pieces<P extends Plan>(plan: P, count: number, which: "alone" | "left out"): Iterable<P> {
  const { decisions } = plan;
  for (let i = 0; i < count; i++) {
    const from = Math.floor((i * decisions.length) / count);
    const to = Math.floor(((i + 1) * decisions.length) / count);
    const kept =
      which === "alone" ? decisions.slice(from, to) : [...decisions.slice(0, from), ...decisions.slice(to)];
    yield { ...plan, decisions: kept };
  }
}

/** `except`: plans that shall not be found again, for whoever simplifies could lead round in a circle. */
async function firstFailing<P extends Plan>(
  plans: Iterable<P>,
  trials: Trials<P>,
  except: ReadonlySet<string> = new Set(),
): Promise<P | undefined> {
  for (const plan of plans) {
    if (trials.spent) return undefined;
    if (!except.has(canonicalJson(plan)) && (await trials.fails(plan))) return plan;
  }
  return undefined;
}

/** Equal for equal data, in whatever order its fields were written. */
export function canonicalJson(data: unknown): string {
  return JSON.stringify(data, (_, value: unknown) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

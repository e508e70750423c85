/** Draws phone numbers that libphonenumber-js holds to be valid, with the shares of numbering_plans.ts. */

import parsePhoneNumber from "libphonenumber-js/mobile";
import { AssertionError, assert } from "../../src/index.ts";
import type { Chance } from "./chance.ts";
import { type CallingCode, callingCodes, type NumberingPlan } from "./numbering_plans.ts";

/** Ranges of which some numbers are not valid have at least one valid number in twenty. */
const attemptsMax = 10_000;

/**
 * `count` different E.164 numbers in ascending order, each valid and of a mobile range of its country. The
 * same stream of chance gives the same numbers. About 10 us a number.
 */
export function drawPhoneNumbers(count: number, chance: Chance): string[] {
  const drawn = new Set<string>();
  while (drawn.size < count) {
    const code = weighted(callingCodes, chance);
    drawn.add(drawNewNumber(code, weighted(code.plans, chance), chance, drawn));
  }
  return [...drawn].sort();
}

/** A number of the plan that is not drawn yet: trying again within the plan keeps the shares. */
function drawNewNumber(
  code: CallingCode,
  plan: NumberingPlan,
  chance: Chance,
  drawn: ReadonlySet<string>,
): string {
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const number = drawNumber(code, plan, chance);
    if (!drawn.has(number) && isNumberOf(plan.country, number)) return number;
  }
  throw new AssertionError(`the numbering plan of ${plan.country} has room for its users`);
}

function isNumberOf(country: string, number: string): boolean {
  const parsed = parsePhoneNumber(number);
  return parsed?.number === number && parsed.country === country && parsed.isValid();
}

function drawNumber(code: CallingCode, plan: NumberingPlan, chance: Chance): string {
  const range = plan.ranges[chance.below(plan.ranges.length)] ?? "";
  const free = plan.digits - range.length;
  return `${code.prefix}${range}${String(chance.below(10 ** free)).padStart(free, "0")}`;
}

function weighted<T extends { readonly weight: number }>(choices: readonly T[], chance: Chance): T {
  const total = choices.reduce((sum, choice) => sum + choice.weight, 0);
  let left = chance.float() * total;
  for (const choice of choices) {
    left -= choice.weight;
    if (left < 0) return choice;
  }
  const last = choices.at(-1);
  assert(last !== undefined, "there is something to choose from");
  return last;
}

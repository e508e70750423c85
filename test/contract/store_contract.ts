/** The suite that every store adapter passes: each check of the contract, and random operations beside a model. */

import { afterEach, describe, it } from "vitest";
import { storeChecks } from "./store_checks.ts";
import { answersAsTheModel } from "./store_model.ts";
import type { StorePlace } from "./store_rows.ts";

export interface StoreHouse {
  /** A place where no store was opened yet. */
  newPlace(): StorePlace;
  /** Closes what is open and removes all places. */
  clear(): Promise<void>;
}

/** `runs`: how many random sequences of operations are tried. */
export function storeContract(name: string, house: StoreHouse, runs: number): void {
  describe(`the store contract, ${name}`, () => {
    afterEach(() => house.clear());

    for (const [sentence, check] of Object.entries(storeChecks)) {
      it(sentence, () => check(house.newPlace()));
    }

    it("random operations are answered as the model answers them", () =>
      answersAsTheModel(() => house.newPlace(), runs));
  });
}

/** The suite that every control store passes. */

import { afterEach, describe, it } from "vitest";
import { type ControlPlace, controlChecks } from "./control_checks.ts";

export interface ControlHouse {
  /** A place where nothing was written yet. */
  newPlace(): ControlPlace;
  /** Closes every handle and removes all places. */
  clear(): Promise<void>;
}

export function controlContract(name: string, house: ControlHouse): void {
  describe(`the control store's contract, ${name}`, () => {
    afterEach(() => house.clear());

    for (const [sentence, check] of Object.entries(controlChecks)) {
      it(sentence, () => check(house.newPlace()));
    }
  });
}

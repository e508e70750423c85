/** A mutant: the product with one thing broken in it, which the swarm must catch. */

import type { Broken } from "../../../app/simulate/play.ts";

export interface Mutant {
  /** The promise that it breaks. */
  readonly breaks: string;
  readonly broken: Broken;
  /** The first seeds catch it: for a check at every change. */
  readonly quick?: true;
}

/** Chance as actors see it. `site` names the decision, so that a simulator can draw each site's stream apart. */
export interface Random {
  /** A float in [0, 1). */
  next(site: string): number;
  /** `count` random bytes, e.g. for identifiers. */
  bytes(site: string, count: number): Uint8Array;
}

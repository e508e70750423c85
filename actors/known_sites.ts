/**
 * Which site serves each cohort, as far as a db_module has heard, and which answers put that in doubt. Pure.
 *
 * Always true: what was heard at a term is replaced by what was heard at a later one only.
 */

import type { NanoError } from "../src/index.ts";
import type { CohortId, Site } from "./records.ts";

export class KnownSites {
  readonly #sites: readonly [Site, Site];
  readonly #served = new Map<CohortId, { readonly site: Site; readonly term: number }>();
  /** Cohorts whose site did not answer: the other one is asked next, for it may serve them by now. */
  readonly #doubted = new Set<CohortId>();

  /** The site that serves at first, and the other one. */
  constructor(sites: readonly [Site, Site]) {
    this.#sites = sites;
  }

  toAsk(cohort: CohortId): Site {
    const [first, second] = this.#sites;
    const site = this.#served.get(cohort)?.site ?? first;
    if (!this.#doubted.has(cohort)) return site;
    return site === first ? second : first;
  }

  /** The site that was asked, or the way to it, may be gone. Of many that asked it, the first one says so. */
  failed(cohort: CohortId, asked: Site, { code }: NanoError): void {
    const isSilent = ["crashed", "timeout", "noproc", "unavailable"].includes(code);
    if (!isSilent || asked !== this.toAsk(cohort)) return;
    if (!this.#doubted.delete(cohort)) this.#doubted.add(cohort);
  }

  /**
   * Takes over what `moved` says. False if it is no news: the site that serves has not heard of the swap yet, or it is
   * the one in doubt.
   */
  moved(cohort: CohortId, { details }: NanoError): boolean {
    const { site, term } = details as { readonly site: Site; readonly term: number };
    this.#doubted.delete(cohort);
    if (term <= this.#termOf(cohort)) return false;
    this.#served.set(cohort, { site, term });
    return true;
  }

  #termOf(cohort: CohortId): number {
    return this.#served.get(cohort)?.term ?? 0;
  }
}

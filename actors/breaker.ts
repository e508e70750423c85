/**
 * A circuit breaker for one remote partition: closed, open, or half-open with one probe at a time. Pure.
 * It judges *answers*: a rejection is an answer, a time-out is none.
 */
export class Breaker {
  readonly #failuresMax: number;
  #failures = 0;
  #state: "closed" | "open" | "half_open" = "closed";

  constructor(failuresMax: number) {
    this.#failuresMax = failuresMax;
  }

  get state(): "closed" | "open" | "half_open" {
    return this.#state;
  }

  /** Returns true if this opened it. A failed probe opens it again. */
  failed(): boolean {
    this.#failures++;
    if (this.#state === "open") return false;
    if (this.#state === "closed" && this.#failures < this.#failuresMax) return false;
    this.#state = "open";
    return true;
  }

  /** Returns true if this closed it. */
  answered(): boolean {
    this.#failures = 0;
    if (this.#state === "closed") return false;
    this.#state = "closed";
    return true;
  }

  /** The probe interval passed: one probe may go. */
  halfOpen(): void {
    if (this.#state === "open") this.#state = "half_open";
  }
}

/** A token bucket on a clock that the caller reads: `rate` tokens a second, at most a tenth of a second saved up. */
export class TokenBucket {
  #rate: number;
  #tokens: number;
  #atMs: number;

  constructor(rate: number, nowMs: number) {
    this.#rate = rate;
    this.#tokens = rate / 10;
    this.#atMs = nowMs;
  }

  get rate(): number {
    return this.#rate;
  }

  /** Takes effect at once; what was saved up is kept, within the new bound. */
  setRate(rate: number, nowMs: number): void {
    this.#refill(nowMs);
    this.#rate = rate;
    this.#tokens = Math.min(this.#tokens, rate / 10);
  }

  /** How many whole tokens can be taken now, at most `wanted`. */
  available(wanted: number, nowMs: number): number {
    this.#refill(nowMs);
    return Math.max(0, Math.min(wanted, Math.floor(this.#tokens)));
  }

  /** Takes tokens; the bucket may go into debt, which later refills pay first. */
  take(count: number): void {
    this.#tokens -= count;
  }

  /** Ms until `count` tokens are there. */
  delayMs(count: number, nowMs: number): number {
    this.#refill(nowMs);
    return this.#tokens >= count ? 0 : Math.ceil(((count - this.#tokens) * 1_000) / this.#rate);
  }

  #refill(nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - this.#atMs);
    this.#atMs = nowMs;
    // A tenth of a second's worth: bursts stay short, so that the rate holds over any second.
    const most = Math.max(1, this.#rate / 10);
    this.#tokens = Math.min(most, this.#tokens + (elapsedMs * this.#rate) / 1_000);
  }
}

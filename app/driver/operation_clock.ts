/**
 * When each operation began, to the second: one entry for each second of traffic, not one for each operation.
 * What a row's expiry is derives from it, so that the model needs no table of expiries.
 */

export class OperationClock {
  readonly #operations: number[] = [];
  readonly #times: number[] = [];

  /** Operations from `operation` on began at `nowMs` or later. Both never fall. */
  tick(operation: number, nowMs: number): void {
    this.#operations.push(operation);
    this.#times.push(nowMs);
  }

  /** Wall-clock ms of the last tick; 0 before the first. */
  get lastTickMs(): number {
    return this.#times.at(-1) ?? 0;
  }

  /** The time of the last tick that is not after the operation; 0 for operations before the first tick. */
  timeOf(operation: number): number {
    let low = 0;
    let high = this.#operations.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#operations[middle] ?? 0) <= operation) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? 0 : (this.#times[low - 1] ?? 0);
  }
}

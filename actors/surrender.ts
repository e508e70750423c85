/**
 * The wish to give up what is under way, once: the first reason counts. Whoever waits for a step waits for `wanted`
 * beside it.
 */

import type { NanoError } from "../src/index.ts";

export class Surrender {
  readonly wanted: Promise<never>;
  #reason: NanoError | undefined;
  #reject: (reason: NanoError) => void = () => undefined;

  constructor() {
    this.wanted = new Promise((_, reject) => {
      this.#reject = reject;
    });
    this.wanted.catch(() => undefined);
  }

  get reason(): NanoError | undefined {
    return this.#reason;
  }

  up(reason: NanoError): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#reject(reason);
  }
}

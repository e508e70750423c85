import type { NanoError } from "../src/index.ts";

/** The wish to give up, once: the first reason counts. */
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

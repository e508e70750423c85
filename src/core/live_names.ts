/**
 * Names of what only a live process has and what its state may hold: its `self`, with log, chance and clock, and ways
 * to other processes. A picture of the state has the names; a replay puts its own things in their places.
 */

import type { Image } from "../wire/value_image.ts";
import type { Definition, Ref } from "./gen_server.ts";
import type { Self } from "./self.ts";

export class LiveNames {
  readonly #names = new WeakMap<object, readonly Image[]>();

  of(thing: object): readonly Image[] | undefined {
    return this.#names.get(thing);
  }

  self(self: Self): void {
    this.#names.set(self, ["self"]);
    this.#names.set(self.random, ["random"]);
    this.#names.set(self.clock, ["clock"]);
  }

  /** Apart from its `self`: a log is made when it is first asked for. */
  log(log: object): void {
    this.#names.set(log, ["log"]);
  }

  ref(ref: Ref<Definition>, { module, name }: Definition): void {
    const { call, cast, target } = ref;
    const to =
      typeof target === "string" ? [target] : [target.node, target.thread, target.incarnation, target.id];
    this.#names.set(ref, ["ref", module, name, ...to]);
    this.#names.set(call, ["call", module, name, ...to]);
    this.#names.set(cast, ["cast", module, name, ...to]);
  }
}

/**
 * A capsule as a replay consumes it: turns, each with its message, what the process was told in it, and what was
 * settled. Values are made of images here, with the live things of the replay in the places of the dead ones.
 */

import { NanoError } from "../base/errors.ts";
import type { ExitReason, From } from "../core/envelope.ts";
import type { DefinitionName } from "../core/gen_server.ts";
import type { Target } from "../core/pid.ts";
import type { Capsule, CapsuleEntry } from "../wire/capsule_format.ts";
import { type Image, valueOfImage } from "../wire/value_image.ts";

type Of<Type extends CapsuleEntry["type"]> = Extract<CapsuleEntry, { readonly type: Type }>;

/** One turn; the first, without a message, is `init`. */
export interface Turn {
  readonly message: Of<"message"> | undefined;
  /** What was told at once, by what was asked, in order. */
  readonly values: Map<string, Image[]>;
  /** In order: settled answers, what is lost. */
  readonly events: (Of<"settled"> | Of<"lost">)[];
  /** How the state looked after it. */
  readonly after: Image | undefined;
}

export function turnsOf({ entries }: Capsule): Turn[] {
  const turns: { -readonly [Key in keyof Turn]: Turn[Key] }[] = [newTurn(undefined)];
  for (const entry of entries) {
    const turn = turns.at(-1) as (typeof turns)[number];
    switch (entry.type) {
      case "message":
        turns.push(newTurn(entry));
        break;
      case "value": {
        const told = turn.values.get(entry.key);
        if (told === undefined) turn.values.set(entry.key, [entry.value]);
        else told.push(entry.value);
        break;
      }
      case "state":
        turn.after = entry.image;
        break;
      case "settled":
      case "lost":
        turn.events.push(entry);
    }
  }
  return turns;
}

function newTurn(message: Of<"message"> | undefined): Turn {
  return { message, values: new Map(), events: [], after: undefined };
}

/** Makes the live things that images name. */
export interface LiveThings {
  self(part: "self" | "log" | "random" | "clock"): unknown;
  ref(part: "ref" | "call" | "cast", definition: DefinitionName, target: Target): unknown;
}

/** Errors: `unreadable`. */
export function liveValue(image: Image, live: LiveThings): unknown {
  return valueOfImage(image, (name) => {
    const [what, ...rest] = name;
    if (what === "self" || what === "log" || what === "random" || what === "clock") return live.self(what);
    const [module, definition, first, thread, incarnation, id] = rest;
    const isRef =
      (what === "ref" || what === "call" || what === "cast") &&
      typeof module === "string" &&
      typeof definition === "string";
    if (!isRef || typeof first !== "string") throw unknownName(name);
    if (rest.length === 3) return live.ref(what, { module, name: definition }, first);
    if (typeof thread !== "number" || typeof incarnation !== "number" || typeof id !== "number")
      throw unknownName(name);
    return live.ref(what, { module, name: definition }, { node: first, thread, incarnation, id });
  });
}

function unknownName(name: readonly Image[]): NanoError {
  return new NanoError("unreadable", `the capsule names ${String(name[0])}, which nobody knows`);
}

/** Of what holds no live things. */
export function plainValue(image: Image): unknown {
  return valueOfImage(image, (name) => {
    throw unknownName(name);
  });
}

/** Errors: `unreadable`. */
export function fromOf(image: Image): From | undefined {
  const from = plainValue(image) as Partial<From> | undefined;
  if (from === undefined) return undefined;
  if (typeof from?.ref === "number" && typeof from.deadlineMs === "number" && typeof from.pid === "object")
    return from as From;
  throw new NanoError("unreadable", "the capsule has a call without a caller");
}

/** Errors: `unreadable`. */
export function reasonOf({ reason }: Capsule): ExitReason {
  const value = plainValue(reason);
  if (typeof value === "string" || (typeof value === "object" && value !== null)) return value as ExitReason;
  throw new NanoError("unreadable", "the capsule has no reason of its process's end");
}

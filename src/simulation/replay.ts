/**
 * Replays a crash capsule: a production process in a simulated world gets the messages that the dead one got, with the
 * same times, draws and answers, and does the same again, or does not.
 *
 * It runs the code of the module that the capsule names: replay only what your own systems wrote. What a handler gets
 * past its `self` (files, sockets, `Date.now()`) is not in a capsule; a replay says so instead of guessing.
 */

import { type ErrorData, hasCode, NanoError, toErrorData } from "../base/errors.ts";
import { capsuleLimits } from "../base/limits.ts";
import type { Canceled, ExitReason } from "../core/envelope.ts";
import type { CapsuleRules, Definition, DefinitionName, Inferred, Ref } from "../core/gen_server.ts";
import { importDefinition } from "../core/import_definition.ts";
import { LiveNames } from "../core/live_names.ts";
import type { Pid, Target } from "../core/pid.ts";
import type { Self } from "../core/self.ts";
import { type Capsule, decodeCapsule } from "../wire/capsule_format.ts";
import { type Image, imageDifference, imageOf } from "../wire/value_image.ts";
import { simulationLimits } from "./limits.ts";
import type { SimulatedNode } from "./node.ts";
import { ReplaySelf } from "./replay_self.ts";
import { fromOf, type LiveThings, liveValue, reasonOf, type Turn, turnsOf } from "./replay_tape.ts";
import { playSeed, type World } from "./simulate.ts";

export interface ReplayOptions {
  /** The behaviour to replay. Default: what the capsule's module exports under its name. */
  readonly definition?: Definition;
  /** Where that module is now, as a URL: a capsule comes from another machine, or another build. */
  readonly module?: string;
  /** What `self.resource(name)` finds. */
  readonly resources?: Readonly<Record<string, unknown>>;
  /** False: handlers may use real clocks, timers and chance; see `SimulationOptions.guard`. Default: true. */
  readonly guard?: boolean;
}

export interface ReplayReport {
  /**
   * `crashed_again`: with the same error. `crashed_otherwise`: with another one. `no_crash`: every message was handled.
   * `unclear`: the capsule has not all that the process took in, so nothing can be said.
   */
  readonly outcome: "crashed_again" | "crashed_otherwise" | "no_crash" | "unclear";
  readonly capsule: Pick<Capsule, "module" | "definition" | "process" | "pid" | "writtenAtMs" | "stack">;
  /** From what it began: the options of `init`, or a picture of the state. */
  readonly from: Capsule["base"]["type"];
  /** Messages in the capsule, and how many the replay handed over. */
  readonly messages: number;
  readonly replayed: number;
  /** The last message that was handed over, in words. */
  readonly lastMessage: string;
  /** Why the process ended then, and now. */
  readonly then: ExitReason;
  readonly now: ExitReason | undefined;
  /** Of the crash now. */
  readonly stack: string | undefined;
  /** What was not as it had been, each once; why it is unclear. */
  readonly notes: readonly string[];
}

/**
 * Replays a capsule's bytes. With vitest: `expect((await replayCapsule(bytes)).outcome).toBe("no_crash")`.
 * Errors: `unreadable`, `newer_format`; `undef` when the module has no such definition; what it throws when it is
 * loaded.
 */
export async function replayCapsule(bytes: Uint8Array, options: ReplayOptions = {}): Promise<ReplayReport> {
  const capsule = decodeCapsule(bytes);
  const named = { module: options.module ?? capsule.module, name: capsule.definition };
  const definition = options.definition ?? (await importDefinition(named));
  const replay = new Replay(capsule, definition, await definitionsIn(capsule, definition));
  if (capsule.base.type === "none")
    return replay.report(`it has no state to begin with: ${capsule.base.why}`);
  const { atMs } = capsule.base;
  const played = await playSeed({ seed: 1, startMs: atMs, guard: options.guard ?? true }, (world) =>
    replay.run(world, options.resources ?? {}),
  );
  if (played.outcome.ok) return replay.report(played.outcome.value);
  if (hasCode(played.outcome.error, "unreadable")) throw played.outcome.error;
  return replay.report(toErrorData(played.outcome.error).message);
}

/** Ways to other processes in the state need their definitions; what can't be loaded is said when it is needed. */
async function definitionsIn(capsule: Capsule, definition: Definition): Promise<Map<string, Definition>> {
  const found = new Map([[keyOf(definition), definition]]);
  const wanted = new Map<string, DefinitionName>();
  const find = (image: Image): void => {
    liveValue(image, {
      self: () => undefined,
      ref: (_part, name) => void wanted.set(keyOf(name), name),
    });
  };
  if (capsule.base.type !== "none") find(capsule.base.image);
  for (const entry of capsule.entries) if (entry.type === "message") find(entry.message);
  for (const [key, name] of wanted) if (!found.has(key)) found.set(key, await importDefinition(name));
  return found;
}

function keyOf({ module, name }: DefinitionName): string {
  return `${module}#${name}`;
}

/** As it is handed to the process: a method that no definition has. */
const canceledMethod = "canceled, replayed";

class Replay {
  readonly #capsule: Capsule;
  readonly #definition: Definition;
  readonly #definitions: ReadonlyMap<string, Definition>;
  readonly #turns: Turn[];
  readonly #names = new LiveNames();
  readonly #notes = new Set<string>();
  #self: ReplaySelf | undefined;
  #state: unknown;
  #replayed = 0;
  #unclear: string | undefined;
  #end: { readonly reason: ExitReason; readonly stack: string | undefined } | undefined;

  constructor(capsule: Capsule, definition: Definition, definitions: ReadonlyMap<string, Definition>) {
    this.#capsule = capsule;
    this.#definition = definition;
    this.#definitions = definitions;
    this.#turns = turnsOf(capsule);
  }

  /** Returns why it can't be told what would have happened; undefined if it can. */
  async run(world: World, resources: Readonly<Record<string, unknown>>): Promise<string | undefined> {
    world.onLog = ({ message, fields }) => {
      if (!message.startsWith("process crashed")) return;
      this.#end = { reason: fields.reason as ExitReason, stack: fields.stack as string | undefined };
    };
    const node = await world.node("replay", { resources: () => resources });
    let pid: Pid | undefined;
    let failed: ErrorData | undefined;
    node.system.spawn(this.#behaviour(), undefined, { initTimeoutMs: Number.POSITIVE_INFINITY }).then(
      (started) => {
        pid = started;
      },
      (error: unknown) => {
        failed = toErrorData(error);
      },
    );
    const [init, ...turns] = this.#turns as [Turn, ...Turn[]];
    await world.sleep(0);
    const lost = await this.#settle(world, init);
    if (failed !== undefined) return `init fails now: ${failed.message}`;
    if (lost !== undefined) return lost;
    if (pid === undefined) return "init waits for what is not in the capsule";
    for (const turn of turns) {
      const unclear = await this.#turn(world, node, pid, turn);
      if (this.#end !== undefined) return undefined;
      if (unclear !== undefined) return unclear;
    }
    return undefined;
  }

  async #turn(world: World, node: SimulatedNode, pid: Pid, turn: Turn): Promise<string | undefined> {
    const { message, values, after } = turn;
    if (message === undefined || this.#capsule.base.type === "none") return undefined;
    const process = node.processOf(pid);
    if (process === undefined) return `the process ended as it should not: ${this.#lastMessage}`;
    const { kind, method, atMs } = message;
    const from = fromOf(message.from);
    node.wallClock.skewMs = atMs - this.#capsule.base.atMs - world.nowMs;
    this.#self?.begin(values);
    this.#replayed++;
    const value = this.#live(message.message);
    if (kind === "cancel") node.deliver(pid, "cast", canceledMethod, { from, graceMs: value }, undefined);
    else node.deliver(pid, kind, method, value, from);
    await world.sleep(0);
    const lost = await this.#settle(world, turn);
    if (this.#end !== undefined) return undefined;
    if (lost !== undefined) return `${this.#lastMessage}: ${lost}`;
    const { status } = process;
    if (status === "ended" || status === "terminating") return undefined;
    if (status !== "ready") {
      const asked = this.#self?.unanswered.join(", ") || "something outside its self";
      return `${this.#lastMessage} waits for what is not in the capsule: ${asked}`;
    }
    this.#state = process.state;
    if (after !== undefined) this.#compare(after);
    return undefined;
  }

  /** Lets happen what was settled in a turn, one after the other. Returns what is lost. */
  async #settle(world: World, { events }: Turn): Promise<string | undefined> {
    for (const event of events) {
      if (event.type === "lost") return `the capsule lacks ${event.why}`;
      const { operation, what, ok, value } = event;
      this.#self?.settle(operation, what, ok, this.#live(value));
      await world.sleep(0);
    }
    return undefined;
  }

  /** The behaviour, begun where the capsule begins. It does not end its business: that would be the world's. */
  #behaviour(): Definition {
    const { callbacks, module, name } = this.#definition;
    const { terminate: _, formatStatus: __, init, canceled, ...rest } = callbacks;
    const begin = (_options: unknown, world: Self): unknown => {
      const { base, pid, process, operations } = this.#capsule;
      const self = new ReplaySelf(world, {
        pid,
        name: process,
        operations,
        names: this.#names,
        valueOf: (image) => this.#live(image),
        note: (text) => this.#note(text),
        unclear: (text) => {
          this.#unclear ??= text;
        },
      });
      this.#self = self;
      self.begin(this.#turns[0]?.values ?? new Map());
      const value = base.type === "none" ? undefined : this.#live(base.image);
      if (base.type === "init") return init(value, self);
      const rules = callbacks.capsule as CapsuleRules | undefined;
      return rules?.save === undefined || rules.restore === undefined ? value : rules.restore(value, self);
    };
    const cast: Inferred = {
      ...callbacks.cast,
      [canceledMethod]: (state: unknown, { from, graceMs }: Canceled) => canceled?.(state, from, graceMs),
    };
    return { module, name, callbacks: { ...rest, init: begin, cast } as Definition["callbacks"] };
  }

  #compare(then: Image): void {
    const { capsule: rules } = this.#definition.callbacks;
    const { save = (state: unknown) => state, redact } = rules === false || rules === undefined ? {} : rules;
    const { image } = imageOf(save(this.#state), "state", {
      bytesMax: capsuleLimits.stateBytesMax,
      redact,
      foreign: (thing) => this.#names.of(thing),
    });
    const path = imageDifference(then, image);
    if (path === undefined) return;
    const where = path === "" ? "the state" : `the state's ${path}`;
    this.#note(`after it ${where} is not what it was`);
  }

  #live(image: Image): unknown {
    const live: LiveThings = {
      self: (part) => (part === "self" ? this.#self : this.#self?.[part]),
      ref: (part, name, target) => this.#ref(part, name, target),
    };
    return liveValue(image, live);
  }

  #ref(part: "ref" | "call" | "cast", name: DefinitionName, target: Target): unknown {
    const definition = this.#definitions.get(keyOf(name));
    if (definition === undefined) throw new NanoError("undef", `${name.name} was not loaded`);
    const ref: Ref<Definition> | undefined = this.#self?.ref(definition, target);
    return part === "ref" ? ref : ref?.[part];
  }

  #note(text: string): void {
    if (this.#notes.size >= simulationLimits.replayNotesMax) return;
    this.#notes.add(this.#replayed === 0 ? text : `message ${this.#replayed}: ${text}`);
  }

  get #lastMessage(): string {
    const message = this.#turns[this.#replayed]?.message;
    if (this.#replayed === 0 || message === undefined) return "init";
    const { kind, method } = message;
    return `message ${this.#replayed} of ${this.#turns.length - 1} (${method === "" ? kind : `${kind} ${method}`})`;
  }

  report(stopped: string | undefined): ReplayReport {
    const { module, definition, process, pid, writtenAtMs, stack, base } = this.#capsule;
    const then = reasonOf(this.#capsule);
    const now = this.#end?.reason;
    const isSame = sameEnd(then, now);
    const unclear = stopped ?? (isSame ? undefined : this.#unclear);
    if (unclear !== undefined) this.#notes.add(unclear);
    const crashed = isSame ? "crashed_again" : "crashed_otherwise";
    return {
      outcome: unclear !== undefined ? "unclear" : now === undefined ? "no_crash" : crashed,
      capsule: { module, definition, process, pid, writtenAtMs, stack },
      from: base.type,
      messages: this.#turns.length - 1,
      replayed: this.#replayed,
      lastMessage: this.#lastMessage,
      then,
      now,
      stack: this.#end?.stack,
      notes: [...this.#notes],
    };
  }
}

/** An error is the same if it says the same; where in the code it was thrown may have moved. */
function sameEnd(then: ExitReason, now: ExitReason | undefined): boolean {
  if (typeof then !== "object" || !("crash" in then)) return JSON.stringify(then) === JSON.stringify(now);
  if (typeof now !== "object" || !("crash" in now)) return false;
  return then.crash.code === now.crash.code && then.crash.message === now.crash.message;
}

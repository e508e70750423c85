/**
 * The recorder of one process that asked for a crash capsule: it keeps what the process takes in, so that its last
 * messages can be played again.
 *
 * State: one or two tapes. A tape begins with a picture of the state (the first one with the options of `init`) and
 * has at most `messages` messages; then a new one begins, and the one before the last is dropped: so the last
 * `messages` messages are always there, or all of a younger process. Everything is copied when it is taken in, before
 * a handler can change it.
 *
 * Always true: whatever can't be kept (an instance of a class, too many bytes) is said in the capsule; the process
 * itself never notices its recorder.
 */

import { toErrorData } from "../base/errors.ts";
import { capsuleLimits } from "../base/limits.ts";
import type { Clock } from "../seams/clock.ts";
import type { Capsule, CapsuleBase, CapsuleEntry, CapsuleMessageKind } from "../wire/capsule_format.ts";
import { type Image, imageOf, type SizedImage } from "../wire/value_image.ts";
import type { ExitReason, From } from "./envelope.ts";
import type { CapsuleRules, Definition } from "./gen_server.ts";
import { LiveNames } from "./live_names.ts";
import type { Pid } from "./pid.ts";

interface Tape {
  readonly base: CapsuleBase;
  /** Before it, in the process's life. */
  readonly earlier: number;
  readonly operations: number;
  readonly entries: CapsuleEntry[];
  messages: number;
  bytes: number;
  /** It had no room for something: it can't be played to its end. */
  isCut: boolean;
}

/** Beside its image each entry takes about this. */
const entryBytes = 64;

export class CapsuleRecorder {
  readonly #messagesMax: number;
  readonly #clock: Pick<Clock, "now">;
  readonly #rules: CapsuleRules;
  readonly names = new LiveNames();
  #older: Tape | undefined;
  #tape: Tape;
  #messages = 0;
  #operations = 0;

  constructor(messagesMax: number, clock: Pick<Clock, "now">, rules: CapsuleRules) {
    this.#messagesMax = messagesMax;
    this.#clock = clock;
    this.#rules = rules;
    this.#tape = this.#newTape({ type: "none", atMs: 0, why: "init had not begun" });
  }

  /** `init` begins. */
  begin(options: unknown): void {
    this.#tape = this.#newTape(this.#picture("init", options));
  }

  /** A turn begins. */
  take(
    kind: CapsuleMessageKind,
    method: string,
    message: unknown,
    from: From | undefined,
    state: unknown,
  ): void {
    const { messages, bytes, isCut } = this.#tape;
    if (messages >= this.#messagesMax || bytes > capsuleLimits.tapeBytesMax || isCut) this.#turnOver(state);
    this.#messages++;
    this.#tape.messages++;
    const atMs = this.#clock.now();
    this.#record(message, method || kind, (image) => ({
      type: "message",
      atMs,
      kind,
      method,
      message: image,
      from: this.#image(from, "from", entryBytes * 100).image,
    }));
  }

  /** The state is another one, which follows from no message: what was before it can't be played up to what comes. */
  replaced(state: unknown): void {
    this.#turnOver(state);
    this.#older = undefined;
  }

  /** What the process was told at once; returned as it is. */
  value<T>(key: string, value: T): T {
    this.#record(value, key, (image) => ({ type: "value", key, value: image }));
    return value;
  }

  /** Something was taken in that has no image: the tape is cut here. */
  lose(why: string): void {
    if (this.#tape.isCut) return;
    this.#tape.entries.push({ type: "lost", why: wellFormed(why) });
    this.#tape.isCut = true;
  }

  /** What the process asked of others: kept when it is settled, before the process hears of it. */
  operation<T>(what: string, answer: Promise<T>): Promise<T> {
    const operation = this.#operations++;
    const settled = (ok: boolean, value: unknown): void =>
      this.#record(value, what, (image) => ({ type: "settled", operation, what, ok, value: image }));
    return answer.then(
      (value) => {
        settled(true, value);
        return value;
      },
      (error: unknown) => {
        settled(false, error);
        throw error;
      },
    );
  }

  capsule(dead: {
    readonly definition: Definition;
    readonly name: string;
    readonly pid: Pid;
    readonly reason: ExitReason;
    readonly stack: string | undefined;
  }): Capsule {
    const { definition, name, pid, reason, stack = "" } = dead;
    const older = this.#older?.base.type === "none" ? undefined : this.#older;
    const first = older ?? this.#tape;
    const { image } = this.#tape.base.type === "state" ? this.#tape.base : {};
    const seam: CapsuleEntry[] = image === undefined ? [] : [{ type: "state", image }];
    return {
      writtenAtMs: this.#clock.now(),
      module: definition.module,
      definition: definition.name,
      process: name,
      pid: { node: pid.node, thread: pid.thread, incarnation: pid.incarnation, id: pid.id },
      reason: this.#safeImage(reason),
      stack: wellFormed(stack),
      earlier: first.earlier,
      operations: first.operations,
      base: first.base,
      entries: older === undefined ? this.#tape.entries : [...older.entries, ...seam, ...this.#tape.entries],
    };
  }

  #turnOver(state: unknown): void {
    this.#older = this.#tape.isCut ? undefined : this.#tape;
    this.#tape = this.#newTape(this.#picture("state", state));
  }

  #newTape(base: CapsuleBase): Tape {
    const [earlier, operations] = [this.#messages, this.#operations];
    return { base, earlier, operations, entries: [], messages: 0, bytes: 0, isCut: false };
  }

  #picture(type: "init" | "state", value: unknown): CapsuleBase {
    const atMs = this.#clock.now();
    try {
      const { save } = this.#rules;
      const shown = type === "state" && save !== undefined ? save(value) : value;
      const { image } = this.#image(
        shown,
        type === "init" ? "options" : "state",
        capsuleLimits.stateBytesMax,
      );
      return { type, atMs, image };
    } catch (error) {
      const why = `${type === "init" ? "options" : "state"}: ${toErrorData(error).message}`;
      return { type: "none", atMs, why: wellFormed(why) };
    }
  }

  #record(value: unknown, key: string, entry: (image: Image) => CapsuleEntry): void {
    const tape = this.#tape;
    if (tape.isCut) return;
    try {
      const { image, bytes } = this.#image(value, key, capsuleLimits.tapeBytesMax);
      tape.bytes += bytes + entryBytes;
      tape.entries.push(entry(image));
    } catch (error) {
      this.lose(`${key}: ${toErrorData(error).message}`);
      return;
    }
    // One turn may take in more than is between two pictures, but not without end.
    const bytesMax = 2 * capsuleLimits.tapeBytesMax;
    if (tape.bytes > bytesMax) this.lose(`more than ${bytesMax} bytes were taken in`);
  }

  #image(value: unknown, key: string, bytesMax: number): SizedImage {
    return imageOf(value, key, {
      bytesMax,
      redact: this.#rules.redact,
      foreign: (object) => this.names.of(object),
    });
  }

  #safeImage(value: unknown): Image {
    try {
      return this.#image(value, "reason", capsuleLimits.tapeBytesMax).image;
    } catch {
      return this.#image(String(value), "reason", capsuleLimits.tapeBytesMax).image;
    }
  }
}

/** Half a surrogate pair has no place in a file. */
function wellFormed(text: string): string {
  return text.replaceAll(/\p{Surrogate}/gu, "\uFFFD");
}

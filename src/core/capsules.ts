/**
 * The crash capsules of one thread: who is recorded, and the folder to which capsules of the dead are written.
 *
 * State: how many are being written. Always true: at most `filesMax` files of ours stay in the folder, each of at most
 * `capsuleLimits.fileBytesMax`; a capsule that can't be written is said in the log and harms nobody.
 */

import { NanoError, toErrorData } from "../base/errors.ts";
import { capsuleLimits } from "../base/limits.ts";
import type { Clock } from "../seams/clock.ts";
import type { Disk } from "../seams/disk.ts";
import type { Logger } from "../seams/log.ts";
import { type Capsule, encodeCapsule } from "../wire/capsule_format.ts";
import { CapsuleRecorder } from "./capsule_recorder.ts";
import type { Envelope, ExitReason } from "./envelope.ts";
import type { Definition } from "./gen_server.ts";
import { formatPid, type Pid } from "./pid.ts";
import { RecordedDefinition } from "./recorded_definition.ts";

/** Opts a process in, or, with 0 messages, out. */
export interface CapsuleWish {
  /** So many of its last messages are kept, at least. 1 to 100,000; 0: none. */
  readonly messages: number;
}

export interface CapsulesOptions {
  readonly directory: string;
  readonly disk: Disk;
  readonly clock: Pick<Clock, "now">;
  readonly log: Logger;
  /** Default: `capsuleLimits.filesMax`. */
  readonly filesMax?: number;
}

/** A process that crashed, as it was then. */
export interface Crashed {
  readonly definition: Definition;
  readonly name: string;
  readonly pid: Pid;
  readonly state: unknown;
}

export interface Crash {
  readonly reason: ExitReason;
  readonly stack: string | undefined;
  /** What it died of. */
  readonly envelope: Envelope;
}

const suffix = ".capsule";

export class Capsules {
  readonly #options: CapsulesOptions;
  readonly #warned = new Set<string>();
  readonly #writing = new Set<Promise<void>>();
  /** One after the other: so that two never count the same files. */
  #last: Promise<void> = Promise.resolve();

  constructor(options: CapsulesOptions) {
    this.#options = options;
  }

  /** The definition as its process shall run it: recorded, if somebody asked for that and nothing speaks against it. */
  of(definition: Definition, wish: CapsuleWish | undefined): Definition {
    const { capsule: rules, formatStatus } = definition.callbacks;
    if (rules === false) return definition;
    const messages = wish?.messages ?? rules?.messages ?? 0;
    checkMessages(messages, definition.name);
    if (messages === 0) return definition;
    if (rules === undefined && formatStatus !== undefined) {
      this.#warn(definition.name);
      return definition;
    }
    return new RecordedDefinition(
      definition,
      new CapsuleRecorder(messages, this.#options.clock, rules ?? {}),
    );
  }

  /** Writes the capsule of a process that was recorded. Returns the file's path, before it is there. */
  crashed(process: Crashed, { reason, stack, envelope }: Crash): string | undefined {
    const { definition, pid, name, state } = process;
    if (!(definition instanceof RecordedDefinition)) return undefined;
    const { log } = this.#options;
    if (this.#writing.size >= capsuleLimits.writingMax) {
      log.warn({ pid: formatPid(pid) }, "no crash capsule: too many are being written");
      return undefined;
    }
    if (isUnheard(definition, envelope)) {
      const { kind, method, message, from } = envelope;
      definition.recorder.take(kind, method, message, from, state);
    }
    const capsule = definition.recorder.capsule({ definition, name, pid, reason, stack });
    const path = `${this.#options.directory}/${fileName(capsule)}`;
    const written = this.#last.then(() => this.#write(path, capsule));
    const ended = written.catch((error: unknown) => {
      log.error({ pid: formatPid(pid), path, error: toErrorData(error) }, "a crash capsule was not written");
    });
    this.#last = ended;
    this.#writing.add(ended);
    void ended.then(() => this.#writing.delete(ended));
    return path;
  }

  /** Resolves when what was begun is written. */
  async written(): Promise<void> {
    while (this.#writing.size > 0) await Promise.all(this.#writing);
  }

  async #write(path: string, capsule: Capsule): Promise<void> {
    const { directory, disk, filesMax = capsuleLimits.filesMax } = this.#options;
    const bytes = encodeCapsule(capsule);
    await disk.makeDirectory(directory);
    const ours = (await disk.list(directory)).filter((name) => name.endsWith(suffix));
    // Names begin with their time: the first are the oldest. Other threads may remove the same ones.
    const tooMany = Math.max(0, ours.length + 1 - filesMax);
    for (const name of ours.slice(0, tooMany)) await disk.remove(`${directory}/${name}`);
    const file = await disk.openAppend(path, { synced: false, isPrivate: true });
    try {
      await file.append(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
  }

  /** Once for each definition. */
  #warn(name: string): void {
    if (this.#warned.has(name)) return;
    this.#warned.add(name);
    const text = `${name} has a formatStatus and no capsule rules: its state may be secret, and is not recorded`;
    this.#options.log.warn({ definition: name }, text);
  }
}

/** No handler got it, and so no recorder: that is why its process died. */
function isUnheard(
  { callbacks }: Definition,
  envelope: Envelope,
): envelope is Envelope & { readonly kind: "call" | "cast" } {
  const { kind, method } = envelope;
  if (kind !== "call" && kind !== "cast") return false;
  return !Object.hasOwn((callbacks[kind] ?? {}) as object, method);
}

/** Errors: `bad_argument`. */
export function checkMessages(messages: unknown, who: string): void {
  const { messagesMax } = capsuleLimits;
  if (
    typeof messages === "number" &&
    Number.isSafeInteger(messages) &&
    messages >= 0 &&
    messages <= messagesMax
  )
    return;
  const text = `${who}: capsule.messages must be a whole number from 0 to ${messagesMax}, not ${String(messages)}`;
  throw new NanoError("bad_argument", text, { field: "capsule" });
}

/** Sorted by name they are sorted by time; nothing in it is special to a file system. */
function fileName({ writtenAtMs, definition, pid }: Capsule): string {
  const time = String(Math.max(0, Math.floor(writtenAtMs))).padStart(15, "0");
  const name = definition.replaceAll(/[^A-Za-z0-9_-]/g, "_");
  return `${time}_${name}_${pid.thread}.${pid.incarnation}.${pid.id}${suffix}`;
}

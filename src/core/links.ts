/**
 * Links and monitors of one thread's processes. A link is two-way: the end of one ends the other, unless it traps
 * exits. A monitor is one-way: the watcher hears `down` once. The end of a thread is the end of all its processes.
 */

import { AssertionError } from "../base/assert.ts";
import type { TimerHandle } from "../seams/clock.ts";
import type { Envelope, ExitReason } from "./envelope.ts";
import type { Host } from "./host.ts";
import { formatPid, type Pid, samePid } from "./pid.ts";
import type { Process } from "./process.ts";

interface Watch {
  readonly watcher: number;
  readonly target: Pid;
  /** For code that waits for an end outside of a turn. */
  readonly ended: ((reason: ExitReason) => void) | undefined;
}

interface Ending {
  readonly isWatched: boolean;
  /** Calls `late` if the end has not come after `delayMs`. */
  readonly unless: (delayMs: number, late: () => void) => void;
  readonly forget: () => void;
}

export class Links {
  readonly #host: Host;
  /** Monitors that processes of this thread hold, by reference. */
  readonly #watches = new Map<number, Watch>();
  #nextRef = 1;

  constructor(host: Host) {
    this.#host = host;
  }

  /** Links a process of this thread with any other. */
  link(own: Pid, other: Pid): void {
    const process = this.#host.process(own.id);
    if (process !== undefined) remember(process, other);
    if (!this.#host.post("link", other, "", own, undefined)) this.#exitSignal(own, other, "noproc");
  }

  unlink(own: Pid, other: Pid): void {
    this.#host.process(own.id)?.links?.delete(formatPid(other));
    this.#host.post("unlink", other, "", own, undefined);
  }

  monitor(own: Pid, target: Pid): number {
    const ref = this.#nextRef++;
    const watcher = this.#host.process(own.id);
    if (watcher === undefined) return ref;
    watcher.monitors ??= new Set();
    watcher.monitors.add(ref);
    this.#watches.set(ref, { watcher: own.id, target, ended: undefined });
    if (!this.#host.post("monitor", target, "", { ref, pid: own }, undefined)) this.#down(ref, "noproc");
    return ref;
  }

  demonitor(own: Pid, ref: number): void {
    const watch = this.#watches.get(ref);
    if (watch === undefined || watch.watcher !== own.id) return;
    this.#watches.delete(ref);
    this.#host.process(own.id)?.monitors?.delete(ref);
    this.#host.post("demonitor", watch.target, "", { ref, pid: own }, undefined);
  }

  /** Asks `target` to end and resolves with its reason when it has; after `timeoutMs` it is killed. */
  stop(target: Pid, asker: Pid, reason: ExitReason, timeoutMs: number): Promise<ExitReason> {
    return new Promise((resolve) => {
      const ended = this.#onEnd(target, resolve);
      ended.unless(timeoutMs, () => this.exit(target, asker, "killed"));
      if (ended.isWatched) this.exit(target, asker, reason);
    });
  }

  /** The same, but after `timeoutMs` it resolves with undefined and leaves `target` alone. */
  askToEnd(target: Pid, asker: Pid, reason: ExitReason, timeoutMs: number): Promise<ExitReason | undefined> {
    return new Promise((resolve) => {
      const ended = this.#onEnd(target, resolve);
      ended.unless(timeoutMs, () => {
        ended.forget();
        resolve(undefined);
      });
      if (ended.isWatched) this.exit(target, asker, reason);
    });
  }

  /** For code that is no process: calls `onEnd` when `target` has ended, at once if nobody lives there. */
  #onEnd(target: Pid, onEnd: (reason: ExitReason) => void): Ending {
    const { clock, client } = this.#host;
    const ref = this.#nextRef++;
    let timer: TimerHandle | undefined;
    const ended = (why: ExitReason): void => {
      if (timer !== undefined) clock.clearTimer(timer);
      onEnd(why);
    };
    this.#watches.set(ref, { watcher: client.id, target, ended });
    const isWatched = this.#host.post("monitor", target, "", { ref, pid: client }, undefined);
    if (!isWatched) this.#down(ref, "noproc");
    return {
      isWatched,
      unless: (delayMs, late) => {
        if (delayMs !== Number.POSITIVE_INFINITY && this.#watches.has(ref))
          timer = clock.setTimer(delayMs, late);
      },
      forget: () => {
        this.#watches.delete(ref);
        this.#host.post("demonitor", target, "", { ref, pid: client }, undefined);
      },
    };
  }

  handle(envelope: Envelope): void {
    const process = this.#host.process(envelope.to);
    switch (envelope.kind) {
      case "link": {
        const other = envelope.message as Pid;
        if (process === undefined) this.#sendExit(other, this.#pidOf(envelope.to), "noproc");
        else remember(process, other);
        return;
      }
      case "unlink":
        process?.links?.delete(formatPid(envelope.message as Pid));
        return;
      case "monitor": {
        const { ref, pid } = envelope.message as { ref: number; pid: Pid };
        if (process === undefined) this.#sendDown(pid, ref, this.#pidOf(envelope.to), "noproc");
        else {
          process.watchers ??= new Map();
          process.watchers.set(`${formatPid(pid)}${ref}`, { ref, pid });
        }
        return;
      }
      case "demonitor": {
        const { ref, pid } = envelope.message as { ref: number; pid: Pid };
        process?.watchers?.delete(`${formatPid(pid)}${ref}`);
        return;
      }
      case "exit": {
        const { pid, reason, asked } = envelope.message as { pid: Pid; reason: ExitReason; asked: boolean };
        if (process === undefined) return;
        if (asked) process.requestExit(reason);
        else this.#exitSignal(process.pid, pid, reason);
        return;
      }
      case "down": {
        const { ref, reason } = envelope.message as { ref: number; reason: ExitReason };
        this.#down(ref, reason);
        return;
      }
      case "call":
      case "cast":
      case "info":
      case "reply":
      case "cancel":
      case "system":
        throw new AssertionError(`${envelope.kind} is none of the links' messages`);
    }
  }

  /** Asks any process to end. */
  exit(target: Pid, asker: Pid, reason: ExitReason): void {
    this.#host.post("exit", target, "", { pid: asker, reason, asked: true }, undefined);
  }

  processEnded(process: Process, reason: ExitReason): void {
    for (const other of process.links?.values() ?? []) this.#sendExit(other, process.pid, reason);
    for (const { ref, pid } of process.watchers?.values() ?? [])
      this.#sendDown(pid, ref, process.pid, reason);
    for (const ref of process.monitors ?? []) {
      const watch = this.#watches.get(ref);
      if (watch === undefined) continue;
      this.#watches.delete(ref);
      const { target } = watch;
      if (this.#host.peers.incarnationOf(target.thread) === target.incarnation)
        this.#host.post("demonitor", target, "", { ref, pid: process.pid }, undefined);
    }
  }

  threadDown(thread: number, incarnation: number, how?: string): void {
    const reason: ExitReason = how === undefined ? { thread: "down" } : { thread: "down", reason: how };
    for (const [ref, { target }] of [...this.#watches]) {
      if (target.thread === thread && target.incarnation === incarnation) this.#down(ref, reason);
    }
    for (const process of [...this.#host.processes()]) {
      for (const other of [...(process.links?.values() ?? [])]) {
        if (other.thread === thread && other.incarnation === incarnation)
          this.#exitSignal(process.pid, other, reason);
      }
      for (const [key, { pid }] of process.watchers ?? []) {
        if (pid.thread === thread && pid.incarnation === incarnation) process.watchers?.delete(key);
      }
    }
  }

  #pidOf(id: number): Pid {
    return { ...this.#host.client, id };
  }

  #sendExit(to: Pid, ended: Pid, reason: ExitReason): void {
    this.#host.post("exit", to, "", { pid: ended, reason, asked: false }, undefined);
  }

  #sendDown(to: Pid, ref: number, ended: Pid, reason: ExitReason): void {
    this.#host.post("down", to, "", { pid: ended, ref, reason }, undefined);
  }

  /** `own` hears that the linked `other` ended. */
  #exitSignal(own: Pid, other: Pid, reason: ExitReason): void {
    const process = this.#host.process(own.id);
    if (process === undefined || process.links?.delete(formatPid(other)) !== true) return;
    const ofParent = process.parent !== undefined && samePid(process.parent, other);
    // Whoever was linked with a process that was killed is not killed itself: its `terminate` runs.
    if (process.trapsExit && ofParent) process.requestExit(reason, false);
    else if (process.trapsExit) this.#host.signal(process, { type: "exit", pid: other, reason });
    else if (reason !== "normal") process.requestExit(reason, false);
  }

  #down(ref: number, reason: ExitReason): void {
    const watch = this.#watches.get(ref);
    if (watch === undefined) return;
    this.#watches.delete(ref);
    if (watch.ended !== undefined) {
      watch.ended(reason);
      return;
    }
    const process = this.#host.process(watch.watcher);
    process?.monitors?.delete(ref);
    if (process !== undefined) this.#host.signal(process, { type: "down", ref, pid: watch.target, reason });
  }
}

function remember(process: Process, linked: Pid): void {
  process.links ??= new Map();
  process.links.set(formatPid(linked), linked);
}

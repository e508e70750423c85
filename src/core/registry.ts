/**
 * Names of processes. The main thread decides who holds a name; every thread keeps a copy, so that a look-up is a
 * map access. A copy may lag: a message to a name that just moved is answered `noproc`.
 */

import { type Pid, samePid } from "./pid.ts";

export class Registry {
  readonly #pids = new Map<string, Pid>();

  whereis(name: string): Pid | undefined {
    return this.#pids.get(name);
  }

  /** The name that a process holds, or "". Looks at all of them. */
  nameOf(pid: Pid): string {
    for (const [name, holder] of this.#pids) if (samePid(holder, pid)) return name;
    return "";
  }

  /** False if another process holds the name. */
  claim(name: string, pid: Pid): boolean {
    const holder = this.#pids.get(name);
    if (holder !== undefined && !samePid(holder, pid)) return false;
    this.#pids.set(name, pid);
    return true;
  }

  /** For copies: what the main thread decided. */
  set(name: string, pid: Pid): void {
    this.#pids.set(name, pid);
  }

  /** Removes the name if this process holds it. */
  release(name: string, pid: Pid): boolean {
    const holder = this.#pids.get(name);
    if (holder === undefined || !samePid(holder, pid)) return false;
    return this.#pids.delete(name);
  }

  /** Removes every name of a thread's life; returns them. */
  releaseThread(thread: number, incarnation: number): [name: string, pid: Pid][] {
    const released: [string, Pid][] = [];
    for (const [name, pid] of this.#pids) {
      if (pid.thread !== thread || pid.incarnation !== incarnation) continue;
      this.#pids.delete(name);
      released.push([name, pid]);
    }
    return released;
  }

  entries(): [name: string, pid: Pid][] {
    return [...this.#pids];
  }
}

/**
 * What hosts ask of each other: start a process, hold a name, show a process (sys). The main thread's host decides
 * who holds a name and tells the others.
 */

import { assert } from "../base/assert.ts";
import { NanoError, toErrorData } from "../base/errors.ts";
import type { Envelope } from "./envelope.ts";
import type { Definition, DefinitionName } from "./gen_server.ts";
import type { Host } from "./host.ts";
import type { LocalSpawn } from "./host_options.ts";
import { coreLimits } from "./limits.ts";
import type { Pid } from "./pid.ts";
import type { Process } from "./process.ts";

/** What `sys` can do with a process. */
export type SysOperation = "state" | "statistics" | "suspend" | "resume" | "replace";

interface SysRequest {
  readonly pid: Pid;
  readonly operation: SysOperation;
  /** Of `replace`. */
  readonly change: unknown;
}

interface SpawnRequest {
  readonly definition: DefinitionName;
  readonly options: unknown;
  readonly spawn: LocalSpawn;
}

interface NameRequest {
  readonly name: string;
  readonly pid: Pid;
}

export class HostRequests {
  readonly #host: Host;
  readonly #loadDefinition: (name: DefinitionName) => Promise<Definition>;

  constructor(host: Host, loadDefinition: (name: DefinitionName) => Promise<Definition>) {
    this.#host = host;
    this.#loadDefinition = loadDefinition;
  }

  /**
   * Starts a process on another thread. If it is to be linked, that thread links it before `init` runs, and says so
   * on the same way as the answer: the starter is linked when it hears of the pid.
   */
  async spawnOn(
    thread: number,
    { module, name }: DefinitionName,
    options: unknown,
    spawn: LocalSpawn,
  ): Promise<Pid> {
    const request: SpawnRequest = { definition: { module, name }, options, spawn };
    return (await this.#host.request(thread, "spawn", request, spawn.initTimeoutMs * 2)) as Pid;
  }

  /** Errors: `already_started` with `details.pid`. */
  async register(name: string, pid: Pid): Promise<void> {
    if (this.#host.thread === 0) {
      this.#claim(name, pid);
      return;
    }
    await this.#host.request(0, "register", { name, pid } satisfies NameRequest, coreLimits.callTimeoutMs);
    this.#host.registry.set(name, pid);
  }

  unregister(name: string, pid: Pid): void {
    this.#host.registry.release(name, pid);
    if (this.#host.thread === 0) this.#host.broadcast("released", { name, pid });
    else this.#toMain("unregister", { name, pid });
  }

  /** A new thread learns all names. */
  shareRegistry(thread: number, incarnation: number): void {
    const to: Pid = { node: this.#host.node, thread, incarnation, id: 0 };
    for (const [name, pid] of this.#host.registry.entries()) {
      this.#host.post("system", to, "registered", { name, pid }, undefined);
    }
  }

  /** Shows or holds a process of any thread. Errors: `noproc`. */
  async sys(pid: Pid, operation: SysOperation, change?: unknown): Promise<unknown> {
    const request: SysRequest = { pid, operation, change };
    if (pid.thread === this.#host.thread) return this.#sysHere(request);
    return this.#host.request(pid.thread, "sys", request, coreLimits.callTimeoutMs);
  }

  /** How many processes live on a thread. Errors: `noproc`. */
  async processesOn(thread: number): Promise<number> {
    return (await this.#host.request(thread, "processes", undefined, coreLimits.callTimeoutMs)) as number;
  }

  handle(envelope: Envelope): void {
    switch (envelope.method) {
      case "registered": {
        const { name, pid } = envelope.message as NameRequest;
        this.#host.registry.set(name, pid);
        return;
      }
      case "released": {
        const { name, pid } = envelope.message as NameRequest;
        this.#host.registry.release(name, pid);
        return;
      }
      case "unregister": {
        const { name, pid } = envelope.message as NameRequest;
        this.unregister(name, pid);
        return;
      }
      case "callWalk":
      case "callProof":
      case "callCycle":
        this.#host.cycles.take(envelope.method, envelope.message);
        return;
      default:
        this.#answer(envelope);
    }
  }

  #answer(envelope: Envelope): void {
    const { from } = envelope;
    assert(from !== undefined, "a request names who asks");
    this.#serve(envelope).then(
      (value) => this.#host.reply(from, { ok: true, value }),
      (error) => this.#host.reply(from, { ok: false, error: toErrorData(error) }),
    );
  }

  async #serve(envelope: Envelope): Promise<unknown> {
    switch (envelope.method) {
      case "spawn": {
        const { definition, options, spawn } = envelope.message as SpawnRequest;
        const pid = await this.#host.spawnLocal(await this.#loadDefinition(definition), options, spawn);
        this.#endIfLate(pid, envelope);
        return pid;
      }
      case "register": {
        const { name, pid } = envelope.message as NameRequest;
        this.#claim(name, pid);
        return undefined;
      }
      case "processes":
        return [...this.#host.processes()].length;
      case "sys":
        return this.#sysHere(envelope.message as SysRequest);
      default:
        throw new NanoError("undef", `no request named ${envelope.method}`);
    }
  }

  /** Nobody waits for a process that started too late: it would live beside the one that is started instead. */
  #endIfLate(pid: Pid, { from }: Envelope): void {
    if (from === undefined || from.deadlineMs === 0 || this.#host.clock.now() <= from.deadlineMs) return;
    this.#host.process(pid.id)?.requestExit("killed");
  }

  #claim(name: string, pid: Pid): void {
    if (!this.#host.registry.claim(name, pid)) {
      const holder = this.#host.registry.whereis(name);
      throw new NanoError("already_started", `${name} is taken`, { pid: holder });
    }
    this.#host.broadcast("registered", { name, pid });
  }

  #toMain(method: string, message: unknown): void {
    const incarnation = this.#host.peers.incarnationOf(0);
    if (incarnation === undefined) return;
    this.#host.post(
      "system",
      { node: this.#host.node, thread: 0, incarnation, id: 0 },
      method,
      message,
      undefined,
    );
  }

  #sysHere({ pid, operation, change }: SysRequest): unknown {
    const process = pid.incarnation === this.#host.incarnation ? this.#host.process(pid.id) : undefined;
    if (process === undefined) throw nobody();
    switch (operation) {
      case "state":
        return shownState(process);
      case "replace":
        return this.#replaceState(process, change);
      case "statistics":
        return process.statistics();
      case "suspend":
        process.suspend();
        return undefined;
      case "resume":
        process.resume();
        return undefined;
    }
  }

  /** A change that came too late for who wanted it is not made. */
  async #replaceState(process: Process, change: unknown): Promise<unknown> {
    const { replaceState } = process.definition.callbacks;
    if (replaceState === undefined)
      throw new NanoError("undef", `${process.definition.name} has no replaceState`);
    // Whoever asks may itself be a turn of this process, which has to end first.
    await Promise.resolve();
    return new Promise((resolve, reject) => {
      let isLate = false;
      const timer = this.#host.clock.setTimer(coreLimits.callTimeoutMs, () => {
        isLate = true;
        reject(new NanoError("timeout", `the turn in hand took more than ${coreLimits.callTimeoutMs} ms`));
      });
      process.betweenTurns(() => {
        this.#host.clock.clearTimer(timer);
        if (isLate) return;
        try {
          if (process.status === "ended") throw nobody();
          process.state = replaceState(process.state, change);
          resolve(shownState(process));
        } catch (error) {
          reject(error);
        }
      });
    });
  }
}

function nobody(): NanoError {
  return new NanoError("noproc", "nobody lives under this pid");
}

function shownState({ definition, state }: Process): unknown {
  const { formatStatus } = definition.callbacks;
  return formatStatus === undefined ? state : formatStatus(state);
}

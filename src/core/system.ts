/** The system as its program sees it: a host on the main thread, a root supervisor, and ways to processes. */

import { assert } from "../base/assert.ts";
import { NanoError } from "../base/errors.ts";
import { child, type SupervisorSpec, supervisorSpec } from "./child_spec.ts";
import type { ExitReason } from "./envelope.ts";
import { Factory } from "./factory.ts";
import { type FactoryOptions, factory_dispatcher } from "./gen_factory.ts";
import type { Definition, OptionsOf, Ref, TakesOver } from "./gen_server.ts";
import type { Host } from "./host.ts";
import type { DeadLetterReason } from "./host_options.ts";
import { Industry } from "./industry.ts";
import { type IndustryOptions, industrySpec, planIndustry } from "./industry_options.ts";
import type { Pid, Target } from "./pid.ts";
import type { Platform } from "./platform.ts";
import type { ProcessStatistics } from "./process_statistics.ts";
import { makeRef } from "./ref.ts";
import type { SpawnOptions } from "./self.ts";
import { supervisor } from "./supervisor.ts";
import { inWords, type SystemStatus } from "./thread_status.ts";
import { addThread, retireThread, type SystemParts, type UpgradeOptions, upgradeFactory } from "./upgrade.ts";

export interface SupervisePlacement {
  readonly name?: string;
  readonly thread?: SpawnOptions["thread"];
}

export interface StopProcessOptions {
  /** Default: `normal`. */
  readonly reason?: ExitReason;
  readonly timeoutMs?: number;
}

export class System {
  readonly #host: Host;
  readonly #root: Ref<typeof supervisor>;
  readonly #rootPid: Pid;
  readonly #platform: Platform;
  #nextTree = 1;

  private constructor(host: Host, root: Pid, platform: Platform) {
    this.#platform = platform;
    this.#host = host;
    this.#rootPid = root;
    this.#root = makeRef(host, host.client, supervisor, root);
  }

  /** For `startSystem` and the simulator. */
  static async start(host: Host, platform: Platform): Promise<System> {
    // Trees of the program restart by themselves; a root that gave up would take the whole system along.
    const spec = supervisorSpec({
      strategy: "one_for_one",
      intensity: rootIntensity,
      periodMs: 60_000,
      children: [],
    });
    const root = await host.spawn(supervisor, spec, { initTimeoutMs: Number.MAX_SAFE_INTEGER }, undefined);
    return new System(host, root, platform);
  }

  /**
   * Starts a supervisor with these children under the system's root.
   * Errors: `bad_argument` naming the field; what a child's `init` threw.
   */
  async supervise(
    spec: Partial<SupervisorSpec> & Pick<SupervisorSpec, "children">,
    placement: SupervisePlacement = {},
  ): Promise<Ref<typeof supervisor>> {
    const id = placement.name ?? `tree-${this.#nextTree++}`;
    const pid = await this.#root.call.startChild(child(id, supervisor, supervisorSpec(spec), placement), {
      timeoutMs: Number.POSITIVE_INFINITY,
    });
    assert(pid !== undefined, "a supervisor does not ignore its start");
    return this.ref(supervisor, placement.name ?? pid);
  }

  /** Starts a process that nobody supervises. Errors: what its `init` threw, `already_started`, `timeout`. */
  spawn<D extends Definition>(definition: D, options: OptionsOf<D>, spawn: SpawnOptions = {}): Promise<Pid> {
    return this.#host.spawn(definition, options, spawn, undefined);
  }

  /** Asks a process to end, as `Self.exit`; `killed` ends it without `terminate`. Does not wait: see `stopProcess`. */
  exit(pid: Pid, reason: ExitReason): void {
    this.#host.links.exit(pid, this.#host.client, reason);
  }

  /**
   * Asks a process to end and waits until it has. Errors: `noproc`; `timeout`: it was asked, but has not ended within
   * `timeoutMs` (default: for ever) and lives on until it takes the request; `crashed` with `details.reason` if it
   * ended for another reason; `bad_argument`.
   */
  async stopProcess(target: Target, options: StopProcessOptions = {}): Promise<void> {
    const { reason = "normal", timeoutMs = Number.POSITIVE_INFINITY } = options;
    if (!(timeoutMs >= 0)) {
      const text = `timeoutMs must be 0 or more, not ${String(timeoutMs)}`;
      throw new NanoError("bad_argument", text, { field: "timeoutMs" });
    }
    const { client, links } = this.#host;
    const pid = this.#host.resolve(target);
    const ended = pid === undefined ? "noproc" : await links.askToEnd(pid, client, reason, timeoutMs);
    if (ended === "noproc") throw new NanoError("noproc", "there is nobody to stop");
    if (ended === undefined) throw new NanoError("timeout", `it has not ended in ${timeoutMs} ms`);
    if (JSON.stringify(ended) !== JSON.stringify(reason))
      throw new NanoError("crashed", "it ended for another reason than it was given", { reason: ended });
  }

  /** Sends a plain message, which `info` hears. To nobody, it is counted as a dead letter. */
  send(target: Target, message: unknown): void {
    this.#host.info(target, message);
  }

  /** A typed way to a process, by pid or by name; a name is looked up at each send. */
  ref<D extends Definition>(definition: D, target: Target): Ref<D> {
    return makeRef(this.#host, this.#host.client, definition, target);
  }

  /**
   * Starts a dispatcher and its workers, supervised; workers live where `options.thread` says. Errors: `unsafe` when
   * the routing can't give what the workers need, `bad_argument`, `already_started`, what a worker's `init` threw.
   */
  async startFactory<D extends Definition>(
    name: string,
    definition: D,
    options: FactoryOptions<D>,
  ): Promise<Factory<D>> {
    // The dispatcher lives on this thread, so its options (handlers included) are handed over as they are.
    // It ends after its workers, which end in bounded time.
    const rest = { name, type: "supervisor", shutdownMs: Number.POSITIVE_INFINITY } as const;
    const spec = child(name, factory_dispatcher, { ...options, definition }, rest);
    await this.#root.call.startChild(spec, { timeoutMs: Number.POSITIVE_INFINITY });
    return new Factory(this.#host, definition, name);
  }

  /**
   * Starts several dispatchers with workers of their own, supervised, spread over the worker threads that are up; on
   * this thread if the system has none. Errors: as `startFactory`; `noproc` while no worker thread is up; `undef` if
   * the definition's module does not export it under its name.
   */
  async startIndustry<D extends Definition>(
    name: string,
    definition: D,
    options: IndustryOptions<D>,
  ): Promise<Industry<D>> {
    const plan = planIndustry(name, definition, options, this.#host.peers);
    const spec = industrySpec(plan, { workers: options.workers, draining: false });
    return new Industry(this.#host, definition, plan, await this.supervise(spec, { name }));
  }

  /** Ends an industry, as `stopFactory` a factory; its dispatchers one after the other. Errors: `not_found`. */
  stopIndustry(name: string): Promise<void> {
    return this.#stopTree(name);
  }

  /** Ends a factory: jobs in hand are finished, those that wait are discarded (`shutdown`). Errors: `not_found`. */
  stopFactory(name: string): Promise<void> {
    return this.#stopTree(name);
  }

  async #stopTree(name: string): Promise<void> {
    const untilDone = { timeoutMs: Number.POSITIVE_INFINITY };
    await this.#root.call.terminateChild(name, untilDone);
    await this.#root.call.deleteChild(name, untilDone);
  }

  /**
   * Hot upgrade: docs/guides/hot-upgrade.md. The factory's workers change to another version of their definition, one
   * after the other, on fresh threads; the version's `codeChange` takes over the state of each. Jobs wait or go to
   * others meanwhile; none is lost, and their order per key is kept. Returns the factory with the new version's ways.
   *
   * Errors: `rolled_back` if a worker of the new version could not take over or ended within `watchMs`: the former
   * version is back with the state that the new one had (`details.cause`; `details.kept`: workers that could not go
   * back). `bad_argument`, `running`, `shutdown`, what a thread's set-up threw: nothing has changed.
   */
  async upgradeFactory<Old extends Definition, New extends Definition>(
    factory: Factory<Old>,
    definition: New & TakesOver<Old, New>,
    options: UpgradeOptions = {},
  ): Promise<Factory<New>> {
    await upgradeFactory(this.#parts, factory.name, definition, options);
    return new Factory<New>(this.#host, definition, factory.name);
  }

  /** One worker thread more, with a set-up of its own. Returns its number. Errors: `bad_argument`, as `startSystem`. */
  addThread(): Promise<number> {
    return addThread(this.#platform);
  }

  /** Ends a worker thread for good. Errors: `running` if a process lives there; `not_found`; `timeout`. */
  retireThread(thread: number): Promise<void> {
    return retireThread(this.#parts, thread);
  }

  get #parts(): SystemParts {
    return { host: this.#host, platform: this.#platform, root: this.#root };
  }

  whereis(name: string): Pid | undefined {
    return this.#host.registry.whereis(name);
  }

  /** Messages that reached nobody, by reason, since the start; of the main thread. */
  deadLetters(): Readonly<Record<DeadLetterReason, number>> {
    return { ...this.#host.deadLetters };
  }

  /** Answers that came after their call had timed out, been canceled or been answered: dropped; of the main thread. */
  lateReplies(): number {
    return this.#host.pending.lateReplies;
  }

  /** Calls that wait for an answer now, those of the runtime itself included; of the main thread. */
  pendingCalls(): number {
    return this.#host.pending.size;
  }

  /** A process's state as its `formatStatus` shows it. Errors: `noproc`. */
  getState(pid: Pid): Promise<unknown> {
    return this.#host.requests.sys(pid, "state");
  }

  /**
   * Has the process's `replaceState` make a new state of the present one and `change`: after the turn in hand, before
   * what waits in the mailbox, also while it is suspended. Returns the new state as `formatStatus` shows it. Errors:
   * `noproc`; `undef`: the definition has no `replaceState`; what that threw, or `timeout`: the state is as it was.
   */
  replaceState(pid: Pid, change: unknown): Promise<unknown> {
    return this.#host.requests.sys(pid, "replace", change);
  }

  /** Errors: `noproc`. */
  async statistics(pid: Pid): Promise<ProcessStatistics> {
    return (await this.#host.requests.sys(pid, "statistics")) as ProcessStatistics;
  }

  /** The process takes no message until `resume`. Errors: `noproc`. */
  async suspend(pid: Pid): Promise<void> {
    await this.#host.requests.sys(pid, "suspend");
  }

  async resume(pid: Pid): Promise<void> {
    await this.#host.requests.sys(pid, "resume");
  }

  /**
   * What each thread does now, read while it does it, blocked or not: the handler that holds it, those that are
   * pending, and how its last life ended. Without worker threads, and in the simulator, only which threads are up.
   */
  status(): SystemStatus {
    const seen = this.#platform.status?.();
    if (seen !== undefined) return { threads: seen };
    const { peers, clock } = this.#host;
    const up = peers.threads().map((thread) => {
      const incarnation = peers.incarnationOf(thread) ?? 0;
      return inWords({ thread, incarnation, state: "running", pending: [], turns: 0 }, clock.now());
    });
    return { threads: up };
  }

  threads(): readonly number[] {
    return this.#host.peers.threads();
  }

  /** Stops every tree in reverse order, then the threads. */
  async stop(): Promise<void> {
    await this.#host.links.stop(this.#rootPid, this.#host.client, "shutdown", stopTimeoutMs);
    await this.#platform.close();
    this.#host.close();
  }
}

/** Trees that fail more often than this in a minute are beyond repair by restarting. */
const rootIntensity = 60;

/** Then what is left is killed: a stop must end. */
const stopTimeoutMs = 30_000;

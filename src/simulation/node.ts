/**
 * A simulated node: one process of the operating system, with a main thread and worker threads, each with a production
 * Host, and a production System on top. Threads die and come back, the node crashes and starts again; what lives
 * beyond that (disks, stores) is the caller's and is handed to each thread's life by `resources`.
 */

import { assert } from "../base/assert.ts";
import type { SeededStreams } from "../base/seeded_streams.ts";
import { Capsules } from "../core/capsules.ts";
import type { From } from "../core/envelope.ts";
import type { Definition, DefinitionName } from "../core/gen_server.ts";
import { Host } from "../core/host.ts";
import { importDefinition } from "../core/import_definition.ts";
import type { Pid } from "../core/pid.ts";
import type { Process } from "../core/process.ts";
import { System } from "../core/system.ts";
import type { Logger } from "../seams/log.ts";
import type { SimulatedDisk } from "./disk.ts";
import { simulationLimits } from "./limits.ts";
import type { RecordingLog } from "./log.ts";
import { Mesh } from "./mesh.ts";
import type { SimulatedNetwork } from "./network.ts";
import { SimulatedThread, type WallClock } from "./thread.ts";
import type { Timeline } from "./timeline.ts";

export interface NodeOptions {
  /** Worker threads, numbered from 1. Default: none. */
  readonly threads?: number;
  /** How much the node's clock is ahead of the world's, ms. */
  readonly skewMs?: number;
  /** What processes of a thread find under `self.resource(name)`; called once for each life of each thread. */
  readonly resources?: (thread: SimulatedThread) => Readonly<Record<string, unknown>>;
  /** Time that a message between two threads takes, ms. */
  readonly linkDelayMs?: readonly [number, number];
  /** How long a dead thread is away, ms. */
  readonly threadRestartMs?: number;
  /** As `development` of `startSystem`. Default: false. */
  readonly development?: boolean;
  /** Where crash capsules go: a folder of a simulated disk. Default: there are none. */
  readonly capsules?: {
    readonly directory: string;
    readonly disk: SimulatedDisk;
    readonly filesMax?: number;
  };
  /** Which node a named process lives on. Given, the node is part of a cluster: see World.network. */
  readonly nodeOf?: (name: string) => string | undefined;
}

/** What a node has of its world. */
export interface Surroundings {
  readonly timeline: Timeline;
  readonly chance: SeededStreams;
  readonly log: RecordingLog;
  readonly startMs: number;
  readonly network: SimulatedNetwork;
}

/** Modules are evaluated once, whatever simulation asks first. */
const loaded = new Map<string, Definition>();

export class SimulatedNode {
  readonly name: string;
  readonly mesh: Mesh;
  /** The clock of all its threads; `skewMs` may be changed while it runs. */
  readonly wallClock: WallClock;
  readonly #around: Surroundings;
  readonly #options: NodeOptions;
  readonly #hosts = new Map<number, { readonly life: SimulatedThread; readonly host: Host }>();
  readonly #incarnations = new Map<number, number>();
  /** By name, what was found last: oracles ask after each event. */
  readonly #found = new Map<string, { readonly life: SimulatedThread; readonly process: Process }>();
  #system: System | undefined;

  private constructor(name: string, options: NodeOptions, around: Surroundings) {
    this.name = name;
    this.#options = options;
    this.#around = around;
    this.wallClock = { startMs: around.startMs, skewMs: options.skewMs ?? 0 };
    this.mesh = new Mesh(around.timeline, {
      linkDelayMs: options.linkDelayMs ?? simulationLimits.linkDelayMs,
    });
  }

  static async start(name: string, options: NodeOptions, around: Surroundings): Promise<SimulatedNode> {
    const node = new SimulatedNode(name, options, around);
    await node.restart();
    return node;
  }

  /** The running system. Throws while the node is down. */
  get system(): System {
    assert(this.#system !== undefined, `node ${this.name} is down`);
    return this.#system;
  }

  /** Starts the node again after `crash`. Resolves when its system is up. */
  async restart(): Promise<void> {
    assert(this.#hosts.size === 0, `node ${this.name} is up`);
    // The main thread last: it knows of all others from its beginning.
    for (let thread = this.#options.threads ?? 0; thread >= 0; thread--) this.#startThread(thread);
    this.#system = await System.start(this.#host(0), { close: async () => this.#endThreads() });
  }

  /** The process dies: nothing runs on, nobody is told. Disks and stores are not the node's: crash them, too. */
  crash(): void {
    if (this.#hosts.size === 0) return;
    this.#endThreads();
    if (this.#options.nodeOf !== undefined) this.#around.network.nodeDied(this.name);
  }

  get isUp(): boolean {
    return this.#hosts.size > 0;
  }

  /** A worker thread dies with all its processes, and is back after a while. */
  crashThread(thread: number): void {
    assert(thread > 0, "the main thread dies with its node: crash()");
    const entry = this.#hosts.get(thread);
    if (entry === undefined) return;
    this.#endThread(thread);
    const delayMs = this.#options.threadRestartMs ?? simulationLimits.threadRestartMs;
    this.#around.timeline.schedule(delayMs, `${this.name}.${thread} restart`, () => {
      // The node may have died, and have started again with all its threads.
      if (this.#hosts.has(0) && !this.#hosts.has(thread)) this.#startThread(thread);
    });
  }

  /** The process that holds a name, on any thread; undefined if nobody does now. */
  process(name: string): Process | undefined {
    const found = this.#found.get(name);
    if (found?.life.alive === true && found.process.status !== "ended") return found.process;
    const pid = this.#hosts.get(0)?.host.registry.whereis(name);
    if (pid === undefined) return undefined;
    const process = this.processOf(pid);
    const life = this.#hosts.get(pid.thread)?.life;
    if (process !== undefined && life !== undefined) this.#found.set(name, { life, process });
    return process;
  }

  processOf({ thread, incarnation, id }: Pid): Process | undefined {
    const host = this.#hosts.get(thread)?.host;
    return host === undefined || host.incarnation !== incarnation ? undefined : host.process(id);
  }

  /** The state of the process that holds a name, at this instant: for oracles. Undefined unless it serves. */
  stateOf(name: string): unknown {
    const process = this.process(name);
    return process === undefined || process.status === "starting" ? undefined : process.state;
  }

  /** Ends the process that holds a name at once, without `terminate`. False if nobody does. */
  kill(name: string): boolean {
    const process = this.process(name);
    process?.requestExit("killed");
    return process !== undefined;
  }

  /** Puts a message into a process's mailbox as it stands, from nobody of this world: for replays. */
  deliver(
    pid: Pid,
    kind: "call" | "cast" | "info",
    method: string,
    message: unknown,
    from: From | undefined,
  ): boolean {
    return this.#hosts.get(pid.thread)?.host.post(kind, pid, method, message, from) ?? false;
  }

  #startThread(thread: number): void {
    const { timeline, chance, log, network } = this.#around;
    const { nodeOf, capsules, development = false } = this.#options;
    const incarnation = (this.#incarnations.get(thread) ?? 0) + 1;
    this.#incarnations.set(thread, incarnation);
    const life = new SimulatedThread(
      { node: this.name, thread, incarnation },
      timeline,
      chance,
      this.wallClock,
    );
    const peers = this.mesh.peers(thread);
    const host = new Host({
      node: this.name,
      transport: this.mesh.join(life),
      clock: life.clock,
      random: life.random,
      executor: life.executor,
      log: log.logger({ thread: life.name }),
      resources: this.#options.resources?.(life) ?? {},
      loadDefinition: (name) => load(life, name),
      peers,
      development,
      ...(capsules === undefined ? {} : { capsules: capsulesOf(life, capsules, log.logger({})) }),
      ...(nodeOf === undefined ? {} : { cluster: network.join(life, nodeOf) }),
    });
    this.#hosts.set(thread, { life, host });
  }

  #endThread(thread: number): void {
    const entry = this.#hosts.get(thread);
    if (entry === undefined) return;
    this.#hosts.delete(thread);
    entry.life.end();
    this.mesh.leave(entry.life);
  }

  #endThreads(): void {
    for (const { life } of this.#hosts.values()) life.end();
    for (const thread of [...this.#hosts.keys()].reverse()) this.#endThread(thread);
    this.#system = undefined;
  }

  #host(thread: number): Host {
    const host = this.#hosts.get(thread)?.host;
    assert(host !== undefined, `thread ${thread} of ${this.name} is up`);
    return host;
  }
}

function capsulesOf(
  life: SimulatedThread,
  { disk, ...folder }: Required<NodeOptions>["capsules"],
  log: Logger,
): Capsules {
  return new Capsules({ ...folder, disk: disk.mounted(life), clock: life.clock, log });
}

/** An event of its own, whether or not the module has to be read: a first run is traced like all others. */
function load(life: SimulatedThread, name: DefinitionName): Promise<Definition> {
  const key = `${name.module}#${name.name}`;
  return new Promise((resolve, reject) => {
    life.defer(0, `load ${name.name}`, () => {
      const definition = loaded.get(key);
      if (definition !== undefined) return resolve(definition);
      const read = life.outside(() => importDefinition(name));
      return read.then((found) => {
        loaded.set(key, found);
        resolve(found);
      }, reject);
    });
  });
}

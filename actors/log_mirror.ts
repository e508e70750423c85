/**
 * A dirty log's way to its mirror: a db_log_mirror under a registered name, on this node or, by whoever stands for that
 * name, on another. The mirror is current while everything that the log acknowledged is in it.
 *
 * Always true: after a failure nothing is sent but `begin`, and the mirror is current again only once it holds the
 * whole account. An epoch is drawn from control for each account, so that a log of an old life can't disturb a newer.
 */

import { NanoError, type Ref, type Self } from "../src/index.ts";
import { type ControlStore, controlKeys, type ShardRecord } from "./control_store.ts";
import { db_log_mirror } from "./db_log_mirror.ts";
import { dataLimits } from "./limits.ts";
import type { LogImage, RecoveredShard } from "./log_image.ts";
import type { LogRecord } from "./log_records.ts";
import { markStale, staleMirrors } from "./mirror_staleness.ts";
import type { Site } from "./records.ts";

/** While a mirror is down: `required` refuses writes; `degrade` goes on once control remembers that it is stale. */
export type MirrorPolicy = "required" | "degrade";

export interface LogMirrorOptions {
  readonly site: Site;
  /** The shards whose marks this log writes. */
  readonly shards: readonly number[];
  /** Registered name of this log's mirror. */
  readonly process: string;
  /** Those of all the site's logs: a shard may have been another thread's. */
  readonly processes: readonly string[];
  readonly policy: MirrorPolicy;
}

const patience = { timeoutMs: dataLimits.mirrorTimeoutMs };

export class LogMirror {
  readonly options: LogMirrorOptions;
  readonly #self: Self;
  readonly #control: ControlStore;
  readonly #mirror: Ref<typeof db_log_mirror>;
  /** Of the account that the mirror has. */
  #epoch = 0;
  #current = false;
  /** Control remembers that it is stale. */
  #leftBehind = false;

  constructor(self: Self, options: LogMirrorOptions) {
    this.options = options;
    this.#self = self;
    this.#control = self.resource<ControlStore>("control");
    this.#mirror = self.ref(db_log_mirror, options.process);
  }

  get current(): boolean {
    return this.#current;
  }

  /** Asks the mirror to begin a new account beside the one that it has. Errors: any, while it is down. */
  async begin(): Promise<number> {
    this.#current = false;
    const epoch = await this.#control.nextTerm();
    await this.#mirror.call.begin({ epoch }, patience);
    return epoch;
  }

  /**
   * The whole account, under the epoch that `begin` gave: if another has begun since, this one is refused, and never a
   * part of each. From then on the mirror is current.
   */
  async fill(epoch: number, live: readonly LogRecord[]): Promise<void> {
    for (let i = 0; i < live.length; i += dataLimits.logRecordsPerFrame) {
      await this.#send(epoch, live.slice(i, i + dataLimits.logRecordsPerFrame));
    }
    await this.#mirror.call.complete({ epoch }, patience);
    this.#epoch = epoch;
    this.#current = true;
    this.#leftBehind = false;
  }

  /**
   * Durable there when resolved, or control remembers that the mirror was left behind. Errors: any; the mirror is not
   * current, and nobody but the caller knows.
   */
  async append(records: readonly LogRecord[]): Promise<void> {
    if (this.#leftBehind) return;
    if (!this.#current) throw new NanoError("unavailable", "the mirror has not got the whole account");
    try {
      await this.#send(this.#epoch, records);
    } catch (error) {
      this.#current = false;
      throw error;
    }
  }

  /** Control remembers from now on that the mirror is not to be trusted. */
  async leaveBehind(reason: string): Promise<void> {
    const { site, shards } = this.options;
    this.#current = false;
    await markStale(this.#control, { site, shards, sinceMs: this.#self.clock.now(), reason });
    this.#leftBehind = true;
  }

  /**
   * Shards of which control knows a newer term than the log have lost it, or it is damaged: the account of a current
   * mirror takes its place. To others it adds what the log has lost at its end. Returns the shards that it changed.
   */
  async load(image: LogImage): Promise<number[]> {
    const { site, shards } = this.options;
    const stale = new Set((await staleMirrors(this.#control, site)).map(({ mirror }) => mirror.shard));
    const loaded: number[] = [];
    for (const shard of shards) {
      const record = await this.#control.get(controlKeys.shard(site, shard));
      const term = (record?.value as ShardRecord | undefined)?.term ?? 0;
      if (term === 0 || stale.has(shard)) continue;
      const own = image.recover(shard).shardTerm;
      const isLost = own < term;
      const found = await this.#newestOf(shard, isLost);
      if (found === undefined || found.shardTerm < Math.max(term, own)) continue;
      if (isLost) image.replace(shard, found);
      if (isLost || image.complete(shard, found) > 0) loaded.push(shard);
    }
    return loaded;
  }

  /** For a shard whose log is lost every mirror is worth waiting for. */
  async #newestOf(shard: number, isLost: boolean): Promise<RecoveredShard | undefined> {
    const timeoutMs = isLost ? dataLimits.mirrorLoadTimeoutMs : dataLimits.mirrorTimeoutMs;
    const { process, processes } = this.options;
    let newest: RecoveredShard | undefined;
    for (const name of new Set(isLost ? [process, ...processes] : [process])) {
      const { call } = this.#self.ref(db_log_mirror, name);
      const found = await call.recover({ shard }, { timeoutMs }).catch(() => undefined);
      if (found !== undefined && found.shardTerm > (newest?.shardTerm ?? 0)) newest = found;
    }
    return newest;
  }

  async #send(epoch: number, records: readonly LogRecord[]): Promise<void> {
    await this.#mirror.call.append({ epoch, records }, patience);
  }
}

/**
 * db_dirty_log: the durable log of marks, one for each thread of a site; answers "what if a node crashes?", and with a
 * mirror "what if a node loses its disk?".
 *
 * State: the open segment, what waits for the next commit, the image of everything live, the way to the mirror.
 * Messages: append (answered when durable), note (may be lost: it only saves work), recover, statistics.
 *
 * Always true: while a commit is under way later appends gather for the next one (group commit). A full disk or a
 * missing required mirror refuses appends; everything live is then written anew before anything is acknowledged
 * again. Any other failed write ends this process: the tail's state is unknown, and its file is never written again.
 */

import { type Disk, type From, genServer, NanoError, noReply, type Piped, type Self } from "../src/index.ts";
import { dataLimits } from "./limits.ts";
import { LogImage, type RecoveredShard } from "./log_image.ts";
import { LogMirror, type LogMirrorOptions } from "./log_mirror.ts";
import type { LogRecord } from "./log_records.ts";
import { errnoOf, readFolder, type SegmentOptions, SegmentWriter } from "./log_segments.ts";

export interface DirtyLogOptions {
  /** The folder that this log writes. */
  readonly folder: string;
  /** All log folders of the site, this one included: shards may have moved between threads. */
  readonly folders: readonly string[];
  /** `os`: not synced; survives the death of the process, not of the machine. */
  readonly durability: "group" | "sync" | "os";
  /** Bytes appended after which the log is compacted. Default: `dataLimits.logCompactionBytes`. */
  readonly compactionBytes?: number | undefined;
  /** Default: none. */
  readonly mirror?: LogMirrorOptions | undefined;
}

export interface DirtyLogStatistics {
  readonly commits: number;
  readonly records: number;
  /** Places found at the start that can't be read any more. */
  readonly damaged: number;
  readonly compactions: number;
  /** Why appends are refused, or "". */
  readonly trouble: string;
  readonly mirror: "off" | "current" | "down";
}

interface State {
  readonly self: Self;
  readonly options: DirtyLogOptions;
  readonly image: LogImage;
  readonly mirror: LogMirror | undefined;
  readonly damaged: number;
  /** Undefined if the disk was too full to begin. */
  writer: SegmentWriter | undefined;
  /** Of the older segments, and of the open one when it was begun. */
  olderBytes: number;
  begunBytes: number;
  compactionBytes: number;
  waiting: LogRecord[];
  callers: From<void>[];
  /** A commit, or a new account. */
  underWay: Promise<Begun | undefined> | undefined;
  /** Keeps everything from being written: until it passes by itself, or until this process has ended of it. */
  trouble: NanoError | undefined;
  /** A new account is under way. */
  renewing: boolean;
  /** The mirror answers again: it needs the whole account. */
  mirrorIsBack: boolean;
  /** A probe is due, or its answer is. */
  probing: boolean;
  commits: number;
  records: number;
  compactions: number;
}

export const db_dirty_log = genServer(import.meta.url, "db_dirty_log", {
  deadlines: "own",
  init: async (options: DirtyLogOptions, self): Promise<State> => {
    const disk = self.resource<Disk>("disk");
    const image = new LogImage();
    const damage: string[] = [];
    let olderBytes = 0;
    for (const folder of options.folders) {
      const own = folder === options.folder;
      const read = await readFolder(disk, folder, image, { own });
      damage.push(...read.damage);
      if (own) olderBytes = read.bytes;
    }
    sayDamage(self, damage, image.suspects());
    const mirror = options.mirror === undefined ? undefined : new LogMirror(self, options.mirror);
    const loaded = (await mirror?.load(image)) ?? [];
    if (loaded.length > 0)
      self.log.warn({ shards: loaded }, "marks of these shards were lost here: their mirror has them");
    const state: State = {
      ...fresh,
      self,
      options,
      image,
      mirror,
      damaged: damage.length,
      olderBytes,
      waiting: [],
      callers: [],
    };
    await begin(state);
    return state;
  },

  call: {
    /**
     * Answered when these records are durable and all that came before them: who appends nothing may rely on a record
     * of somebody else's, e.g. a range that absorbs its write. Errors: `unavailable` (nothing of it may be relied on);
     * `details.cure` says what ends it.
     */
    append: (state, records: readonly LogRecord[], from: From<void>) => {
      if (records.length === 0 && isSettled(state)) {
        state.self.reply(from, undefined);
        return noReply;
      }
      add(state, records);
      state.callers.push(from);
      work(state);
      return noReply;
    },

    /** What is live of a shard. One whose log is damaged has no term: it is suspect as a whole. */
    recover: (state, { shard }: { shard: number }): RecoveredShard => state.image.recover(shard),

    statistics: (state): DirtyLogStatistics => {
      const { commits, records, damaged, compactions, mirror, trouble } = state;
      const mirrored = mirror === undefined ? "off" : mirror.current ? "current" : "down";
      return { commits, records, damaged, compactions, trouble: trouble?.message ?? "", mirror: mirrored };
    },
  },

  cast: {
    /** Written with the next commit, whoever asks for it. */
    note: (state, records: readonly LogRecord[]) => {
      add(state, records);
      work(state);
    },

    written: (state, { context: callers, ...result }: Piped<From<void>[], undefined>) => {
      state.underWay = undefined;
      if (result.ok) acknowledge(state, callers);
      else fail(state, callers, result.error);
      probeMirror(state);
      work(state);
    },

    begun: (state, { context: taken, ...result }: Piped<Taken, Begun>) => {
      state.underWay = undefined;
      state.renewing = false;
      if (!result.ok) {
        if (!mayPostpone(state, taken, result.error)) fail(state, taken.callers, result.error);
      } else {
        adopt(state, result.value.writer);
        if (result.value.trouble !== undefined) fail(state, taken.callers, result.value.trouble);
        else recovered(state, taken.callers);
      }
      work(state);
    },

    probe: (state) => {
      state.probing = false;
      if (state.trouble !== undefined) beginAnew(state);
      // What it is being filled with would be void if it began again.
      else if (state.mirror?.current === false && !state.renewing) {
        state.probing = true;
        state.self.pipe(state.mirror.begin(), "mirrorAnswered", undefined);
      }
    },

    mirrorAnswered: (state, result: Piped<undefined, number>) => {
      state.probing = false;
      state.mirrorIsBack = result.ok;
      probeLater(state);
      work(state);
    },
  },

  terminate: async ({ underWay, waiting, trouble, writer, mirror }) => {
    // The next life of this log has the folder to itself.
    const begun = await underWay?.catch(() => undefined);
    try {
      // Nothing follows a write that failed, or that may have: what waits behind it is refused by this end.
      if (underWay === undefined && trouble === undefined) {
        await writer?.commit(waiting);
        // One that misses a note has a mark more, which only costs work.
        await mirror?.append(waiting).catch(() => undefined);
      }
    } finally {
      await (begun?.writer ?? writer)?.close();
    }
  },
});

/** Nothing waits to become durable. */
function isSettled({ underWay, waiting, trouble }: State): boolean {
  return underWay === undefined && waiting.length === 0 && trouble === undefined;
}

/** Notes alone cause a write once this many wait, to bound what a quiet shard keeps in memory. */
const noteBatchMax = 1_000;

const fresh = {
  writer: undefined,
  begunBytes: 0,
  compactionBytes: 0,
  underWay: undefined,
  trouble: undefined,
  renewing: false,
  mirrorIsBack: false,
  probing: false,
  commits: 0,
  records: 0,
  compactions: 0,
};

function sayDamage(self: Self, damage: readonly string[], suspects: readonly number[]): void {
  if (damage.length === 0) return;
  // Marks that were logged in full since are not touched by older damage.
  if (suspects.length === 0)
    self.log.warn({ damage }, "the dirty log has damage that no shard depends on any more");
  else self.log.error({ damage, suspects }, "the dirty log is damaged: these shards are suspect as a whole");
}

function add(state: State, records: readonly LogRecord[]): void {
  for (const record of records) {
    state.image.apply(record);
    state.waiting.push(record);
  }
}

function work(state: State): void {
  if (state.underWay !== undefined || state.trouble !== undefined) return;
  const { writer, olderBytes, begunBytes, waiting, callers } = state;
  const grown = olderBytes + (writer?.bytes ?? 0) - begunBytes;
  if (callers.length === 0 && waiting.length <= noteBatchMax && !state.mirrorIsBack) return;
  if (writer === undefined || grown > state.compactionBytes || state.mirrorIsBack) {
    beginAnew(state);
    return;
  }
  state.waiting = [];
  state.callers = [];
  state.commits++;
  state.records += waiting.length;
  state.underWay = commit(state, writer, waiting);
  state.self.pipe(state.underWay, "written", callers);
}

/** Log and mirror in one step. */
async function commit(
  state: State,
  writer: SegmentWriter,
  records: readonly LogRecord[],
): Promise<undefined> {
  // All before is durable: it is the end of that which was waited for.
  if (records.length === 0) return;
  const mirrored = state.mirror?.append(records);
  const [logged, copied] = await Promise.allSettled([writer.commit(records), mirrored]);
  if (logged.status === "rejected") {
    if (isFull(logged.reason)) await writer.cut().catch(() => undefined);
    throw asTrouble(state, logged.reason);
  }
  if (copied.status === "rejected") await withoutMirror(state, copied.reason);
}

// --- everything anew ---------------------------------------------------------------------------------------------

/** What a new account makes durable beside what is live. */
interface Taken {
  readonly callers: readonly From<void>[];
  readonly records: readonly LogRecord[];
}

interface Begun {
  readonly writer: SegmentWriter;
  /** The log has it all, its required mirror has not. */
  readonly trouble: NanoError | undefined;
}

function beginAnew(state: State): void {
  const { callers, waiting } = state;
  state.renewing = true;
  state.mirrorIsBack = false;
  state.callers = [];
  state.waiting = [];
  // At once: what comes meanwhile is no part of it.
  const live = [...state.image.records()];
  state.underWay = writeAnew(state, live);
  state.self.pipe(state.underWay, "begun", { callers, records: waiting });
}

/** A new segment with everything live, in the mirror too, and the older ones removed. */
async function writeAnew(state: State, live: readonly LogRecord[]): Promise<Begun> {
  const { mirror, trouble, writer: previous } = state;
  // A required mirror that is down is asked first, so that it costs nothing else; a log that goes on keeps its mirror.
  const asked = mirror !== undefined && trouble !== undefined;
  const epoch = asked ? await beginMirror(state, mirror) : undefined;
  let writer: SegmentWriter;
  try {
    writer = await SegmentWriter.holding(segmentOptions(state), live);
    await previous?.close().catch(() => undefined);
    await writer.removeOlder();
  } catch (error) {
    throw asTrouble(state, error);
  }
  try {
    if (mirror !== undefined) await fillMirror(state, mirror, live, epoch);
    return { writer, trouble: undefined };
  } catch (error) {
    return { writer, trouble: asPassing(error) };
  }
}

async function fillMirror(
  state: State,
  mirror: LogMirror,
  live: readonly LogRecord[],
  begun?: number,
): Promise<void> {
  const epoch = begun ?? (await beginMirror(state, mirror));
  if (epoch === undefined) return;
  await mirror.fill(epoch, live).catch((error: unknown) => withoutMirror(state, error));
}

/** The account's epoch; undefined if it is down and that is allowed. */
async function beginMirror(state: State, mirror: LogMirror): Promise<number | undefined> {
  try {
    return await mirror.begin();
  } catch (error) {
    await withoutMirror(state, error);
    return undefined;
  }
}

/** The first segment of this life; the shards will log their accounts themselves. */
async function begin(state: State): Promise<void> {
  const { mirror, image } = state;
  try {
    adopt(state, await SegmentWriter.open(segmentOptions(state)), state.olderBytes);
    if (mirror !== undefined) await fillMirror(state, mirror, [...image.records()]);
    probeMirror(state);
  } catch (error) {
    fail(state, [], asTrouble(state, error));
  }
}

function adopt(state: State, writer: SegmentWriter, olderBytes = 0): void {
  state.writer = writer;
  state.olderBytes = olderBytes;
  state.begunBytes = writer.bytes;
  state.compactionBytes = state.options.compactionBytes ?? dataLimits.logCompactionBytes;
}

function recovered(state: State, callers: readonly From<void>[]): void {
  if (state.trouble !== undefined)
    state.self.log.info({ folder: state.options.folder }, "the dirty log is written again");
  state.trouble = undefined;
  state.compactions++;
  probeMirror(state);
  acknowledge(state, callers);
}

function segmentOptions({ self, options: { folder, durability } }: State): SegmentOptions {
  return { disk: self.resource<Disk>("disk"), folder, synced: durability !== "os" };
}

// --- what goes wrong ---------------------------------------------------------------------------------------------

/** A disk without room for a compaction may still have some for appends. */
function mayPostpone(state: State, taken: Taken, error: NanoError): boolean {
  if (state.trouble !== undefined || state.writer === undefined || !isFull(error)) return false;
  state.callers.unshift(...taken.callers);
  state.waiting.unshift(...taken.records);
  state.compactionBytes += state.compactionBytes;
  probeMirror(state);
  state.self.log.error({ folder: state.options.folder }, "the disk has no room to compact the dirty log");
  return true;
}

/** Errors: when this log may not go on without its mirror. */
async function withoutMirror({ self, mirror, options }: State, error: unknown): Promise<void> {
  if (mirror === undefined) return;
  const { process, policy } = mirror.options;
  const why = error instanceof Error ? error.message : String(error);
  if (policy === "degrade") {
    self.log.error({ mirror: process, why }, "the mirror of the dirty log is left behind");
    try {
      await mirror.leaveBehind(why);
      return;
    } catch (refused) {
      const text = `the mirror ${process} is down and control can't remember it: ${String(refused)}`;
      throw new NanoError("unavailable", text, { passing: true, cure: "bring the control store back" });
    }
  }
  const text = `the mirror ${process} of the dirty log ${options.folder} is down (${why})`;
  const cure = "bring the mirror back, writes then go on by themselves; or choose the policy degrade";
  throw new NanoError("unavailable", `${text}: ${cure}`, { passing: true, cure });
}

function isFull(error: unknown): boolean {
  return ["ENOSPC", "EDQUOT"].includes(errnoOf(error));
}

/** What passes by itself says how. */
function asTrouble({ options }: State, error: unknown): NanoError {
  if (error instanceof NanoError && error.details.passing === true) return error;
  if (isFull(error)) {
    const text = `the disk of the dirty log ${options.folder} is full`;
    const cure = "free space there, writes then go on by themselves";
    return new NanoError("unavailable", `${text}: ${cure}`, { passing: true, errno: errnoOf(error), cure });
  }
  const why = error instanceof Error ? error.message : String(error);
  return new NanoError("unavailable", `the dirty log can't be written: ${why}`);
}

function asPassing(error: unknown): NanoError {
  if (error instanceof NanoError && error.details.passing === true) return error;
  throw error;
}

/** Refuses the callers. What does not pass by itself ends this process. */
function fail(state: State, callers: readonly From<void>[], error: NanoError): void {
  const { code, message, details } = error;
  for (const from of callers) state.self.replyError(from, { code, message, details });
  const isNew = state.trouble === undefined;
  state.trouble = error;
  if (details.passing !== true) throw error;
  if (isNew) state.self.log.error({ folder: state.options.folder }, message);
  probeLater(state);
}

/** A mirror that is left behind is asked until it answers. */
function probeMirror(state: State): void {
  if (state.mirror?.current === false) probeLater(state);
}

function probeLater(state: State): void {
  if (state.probing) return;
  state.probing = true;
  state.self.castAfter(dataLimits.logProbeMs, "probe");
}

function acknowledge({ self }: State, callers: readonly From<void>[]): void {
  for (const from of callers) self.reply(from, undefined);
}

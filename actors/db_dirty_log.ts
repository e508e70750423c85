/**
 * db_dirty_log: the durable log of marks, one for each thread of a site; answers "what if a node crashes?".
 *
 * State: the open segment, what waits for the next commit, the image of everything live.
 * Messages: append (answered when durable), note (may be lost: it only saves work), recover.
 *
 * Always true: while a commit is under way later appends gather for the next one (group commit); after a failed
 * write nothing more is acknowledged until the process starts anew, because the tail's state is unknown.
 */

import { type Disk, type From, genServer, NanoError, noReply, type Piped, type Self } from "../src/index.ts";
import { LogImage, type RecoveredShard } from "./log_image.ts";
import type { LogRecord } from "./log_records.ts";
import { readFolder, SegmentWriter } from "./log_segments.ts";

export interface DirtyLogOptions {
  /** The folder that this log writes. */
  readonly folder: string;
  /** All log folders of the site, this one included: shards may have moved between threads. */
  readonly folders: readonly string[];
  /** `os`: not synced; survives the death of the process, not of the machine. */
  readonly durability: "group" | "sync" | "os";
}

export interface DirtyLogStatistics {
  readonly commits: number;
  readonly records: number;
  readonly damaged: number;
}

interface State {
  readonly self: Self;
  readonly options: DirtyLogOptions;
  readonly writer: SegmentWriter;
  readonly image: LogImage;
  /** Frames that could not be read: some marks are unknown, so every shard is suspect as a whole. */
  readonly damaged: number;
  waiting: LogRecord[];
  callers: From<void>[];
  writing: boolean;
  commits: number;
  records: number;
}

export const db_dirty_log = genServer(import.meta.url, "db_dirty_log", {
  init: async (options: DirtyLogOptions, self): Promise<State> => {
    const disk = self.resource<Disk>("disk");
    const image = new LogImage();
    let damaged = 0;
    let bytes = 0;
    for (const folder of options.folders) {
      const own = folder === options.folder;
      const read = await readFolder(disk, folder, image, { own });
      damaged += read.damaged;
      if (own) bytes = read.bytes;
    }
    if (damaged > 0) self.log.error({ damaged, folders: options.folders }, "the dirty log is damaged");
    const synced = options.durability !== "os";
    const writer = await SegmentWriter.open({ disk, folder: options.folder, synced }, bytes);
    const empty = { waiting: [], callers: [], writing: false, commits: 0, records: 0 };
    return { self, options, writer, image, damaged, ...empty };
  },

  call: {
    /** Errors: `unavailable` (nothing of it may be relied on). */
    append: (state, records: readonly LogRecord[], from: From<void>) => {
      if (records.length === 0) {
        state.self.reply(from, undefined);
        return noReply;
      }
      add(state, records);
      state.callers.push(from);
      write(state);
      return noReply;
    },

    /** What is live of a shard. A damaged log knows no term: its shards are suspect as a whole. */
    recover: (state, { shard }: { shard: number }): RecoveredShard => {
      const recovered = state.image.recover(shard);
      return state.damaged === 0 ? recovered : { ...recovered, shardTerm: 0 };
    },

    statistics: (state): DirtyLogStatistics => {
      const { commits, records, damaged } = state;
      return { commits, records, damaged };
    },
  },

  cast: {
    /** Written with the next commit, whoever asks for it. */
    note: (state, records: readonly LogRecord[]) => {
      add(state, records);
      if (state.waiting.length > noteBatchMax) write(state);
    },

    written: async (state, { context: callers, ...result }: Piped<From<void>[], void>) => {
      if (!result.ok) {
        const text = `the dirty log can't be written: ${result.error.message}`;
        for (const from of callers) state.self.replyError(from, { code: "unavailable", message: text });
        throw new NanoError("unavailable", text);
      }
      state.writing = false;
      for (const from of callers) state.self.reply(from, undefined);
      if (state.writer.wantsCompaction) await state.writer.compact(state.image);
      if (state.callers.length > 0) write(state);
    },
  },

  terminate: async (state) => {
    if (!state.writing && state.waiting.length > 0) await state.writer.commit(state.waiting);
    await state.writer.close();
  },
});

/** Notes alone cause a write once this many wait, to bound what a quiet shard keeps in memory. */
const noteBatchMax = 1_000;

function add(state: State, records: readonly LogRecord[]): void {
  for (const record of records) {
    state.image.apply(record);
    state.waiting.push(record);
  }
}

function write(state: State): void {
  if (state.writing) return;
  state.writing = true;
  const { waiting, callers } = state;
  state.waiting = [];
  state.callers = [];
  state.commits++;
  state.records += waiting.length;
  const committed = state.writer.commit(waiting);
  state.self.pipe(committed, "written", callers);
}

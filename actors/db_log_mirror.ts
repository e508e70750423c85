/**
 * db_log_mirror: a second copy of one dirty log, on another disk or another node; answers "what if a node loses its
 * disk?". It writes what the log sends, and keeps the account that it has until it holds a whole new one.
 *
 * State: the epoch of the log that it listens to, and the segment that it writes.
 * Messages: begin, append, complete (from db_dirty_log, in this order), recover.
 *
 * Always true: what is answered is durable here; only the newest epoch is listened to; after a write that failed
 * nothing of that epoch is taken any more, so the log has to begin again.
 */

import { type Disk, genServer, hasCode, NanoError, type Self } from "../src/index.ts";
import { LogImage, type RecoveredShard } from "./log_image.ts";
import type { LogRecord } from "./log_records.ts";
import { readFolder, SegmentWriter } from "./log_segments.ts";

export interface LogMirrorServerOptions {
  readonly folder: string;
  /** As the log's. */
  readonly durability: "group" | "sync" | "os";
}

interface State {
  readonly self: Self;
  readonly options: LogMirrorServerOptions;
  epoch: number;
  /** Undefined until a log begins, and after a failure. */
  writer: SegmentWriter | undefined;
  /** The writer's segment has not got the whole account yet: all of it stands before it, too. */
  filling: boolean;
  /** What the folder held when it was last read; undefined once it was written since. */
  read: LogImage | undefined;
}

export const db_log_mirror = genServer(import.meta.url, "db_log_mirror", {
  deadlines: "own",
  /** Errors: `config` for a mirror of another format: it is not written over. */
  init: async (options: LogMirrorServerOptions, self): Promise<State> => {
    const state: State = { self, options, epoch: 0, writer: undefined, filling: false, read: undefined };
    try {
      state.read = await readAll(state);
    } catch (error) {
      if (hasCode(error, "config")) throw error;
      self.log.warn({ folder: options.folder, error: String(error) }, "the mirror can't be read");
    }
    return state;
  },

  call: {
    /** A log, or a new life of it, is about to send everything. Errors: `fenced` for an old one, `unavailable`. */
    begin: async (state, { epoch }: { epoch: number }): Promise<void> => {
      if (epoch <= state.epoch)
        throw new NanoError("fenced", `epoch ${epoch} is over, ${state.epoch} is in force`);
      state.epoch = epoch;
      state.read = undefined;
      await forsake(state);
      const { folder, durability } = state.options;
      const disk = state.self.resource<Disk>("disk");
      state.writer = await SegmentWriter.open({ disk, folder, synced: durability !== "os" });
      state.filling = true;
    },

    /** Durable when answered. Errors: `fenced` when another epoch is in force, `unavailable`. */
    append: async (
      state,
      { epoch, records }: { epoch: number; records: readonly LogRecord[] },
    ): Promise<void> => {
      state.read = undefined;
      await writing(state, epoch, (writer) => writer.commit(records));
    },

    /** Everything was sent: what stood here before goes. Errors: as `append`. */
    complete: (state, { epoch }: { epoch: number }): Promise<void> =>
      writing(state, epoch, (writer) => {
        state.filling = false;
        return writer.removeOlder();
      }),

    /** What is live of a shard here. Errors: `unavailable`, `config`. */
    recover: async (state, { shard }: { shard: number }): Promise<RecoveredShard> => {
      state.read ??= await readAll(state);
      return state.read.recover(shard);
    },
  },

  terminate: forsake,
});

async function writing(
  state: State,
  epoch: number,
  work: (writer: SegmentWriter) => Promise<void>,
): Promise<void> {
  const { writer } = state;
  if (epoch !== state.epoch || writer === undefined) {
    throw new NanoError(
      "fenced",
      `epoch ${epoch} is not written here, begin another; ${state.epoch} was the last`,
    );
  }
  try {
    await work(writer);
  } catch (error) {
    await forsake(state);
    throw error;
  }
}

async function readAll({ self, options }: State): Promise<LogImage> {
  const image = new LogImage();
  const { damage } = await readFolder(self.resource<Disk>("disk"), options.folder, image, { own: true });
  if (damage.length > 0) self.log.error({ damage, shards: image.suspects() }, "the mirror is damaged");
  return image;
}

/** Each account that never became whole would leave a segment behind, one for each try of a log that can't write. */
async function forsake(state: State): Promise<void> {
  const { writer, filling } = state;
  state.writer = undefined;
  state.filling = false;
  await (filling ? writer?.discard() : writer?.close())?.catch(() => undefined);
}

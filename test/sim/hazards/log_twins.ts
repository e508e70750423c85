/**
 * Broken twins of the dirty log and of who reads it. Each is the product's own but for one mechanism, which is taken
 * away by what it is handed: another disk, another control store, another mirror.
 */

import type { ControlStore } from "../../../actors/control_store.ts";
import { db_dirty_keys } from "../../../actors/db_dirty_keys.ts";
import { type DirtyLogOptions, db_dirty_log } from "../../../actors/db_dirty_log.ts";
import { db_log_mirror } from "../../../actors/db_log_mirror.ts";
import type { LogImage } from "../../../actors/log_image.ts";
import { decodeFrame, type LogRecord } from "../../../actors/log_records.ts";
import type { ShardOptions } from "../../../actors/shard_options.ts";
import {
  type AppendFile,
  type Definition,
  type Disk,
  genServer,
  type Ref,
  type Self,
} from "../../../src/index.ts";
import { delegating } from "../../fixtures/delegating.ts";

type Callbacks<D> = D extends Definition ? D["callbacks"] : never;

const log: Callbacks<typeof db_dirty_log> = db_dirty_log.callbacks;
const ledger: Callbacks<typeof db_dirty_keys> = db_dirty_keys.callbacks;

function withResource(self: Self, name: string, change: (own: never) => unknown): Self {
  const resource = <T>(asked: string): T =>
    asked === name ? (change(self.resource(asked)) as T) : self.resource<T>(asked);
  return delegating(self, { resource });
}

/** A disk whose files' appends go another way. */
function withAppends(disk: Disk, append: (file: AppendFile, bytes: Uint8Array) => Promise<void>): Disk {
  return {
    ...disk,
    openAppend: async (path, options) => {
      const file = await disk.openAppend(path, options);
      return {
        path,
        get size() {
          return file.size;
        },
        append: (bytes) => append(file, bytes),
        sync: () => file.sync(),
        close: () => file.close(),
      };
    },
  };
}

/** Acknowledges what it has handed to the disk; only a shard's start it waits for. */
export const unsynced_log: Definition<DirtyLogOptions> = genServer(import.meta.url, "unsynced_log", {
  ...(log as Callbacks<Definition>),
  init: (options: DirtyLogOptions, self) =>
    log.init(
      options,
      withResource(self, "disk", (disk: Disk) =>
        withAppends(disk, async (file, bytes) => {
          const frame = decodeFrame(bytes, 0);
          const starts = frame.status !== "ok" || frame.records.some(({ type }) => type === "start");
          const appended = file.append(bytes);
          if (starts) await appended;
        }),
      ),
    ),
});

/** After a sync that failed it asks once more, and believes what it hears. */
export const retrying_log: Definition<DirtyLogOptions> = genServer(import.meta.url, "retrying_log", {
  ...(log as Callbacks<Definition>),
  init: (options: DirtyLogOptions, self) =>
    log.init(
      options,
      withResource(self, "disk", (disk: Disk) =>
        withAppends(disk, (file, bytes) => file.append(bytes).catch(() => file.sync())),
      ),
    ),
});

/** Takes an append that did not fit for one that did. */
export const careless_log: Definition<DirtyLogOptions> = genServer(import.meta.url, "careless_log", {
  ...(log as Callbacks<Definition>),
  init: (options: DirtyLogOptions, self) =>
    log.init(
      options,
      withResource(self, "disk", (disk: Disk) =>
        withAppends(disk, (file, bytes) => file.append(bytes).catch(() => undefined)),
      ),
    ),
});

/** Removes the older segments before a new one is written. */
export const eager_log: Definition<DirtyLogOptions> = genServer(import.meta.url, "eager_log", {
  ...(log as Callbacks<Definition>),
  init: (options: DirtyLogOptions, self) => {
    const eager = (disk: Disk): Disk => ({
      ...disk,
      openAppend: async (path, how) => {
        const folder = path.slice(0, path.lastIndexOf("/"));
        const file = await disk.openAppend(path, how);
        for (const name of await disk.list(folder)) {
          if (`${folder}/${name}` !== path) await disk.remove(`${folder}/${name}`);
        }
        return file;
      },
    });
    return log.init(options, withResource(self, "disk", eager));
  },
});

/** Takes what it can read of a damaged log for all of it. */
export const trusting_log: Definition<DirtyLogOptions> = genServer(import.meta.url, "trusting_log", {
  ...(log as Callbacks<Definition>),
  call: {
    ...log.call,
    recover: (state: { readonly image: LogImage }, asked: { shard: number }) => {
      state.image.own.gaps = 0;
      return log.call.recover(state as never, asked);
    },
  },
});

/** Does not say where a shard's account begins. */
export const accountless_log: Definition<DirtyLogOptions> = genServer(import.meta.url, "accountless_log", {
  ...(log as Callbacks<Definition>),
  call: {
    ...log.call,
    append: (state: never, records: readonly LogRecord[], from: never) =>
      log.call.append(
        state,
        records.filter(({ type }) => type !== "account"),
        from,
      ),
  },
});

/** Never finds its log lost. */
export const credulous_ledger: Definition<ShardOptions> = genServer(import.meta.url, "credulous_ledger", {
  ...(ledger as Callbacks<Definition>),
  call: { ...ledger.call, loggedTerm: () => Number.POSITIVE_INFINITY },
});

type MirrorAppend = Ref<typeof db_log_mirror>["call"]["append"];

/** A log whose appends go another way to its mirror. */
function withMirror(options: DirtyLogOptions, self: Self, appendBy: (own: MirrorAppend) => MirrorAppend) {
  const ref = ((definition: Definition, target: string) => {
    if (definition.name !== db_log_mirror.name) return self.ref(definition, target);
    const own = self.ref(db_log_mirror, target);
    return { ...own, call: { ...own.call, append: appendBy(own.call.append) } };
  }) as Self["ref"];
  return log.init(options, delegating(self, { ref }));
}

/** Acknowledges what its mirror has not got: it goes there some time later, if at all. */
export const hurried_log: Definition<DirtyLogOptions> = genServer(import.meta.url, "hurried_log", {
  ...(log as Callbacks<Definition>),
  init: (options: DirtyLogOptions, self) =>
    withMirror(options, self, (append) => async (...message) => {
      append(...message).catch(() => undefined);
    }),
});

/** Tells its mirror nothing but what stands when it begins. */
export const forgetful_log: Definition<DirtyLogOptions> = genServer(import.meta.url, "forgetful_log", {
  ...(log as Callbacks<Definition>),
  init: (options: DirtyLogOptions, self) => withMirror(options, self, () => async () => undefined),
});

/** Goes on without its mirror, and tells nobody. */
export const silent_log: Definition<DirtyLogOptions> = genServer(import.meta.url, "silent_log", {
  ...(log as Callbacks<Definition>),
  init: (options: DirtyLogOptions, self) => {
    const forgetting = (control: ControlStore) =>
      new Proxy(control, {
        get: (target, name) => {
          if (name === "compareAndSet") {
            return async (key: string, expected: number, value: unknown) =>
              key.startsWith("mirror/") ? expected + 1 : target.compareAndSet(key, expected, value);
          }
          const member: unknown = Reflect.get(target, name);
          return typeof member === "function" ? member.bind(target) : member;
        },
      });
    return log.init(options, withResource(self, "control", forgetting));
  },
});

/** Takes every mark, whatever its bound. */
export const boundless_ledger: Definition<ShardOptions> = genServer(import.meta.url, "boundless_ledger", {
  ...(ledger as Callbacks<Definition>),
  init: (options: ShardOptions, self) =>
    ledger.init(
      { ...options, tuning: { ...options.tuning, ledgerBytesMax: Number.POSITIVE_INFINITY } },
      self,
    ),
});

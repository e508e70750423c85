/**
 * A simulated disk whose operations pass pause points, each with the file's path: `A log append` before the bytes are
 * written, `A log appended` when they are as durable as the file promises; `A log open`, `A log sync`, `A log cut` and
 * `A log remove` before, and `A log writing` before any of these five. The site is the first part of the path.
 */

import type { AppendFile, Disk } from "../../src/index.ts";
import type { PausePoints, SimulatedThread } from "../../src/simulation/index.ts";

export function pausingDisk(disk: Disk, points: PausePoints, thread: SimulatedThread): Disk {
  /** What is let go on after its thread's death does nothing more. */
  const pass = async (path: string, operation: string, details: unknown = path): Promise<void> => {
    const [site = ""] = path.split("/");
    await points.pass(`${site} log ${operation}`, details);
    if (!thread.alive) await new Promise<never>(() => undefined);
  };
  const writing = async (path: string, operation: string, details: unknown = path): Promise<void> => {
    await pass(path, "writing");
    await pass(path, operation, details);
  };
  return {
    makeDirectory: (path) => disk.makeDirectory(path),
    list: (path) => disk.list(path),
    read: (path) => disk.read(path),
    truncate: async (path, size) => {
      await writing(path, "cut");
      await disk.truncate(path, size);
    },
    remove: async (path) => {
      await writing(path, "remove");
      await disk.remove(path);
    },
    openAppend: async (path, options): Promise<AppendFile> => {
      await writing(path, "open");
      const file = await disk.openAppend(path, options);
      return {
        path,
        get size() {
          return file.size;
        },
        append: async (bytes) => {
          await writing(path, "append", bytes);
          await file.append(bytes);
          await pass(path, "appended", bytes);
        },
        sync: async () => {
          await writing(path, "sync");
          await file.sync();
        },
        close: () => file.close(),
      };
    },
  };
}

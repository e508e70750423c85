/**
 * A simulated disk whose appends pass pause points: `A log append` before the bytes are written, `A log appended`
 * when they are as durable as the file promises. The site is the first part of the file's path.
 */

import type { AppendFile, Disk } from "../../src/index.ts";
import type { PausePoints, SimulatedThread } from "../../src/simulation/index.ts";

export function pausingDisk(disk: Disk, points: PausePoints, thread: SimulatedThread): Disk {
  /** What is let go on after its thread's death does nothing more. */
  const pass = async (point: string, bytes: Uint8Array): Promise<void> => {
    await points.pass(point, bytes);
    if (!thread.alive) await new Promise<never>(() => undefined);
  };
  return {
    makeDirectory: (path) => disk.makeDirectory(path),
    list: (path) => disk.list(path),
    read: (path) => disk.read(path),
    truncate: (path, size) => disk.truncate(path, size),
    remove: (path) => disk.remove(path),
    openAppend: async (path, options): Promise<AppendFile> => {
      const file = await disk.openAppend(path, options);
      const [site = ""] = path.split("/");
      return {
        path,
        get size() {
          return file.size;
        },
        append: async (bytes) => {
          await pass(`${site} log append`, bytes);
          await file.append(bytes);
          await pass(`${site} log appended`, bytes);
        },
        sync: () => file.sync(),
        close: () => file.close(),
      };
    },
  };
}

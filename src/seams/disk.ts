/**
 * Append-only files as actors see them. Production: `src/platform/disk.ts`. Simulated: `src/simulation/disk.ts`,
 * which can lose and tear what was not synced. Errors are NanoError `unavailable` with `details.errno`.
 */
export interface AppendFile {
  readonly path: string;
  /** Bytes appended so far, synced or not. */
  readonly size: number;
  /** Appends; resolves when the bytes survive the process, and the machine too if the file was opened `synced`. */
  append(bytes: Uint8Array): Promise<void>;
  /** Resolves when all bytes appended before the call survive the machine. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface Disk {
  /** Creates missing folders. */
  makeDirectory(path: string): Promise<void>;
  /** File names (not paths) in the folder, sorted; [] if the folder does not exist. */
  list(path: string): Promise<string[]>;
  read(path: string): Promise<Uint8Array>;
  /**
   * Opens for appending, creating the file (and syncing its folder) if needed. `synced`: each append resolves only
   * when its bytes survive the machine, in one step instead of an append and a sync. `isPrivate`: if it is created,
   * nobody but its owner may read it.
   */
  openAppend(
    path: string,
    options: { readonly synced: boolean; readonly isPrivate?: boolean },
  ): Promise<AppendFile>;
  /** Cuts the file to `size` bytes, durably. */
  truncate(path: string, size: number): Promise<void>;
  /** Removes the file durably; no error if it does not exist. */
  remove(path: string): Promise<void>;
}

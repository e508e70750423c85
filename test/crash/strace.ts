/**
 * A traced run: which system calls of a process touched the files of one folder, and what it reported meanwhile, in
 * the order in which strace saw calls begin and end. A call that would change a file in a way that is not understood
 * here (a writable shared map of a store, io_uring) is an error, not a gap.
 */

import { spawn, spawnSync } from "node:child_process";
import { createReadStream } from "node:fs";
import { dirname } from "node:path";
import { createInterface } from "node:readline";

/** What happened to one path. `start` and `end`: positions in the trace; nothing of it before, all of it after. */
export type DiskEvent = { readonly path: string; readonly start: number; readonly end: number } & (
  | {
      readonly type: "write";
      readonly offset: number;
      readonly data: Uint8Array;
      /** The file was opened so that a write is its own sync. */
      readonly synced: boolean;
    }
  | { readonly type: "truncate"; readonly size: number }
  | { readonly type: "sync" | "sync_folder" }
  | { readonly type: "create" | "create_folder" | "remove" }
  /** Another entry of the same file; of a rename the only one. */
  | { readonly type: "link" | "rename"; readonly from: string }
);

export interface Report {
  readonly line: string;
  readonly at: number;
}

/** What stands on a disk. */
export interface Disk {
  readonly folders: readonly string[];
  readonly files: ReadonlyMap<string, Uint8Array>;
}

export const emptyDisk: Disk = { folders: [], files: new Map() };

/** Paths are relative to the traced folder; "" is the folder itself. */
export interface Trace {
  /** What was there before, durable. */
  readonly before: Disk;
  readonly events: readonly DiskEvent[];
  readonly reports: readonly Report[];
  readonly length: number;
}

const calls =
  "openat,open,creat,write,writev,pwrite64,pwritev,pwritev2,lseek,ftruncate,truncate,fallocate,fsync,fdatasync," +
  "sync_file_range,msync,rename,renameat,renameat2,unlink,unlinkat,rmdir,link,linkat,mkdir,mkdirat,mmap," +
  "copy_file_range,sendfile,io_uring_setup";

/** Why nothing can be traced here, or "". */
export function straceRefusal(): string {
  const { error, status, stderr } = spawnSync("strace", ["-f", "-o", "/dev/null", "true"], {
    encoding: "utf8",
  });
  if (error !== undefined) return `strace does not run: ${error.message}`;
  return status === 0 ? "" : `strace refused: ${stderr.trim()}`;
}

/** Runs a command under strace, its trace appended to the file. Resolves when it has ended, however it did. */
export function runTraced(
  output: string,
  command: readonly string[],
  input: string,
  onReport: (text: string) => void,
): Promise<void> {
  const options = [
    "-f",
    "--seccomp-bpf",
    "-y",
    "-xx",
    "-s",
    "4194304",
    "-A",
    "-o",
    output,
    "-e",
    "signal=none",
  ];
  const child = spawn("strace", [...options, "-e", `trace=${calls}`, ...command], {
    stdio: ["pipe", "inherit", "inherit", "pipe"],
    // Otherwise libuv may write without system calls.
    env: { ...process.env, UV_USE_IO_URING: "0" },
  });
  child.stdin?.end(input);
  child.stdio[3]?.on("data", (text: Buffer) => onReport(text.toString()));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", () => resolve());
  });
}

/** Reads what `runTraced` wrote, of the files below a folder. */
export async function readTrace(file: string, folder: string, before: Disk): Promise<Trace> {
  const reader = new TraceReader(folder, before);
  for await (const line of createInterface({ input: createReadStream(file, "latin1") })) reader.line(line);
  return reader.result();
}

/** A call with the text of its arguments, once it has ended. */
interface Call {
  readonly name: string;
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

interface OpenFile {
  readonly synced: boolean;
  readonly appends: boolean;
  position: number;
}

export class TraceReader {
  readonly #folder: string;
  readonly #before: Disk;
  readonly #events: DiskEvent[] = [];
  readonly #reports: Report[] = [];
  readonly #unfinished = new Map<
    string,
    { readonly name: string; readonly text: string; readonly start: number }
  >();
  readonly #open = new Map<string, OpenFile>();
  /** What exists, as the process sees it, and how long it is. */
  readonly #sizes = new Map<string, number>();
  #position = 0;

  constructor(folder: string, before = emptyDisk) {
    this.#folder = folder;
    this.#before = before;
    for (const path of before.folders) this.#sizes.set(path, 0);
    for (const [path, bytes] of before.files) this.#sizes.set(path, bytes.byteLength);
  }

  result(): Trace {
    // What never ended was under way when the process died: its effects may stand.
    for (const { name, text, start } of this.#unfinished.values()) {
      if (name !== "openat") this.#call({ name, text: `${text}) = 0`, start, end: Number.POSITIVE_INFINITY });
    }
    const events = this.#events.sort((a, b) => a.start - b.start);
    return { before: this.#before, events, reports: this.#reports, length: this.#position };
  }

  /** Two positions each: a call that nothing came between has begun at the first, and has ended at the second. */
  line(line: string): void {
    this.#position += 2;
    const at = this.#position - 1;
    const end = this.#position;
    const [, thread = "", rest = ""] = /^(\d+) +(.*)$/s.exec(line) ?? [];
    if (rest.endsWith("<unfinished ...>")) {
      const [, name = "", text = ""] = /^(\w+)\((.*) <unfinished \.\.\.>$/s.exec(rest) ?? [];
      this.#unfinished.set(thread, { name, text, start: at });
      this.#reportOf(name, text, at);
      return;
    }
    const resumed = /^<\.\.\. (\w+) resumed>(.*)$/s.exec(rest);
    if (resumed !== null) {
      const begun = this.#unfinished.get(thread);
      this.#unfinished.delete(thread);
      const [, name = "", tail = ""] = resumed;
      if (begun?.name === name) this.#call({ name, text: begun.text + tail, start: begun.start, end });
      return;
    }
    const [, name = "", text = ""] = /^(\w+)\((.*)$/s.exec(rest) ?? [];
    if (name === "") return;
    this.#reportOf(name, text, at);
    this.#call({ name, text, start: at, end });
  }

  /** What the process says over its pipe counts from when it begins to say it. */
  #reportOf(name: string, text: string, at: number): void {
    if (name !== "write" || !text.startsWith("3<") || this.#pathOf(text) !== undefined) return;
    const said = bytesOf(text)[0] ?? Buffer.alloc(0);
    for (const line of said.toString("latin1").split("\n")) if (line !== "") this.#reports.push({ line, at });
  }

  #call(call: Call): void {
    const result = Number(/\) += (-?\d+)/.exec(call.text)?.[1] ?? -1);
    if (result < 0) return;
    switch (call.name) {
      case "openat":
        this.#opened(call, result);
        return;
      case "mkdir":
        this.#entry("create_folder", this.#named(call.text), call);
        return;
      case "link":
      case "rename":
        this.#linked(call.name, call);
        return;
      case "unlink":
      case "unlinkat":
      case "rmdir":
        this.#entry("remove", this.#named(call.text), call);
        return;
      case "lseek": {
        const file = this.#open.get(fdOf(call.text));
        if (file !== undefined) file.position = result;
        return;
      }
      case "write":
      case "writev":
      case "pwrite64":
      case "pwritev":
        this.#written(call);
        return;
      case "fsync":
      case "fdatasync":
        this.#synced(call);
        return;
      case "ftruncate": {
        const path = this.#pathOf(call.text);
        const size = Number(/, (\d+)\)/.exec(call.text)?.[1]);
        if (path !== undefined) this.#truncated(path, size, call);
        return;
      }
      default:
        this.#refuse(call);
    }
  }

  #opened({ text, start, end }: Call, fd: number): void {
    const path = this.#named(text);
    if (path === undefined) return;
    const flags = /, (O_[A-Z_|]+)/.exec(text)?.[1]?.split("|") ?? [];
    const synced = flags.includes("O_DSYNC") || flags.includes("O_SYNC");
    this.#open.set(String(fd), { synced, appends: flags.includes("O_APPEND"), position: 0 });
    if (flags.includes("O_CREAT")) this.#entry("create", path, { start, end });
    if (flags.includes("O_TRUNC") && (this.#sizes.get(path) ?? 0) > 0)
      this.#truncated(path, 0, { start, end });
  }

  #entry(
    type: "create" | "create_folder" | "remove",
    path: string | undefined,
    { start, end }: Pick<Call, "start" | "end">,
  ): void {
    if (path === undefined || this.#sizes.has(path) === (type !== "remove")) return;
    if (type === "remove") this.#sizes.delete(path);
    else this.#sizes.set(path, 0);
    this.#events.push({ type, path, start, end });
  }

  #linked(type: "link" | "rename", { text, start, end }: Pick<Call, "text" | "start" | "end">): void {
    const [from, path] = bytesOf(text).map((bytes) => this.#inside(bytes.toString("utf8")));
    if (from === undefined || path === undefined) return;
    if (this.#sizes.has(path)) throw new Error(`${path} is replaced by a ${type}: not understood`);
    this.#sizes.set(path, this.#sizes.get(from) ?? 0);
    if (type === "rename") this.#sizes.delete(from);
    this.#events.push({ type, path, from, start, end });
  }

  #written({ name, text, start, end }: Call): void {
    const path = this.#pathOf(text);
    const file = this.#open.get(fdOf(text));
    if (path === undefined) return;
    if (file === undefined) throw new Error(`${path} is written, and was never opened`);
    const data = Buffer.concat(bytesOf(text.replace(/^\d+<[^>]*>/, "")));
    const size = this.#sizes.get(path) ?? 0;
    let offset = file.appends ? size : file.position;
    if (name.startsWith("p")) offset = Number(/, (\d+)(?:\)|$)/.exec(text.replace(/\) += .*$/, ")"))?.[1]);
    else file.position = offset + data.byteLength;
    this.#sizes.set(path, Math.max(size, offset + data.byteLength));
    this.#events.push({ type: "write", path, offset, data, synced: file.synced, start, end });
  }

  #truncated(path: string, size: number, { start, end }: Pick<Call, "start" | "end">): void {
    this.#sizes.set(path, size);
    this.#events.push({ type: "truncate", path, size, start, end });
  }

  #synced({ text, start, end }: Call): void {
    const path = this.#pathOf(text);
    if (path === undefined) return;
    const made = this.#events.some((each) => each.type === "create_folder" && each.path === path);
    const isFolder = path === "" || made || this.#before.folders.includes(path);
    this.#events.push({ type: isFolder ? "sync_folder" : "sync", path, start, end });
  }

  #refuse({ name, text }: Call): void {
    const path = this.#pathOf(text.replace(/^[^<]*?(\d+<)/s, "$1")) ?? this.#named(text);
    if (path === undefined) return;
    const harmless = name === "mmap" && !(text.includes("PROT_WRITE") && text.includes("MAP_SHARED"));
    if (!harmless) throw new Error(`${path}: ${name} is not understood`);
  }

  /** Of a call whose first argument is a file descriptor with its path. */
  #pathOf(text: string): string | undefined {
    return this.#insideHex(/^\d+<((?:\\x[0-9a-f]{2})+)>/.exec(text)?.[1]);
  }

  /** Of a call that names a path. */
  #named(text: string): string | undefined {
    return this.#insideHex(/"((?:\\x[0-9a-f]{2})+)"/.exec(text)?.[1]);
  }

  #insideHex(hex: string | undefined): string | undefined {
    return hex === undefined ? undefined : this.#inside(unhex(hex).toString("utf8"));
  }

  /** LMDB's lock files hold nothing that outlives a machine: whoever opens an environment first writes them anew. */
  #inside(path: string): string | undefined {
    if (path === this.#folder) return "";
    if (!path.startsWith(`${this.#folder}/`) || path.endsWith("/lock.mdb")) return undefined;
    return path.slice(this.#folder.length + 1);
  }
}

export function folderOf(path: string): string {
  const folder = dirname(path);
  return folder === "." ? "" : folder;
}

function fdOf(text: string): string {
  return /^(\d+)</.exec(text)?.[1] ?? "";
}

/** Every text of the call's arguments. */
function bytesOf(text: string): Buffer[] {
  return [...text.matchAll(/"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?/g)].map(([, hex = "", cut]) => {
    if (cut !== undefined) throw new Error("strace cut a write short");
    return unhex(hex);
  });
}

function unhex(text: string): Buffer {
  return Buffer.from(text.replaceAll("\\x", ""), "hex");
}

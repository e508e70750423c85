/**
 * A guide as its reader follows it: files that stand as they are shown, and commands with what they print. A
 * TypeScript block is a whole file, named in its first line; a later block of the same name replaces it. A shell
 * block that runs `node dist/NAME.js` is followed by a text block with its output. Pure.
 */

export interface Block {
  readonly language: string;
  readonly text: string;
  /** Of its opening fence, from 1. */
  readonly line: number;
}

export interface Run {
  /** Every file that the reader has by then, by name. */
  readonly files: ReadonlyMap<string, string>;
  /** What follows `node`, e.g. `dist/main.js`. */
  readonly arguments: readonly string[];
  readonly output: string;
  readonly line: number;
}

export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  let open: { language: string; line: number; lines: string[] } | undefined;
  for (const [index, line] of markdown.split("\n").entries()) {
    const fence = /^```(\w*)\s*$/.exec(line);
    if (open === undefined) {
      if (fence !== null) open = { language: fence[1] ?? "", line: index + 1, lines: [] };
    } else if (line.trimEnd() === "```") {
      blocks.push({ language: open.language, text: open.lines.join("\n"), line: open.line });
      open = undefined;
    } else open.lines.push(line);
  }
  if (open !== undefined) throw new Error(`the block of line ${open.line} is not closed`);
  return blocks;
}

/** Throws, naming the line, when a block is no whole file, an output has no command, or a file is never run. */
export function runsOf(markdown: string): Run[] {
  const runs: Run[] = [];
  const files = new Map<string, string>();
  let command: { readonly arguments: string[]; readonly line: number } | undefined;
  let unseen: string[] = [];
  for (const { language, text, line } of blocksOf(markdown)) {
    switch (language) {
      case "ts": {
        const name = /^\/\/ ([\w/]+(?:\.test)?\.ts)$/.exec(text.split("\n", 1)[0] ?? "")?.[1];
        if (name === undefined) throw new Error(`line ${line}: the first line names no file`);
        files.set(name, text);
        unseen.push(name);
        break;
      }
      case "sh": {
        const found = /^.*\bnode (dist\/.+)$/m.exec(text)?.[1];
        if (found !== undefined) command = { arguments: found.split(" "), line };
        break;
      }
      case "text":
        if (command === undefined) throw new Error(`line ${line}: no command prints this`);
        runs.push({ files: new Map(files), arguments: command.arguments, output: text, line: command.line });
        command = undefined;
        unseen = [];
        break;
      case "json":
        JSON.parse(text);
        break;
      default:
        throw new Error(`line ${line}: a block of ${language || "no language"} is checked by nobody`);
    }
  }
  if (command !== undefined) throw new Error(`line ${command.line}: what it prints is not shown`);
  if (unseen.length > 0) throw new Error(`${unseen.join(", ")}: never run`);
  return runs;
}

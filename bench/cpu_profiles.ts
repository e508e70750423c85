/**
 * CPU profiles as V8 writes them (`--cpu-prof`, bench/profiler.ts), joined into one tree of calls: where a program's
 * processor time goes, by function and by part of the software. Idle time is left out.
 */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: CallFrame;
  readonly children?: readonly number[] | undefined;
}

export interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly samples?: readonly number[] | undefined;
  readonly timeDeltas?: readonly number[] | undefined;
}

/** A function as it was called from above. */
export interface CallTree {
  readonly name: string;
  /** See `namesOf`. */
  readonly place: string;
  readonly url: string;
  /** Microseconds in it and in what it calls; `selfUs` without those. */
  us: number;
  selfUs: number;
  readonly children: Map<string, CallTree>;
}

export function readProfiles(folder: string): CpuProfile[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith(".cpuprofile"))
    .map((file) => JSON.parse(readFileSync(join(folder, file), "utf8")) as CpuProfile);
}

export function mentions({ nodes }: CpuProfile, part: string): boolean {
  return nodes.some(({ callFrame }) => callFrame.url.includes(part));
}

export function callTree(profiles: readonly CpuProfile[]): CallTree {
  const root = newTree("all", "", "");
  for (const profile of profiles) addProfile(root, profile);
  return root;
}

function addProfile(root: CallTree, { nodes, samples = [], timeDeltas = [] }: CpuProfile): void {
  const parents = new Map<number, ProfileNode>();
  const byId = new Map(nodes.map((node) => [node.id, node]));
  for (const node of nodes) for (const child of node.children ?? []) parents.set(child, node);
  const selfUs = new Map<number, number>();
  samples.forEach((id, i) => {
    selfUs.set(id, (selfUs.get(id) ?? 0) + (timeDeltas[i] ?? 0));
  });
  for (const [id, us] of selfUs) {
    const stack: ProfileNode[] = [];
    for (let node = byId.get(id); node !== undefined; node = parents.get(node.id)) stack.push(node);
    // The outermost is V8's own (root).
    stack.pop();
    if (stack[0]?.callFrame.functionName === "(idle)") continue;
    let tree = root;
    tree.us += us;
    for (const { callFrame } of stack.reverse()) {
      tree = childOf(tree, callFrame);
      tree.us += us;
    }
    tree.selfUs += us;
  }
}

/** A function for people; its place is folder, file and line, "" for what is no file's. */
export function namesOf({ functionName, url, lineNumber }: CallFrame): Record<"name" | "place", string> {
  return {
    name: functionName === "" ? "(anonymous)" : functionName,
    place: url === "" ? "" : `${url.split("/").slice(-2).join("/")}:${lineNumber + 1}`,
  };
}

function childOf(tree: CallTree, frame: CallFrame): CallTree {
  const { name, place } = namesOf(frame);
  const key = `${name} ${place}`;
  let child = tree.children.get(key);
  if (child === undefined) {
    child = newTree(name, place, frame.url);
    tree.children.set(key, child);
  }
  return child;
}

function newTree(name: string, place: string, url: string): CallTree {
  return { name, place, url, us: 0, selfUs: 0, children: new Map() };
}

/** Shares of all time, by what `partOf` says of each function; largest first. */
export function sharesOf(root: CallTree, partOf: (tree: CallTree) => string): Map<string, number> {
  const us = new Map<string, number>();
  const walk = (tree: CallTree): void => {
    if (tree.selfUs > 0) us.set(partOf(tree), (us.get(partOf(tree)) ?? 0) + tree.selfUs);
    for (const child of tree.children.values()) walk(child);
  };
  walk(root);
  return new Map([...us].map(([part, each]) => [part, each / root.us] as const).sort((a, b) => b[1] - a[1]));
}

/** Process identifiers: plain data, valid from every thread, naming node, thread, incarnation and process. */

export interface Pid {
  readonly node: string;
  /** 0 is the main thread. */
  readonly thread: number;
  /** Which life of that thread: a pid of an earlier one is dead. */
  readonly incarnation: number;
  readonly id: number;
}

/** Where a message goes: a pid, or a registered name that is looked up at each send. */
export type Target = Pid | string;

export function samePid(a: Pid, b: Pid): boolean {
  return a.id === b.id && a.thread === b.thread && a.incarnation === b.incarnation && a.node === b.node;
}

export function formatPid(pid: Pid): string {
  return `<${pid.node}.${pid.thread}.${pid.incarnation}.${pid.id}>`;
}

/** Trees of scripted children, and ways to look at them, for the supervisor's conformance tests. */

import {
  type ChildSpec,
  child,
  type ExitReason,
  type ChildOptions as Options,
  type Pid,
  type Ref,
  type SupervisorSpec,
  type System,
  supervisor,
  supervisorSpec,
} from "../../src/index.ts";
import { simulateSeed, type World } from "../../src/simulation/index.ts";
import { scripted, watcher } from "./otp_children.ts";

export type Supervisor = Ref<typeof supervisor>;

export function spec(id: string, rest: Options = {}): ChildSpec {
  return child(id, scripted, { id }, rest);
}

interface Started {
  readonly sup: Supervisor;
  readonly pid: Pid;
  /** Why it ended; undefined if it has not. */
  readonly ended: () => Promise<ExitReason | undefined>;
}

/** A supervisor that nobody restarts, and somebody who hears why it ended. */
export async function start(system: System, options: Partial<SupervisorSpec>): Promise<Started> {
  const pid = await system.spawn(
    supervisor,
    supervisorSpec({ children: [], intensity: 2, periodMs: 3_600_000, ...options }),
  );
  const watching = system.ref(watcher, await system.spawn(watcher, { traps: false }));
  await watching.call.monitor(pid);
  const ended = async (): Promise<ExitReason | undefined> => {
    const [down] = await watching.call.heard();
    return down?.type === "down" ? down.reason : undefined;
  };
  return { sup: system.ref(supervisor, pid), pid, ended };
}

/** Runs a scenario on a node without worker threads. */
export async function play(scenario: (system: System, world: World) => Promise<void>): Promise<void> {
  await simulateSeed({ seed: 1 }, async (world) => {
    const node = await world.node("n");
    await scenario(node.system, world);
  });
}

export async function pids(sup: Supervisor): Promise<Record<string, Pid | undefined>> {
  const children = await sup.call.whichChildren();
  return Object.fromEntries(children.map(({ id, pid }) => [id, pid]));
}

export async function pidOf(sup: Supervisor, id: string): Promise<Pid> {
  const pid = (await pids(sup))[id];
  if (pid === undefined) throw new Error(`${id} does not run`);
  return pid;
}

export async function end(
  system: System,
  sup: Supervisor,
  id: string,
  how: "normal" | "shutdown" | "abnormal",
) {
  system.ref(scripted, await pidOf(sup, id)).cast.end(how);
}

/** Which of `ids` have another process than before. */
export async function changed(sup: Supervisor, before: Record<string, Pid | undefined>): Promise<string[]> {
  const now = await pids(sup);
  return Object.keys(before).filter((id) => now[id]?.id !== before[id]?.id);
}

/** The hazards of gen_factory's routing, played on a dispatcher and its workers. */

import { expect, it } from "vitest";
import { type DispatcherOptions, factory_dispatcher } from "../../../src/core/gen_factory.ts";
import {
  child,
  consistentHash,
  type Definition,
  NanoError,
  type Pid,
  stickyQueue,
} from "../../../src/index.ts";
import { PausePoints, type SimulatedNode, simulateSeed, type World } from "../../../src/simulation/index.ts";
import { ending, inEachOrder } from "./at_rest.ts";
import {
  deaf_dispatcher,
  forgetful_dispatcher,
  overtaking_dispatcher,
  type Ran,
  repeating_dispatcher,
  routed_worker,
  silent_dispatcher,
} from "./routing_twins.ts";

type Options = Pick<DispatcherOptions, "workers" | "routing" | "jobs">;

class Group {
  readonly points = new PausePoints();
  readonly ran: Ran[] = [];
  readonly #world: World;
  #node: SimulatedNode | undefined;

  private constructor(world: World) {
    this.#world = world;
  }

  static async start(world: World, dispatcher: Definition, options: Options): Promise<Group> {
    const group = new Group(world);
    const { points, ran } = group;
    group.#node = await world.node("n", { resources: () => ({ routed: { points, ran } }) });
    const all: DispatcherOptions = { ...options, definition: routed_worker, args: {} };
    const rest = { name: "factory", type: "supervisor", shutdownMs: Number.POSITIVE_INFINITY } as const;
    await group.node.system.supervise({
      children: [child("factory", dispatcher as typeof factory_dispatcher, all, rest)],
    });
    return group;
  }

  get node(): SimulatedNode {
    if (this.#node === undefined) throw new Error("the group was started");
    return this.#node;
  }

  /** What came of a job: its number, or the error; it waits at its point until it is let go on. */
  job(key: string, n: number, { parked = false, timeoutMs = 60_000 } = {}): Promise<unknown> {
    if (parked) this.points.arm(`job ${key} ${n}`);
    const { call } = this.#dispatcher;
    const request = { key, kind: "call", method: "run", message: { key, n } } as const;
    return ending(call.job(request, { timeoutMs }));
  }

  resize(workers: number): Promise<void> {
    return this.#dispatcher.call.resize(workers);
  }

  async workerOf(key: string): Promise<number | undefined> {
    return (await this.#dispatcher.call.explain(key)).worker;
  }

  /** What the factory itself says of the order. */
  async disorder(): Promise<string[]> {
    const { orderViolations } = await this.#dispatcher.call.statistics();
    return orderViolations === 0 ? [] : [`the factory counted ${orderViolations}`];
  }

  get #dispatcher() {
    return this.node.system.ref(factory_dispatcher, "factory");
  }

  begins(key: string, n: number): Promise<void> {
    const begun = (): boolean => this.ran.some((each) => each.key === key && each.n === n);
    return this.#world.eventually(`job ${key} ${n} begins`, begun, 1_000);
  }

  release(key: string, n: number): void {
    this.points.release(`job ${key} ${n}`);
  }

  /** `begins 1`, `ends 1`, ... of one key. */
  order(key: string): string {
    return this.ran
      .filter((each) => each.key === key)
      .map(({ what, n }) => `${what} ${n}`)
      .join(", ");
  }

  /** Ends the worker that has this job. */
  kill(key: string): void {
    const { workers } = this.node.stateOf("factory") as {
      readonly workers: readonly {
        readonly pid: Pid | undefined;
        readonly job: { readonly key: string } | undefined;
      }[];
    };
    const pid = workers.find(({ job }) => job?.key === key)?.pid;
    if (pid !== undefined) this.node.processOf(pid)?.requestExit("killed");
  }
}

const inTurn = "begins 1, ends 1, begins 2, ends 2, begins 3, ends 3";

/** A worker takes k 1 while k 2 waits in the backlog; then k 3 comes, and its key has a worker. */
async function overtaking(world: World, dispatcher: Definition): Promise<string[]> {
  const group = await Group.start(world, dispatcher, { workers: 2, routing: stickyQueue() });
  const jobs = [group.job("a", 1, { parked: true }), group.job("b", 1, { parked: true })];
  await Promise.all([group.begins("a", 1), group.begins("b", 1)]);
  jobs.push(group.job("k", 1, { parked: true }), group.job("k", 2, { parked: true }));
  await world.sleep(10);
  group.release("a", 1);
  await group.begins("k", 1);
  jobs.push(group.job("k", 3));
  await world.sleep(10);
  group.release("k", 1);
  await world.sleep(10);
  group.release("k", 2);
  await world.sleep(10);
  group.release("b", 1);
  group.points.disarm("job k 2");
  const answers = await Promise.all(jobs);
  const findings = await group.disorder();
  if (group.order("k") !== inTurn) findings.push(`k ran in the order ${group.order("k")}`);
  return answers.join() === "1,1,1,2,3" ? findings : [...findings, `answered ${answers.join()}`];
}

/** How long a caller may wait for the news of its worker's death, virtual ms. */
const newsMsMax = 10;

/** The only worker dies with k 1 in hand, k 2 and k 3 behind it. */
async function deadWorker(world: World, dispatcher: Definition): Promise<string[]> {
  const group = await Group.start(world, dispatcher, { workers: 1, routing: stickyQueue() });
  const findings: string[] = [];
  let answers = 0;
  const first = group.job("k", 1, { parked: true, timeoutMs: 1_000 }).then((answer) => {
    answers++;
    return { answer, atMs: world.nowMs };
  });
  const behind = [group.job("k", 2), group.job("k", 3)];
  await group.begins("k", 1);
  const diedMs = world.nowMs;
  group.kill("k");
  const { answer, atMs } = await first;
  if (!(answer instanceof NanoError) || answer.code !== "crashed")
    findings.push(`k 1 ended as ${String(answer)}`);
  if (atMs > diedMs + newsMsMax) findings.push(`its caller heard of it after ${atMs - diedMs} ms`);
  const answered = await Promise.all(behind);
  if (answered.join() !== "2,3") findings.push(`those behind it were answered ${answered.join()}`);
  const begun = group.ran.filter(({ n, what }) => n === 1 && what === "begins").length;
  if (begun !== 1) findings.push(`k 1 was begun ${begun} times`);
  if (answers !== 1 || group.node.system.lateReplies() > 0) findings.push("k 1 was answered more than once");
  return findings;
}

/** A key that one number of workers and another have on different ones. */
async function movingKey(group: Group, from: number, to: number): Promise<string> {
  for (let i = 0; ; i++) {
    const key = `key ${i}`;
    await group.resize(from);
    const before = await group.workerOf(key);
    await group.resize(to);
    const after = await group.workerOf(key);
    await group.resize(from);
    if (before !== after) return key;
  }
}

/** The key's job runs on its old worker, another one of it waits, and a resize gives it a new one. */
function resized(from: number, to: number) {
  return async (world: World, dispatcher: Definition): Promise<string[]> => {
    const group = await Group.start(world, dispatcher, { workers: from, routing: consistentHash() });
    const key = await movingKey(group, from, to);
    const jobs = [group.job(key, 1, { parked: true }), group.job(key, 2, { parked: true })];
    await group.begins(key, 1);
    await group.resize(to);
    jobs.push(group.job(key, 3));
    await world.sleep(10);
    const early = group.order(key);
    group.release(key, 1);
    await world.sleep(10);
    group.points.disarm(`job ${key} 2`);
    group.release(key, 2);
    await Promise.all(jobs);
    const findings = await group.disorder();
    if (early !== "begins 1") findings.push(`while its first job ran: ${early}`);
    if (group.order(key) !== inTurn) findings.push(`it ran in the order ${group.order(key)}`);
    const workers = new Set(group.ran.filter((each) => each.key === key).map(({ worker }) => worker));
    if (workers.size !== 2) findings.push(`it was on ${workers.size} workers`);
    return findings;
  };
}

/** One job of each reason: what the caller and the handler hear. */
async function discarded(world: World, dispatcher: Definition): Promise<string[]> {
  const heard: string[] = [];
  const onDiscard: NonNullable<Options["jobs"]>["onDiscard"] = ({ key }, reason) =>
    heard.push(`${key} ${reason}`);
  const jobs = { max: 2, ageMaxMs: 100, onDiscard };
  const group = await Group.start(world, dispatcher, { workers: 1, routing: stickyQueue(), jobs });
  const told: string[] = [];
  const tell = (key: string, options?: Parameters<Group["job"]>[2]): Promise<void> =>
    group.job(key, 1, { timeoutMs: 2_000, ...options }).then((answer) => {
      const reason = answer instanceof NanoError ? (answer.details?.reason ?? answer.code) : answer;
      told.push(`${key} ${String(reason)}`);
    });
  const ended = [tell("first", { parked: true })];
  await group.begins("first", 1);
  ended.push(tell("old"), tell("older"), tell("third"));
  // The third finds the backlog full; the other two get too old in it.
  await world.sleep(200);
  ended.push(tell("last"));
  await world.sleep(10);
  ended.push(group.node.system.stop());
  await world.sleep(10);
  group.release("first", 1);
  await Promise.all(ended);
  const wanted = ["first 1", "last shutdown", "old expired", "older expired", "third overflow"];
  const findings = told.sort().join() === wanted.join() ? [] : [`callers heard: ${told.join()}`];
  const handled = wanted.slice(1);
  return heard.sort().join() === handled.join()
    ? findings
    : [...findings, `onDiscard heard: ${heard.join()}`];
}

const cases = [
  {
    number: "R1",
    title: "a new job of a key does not overtake one that waits, though its worker has the key",
    play: overtaking,
    twins: { "a backlog that hands it straight to that worker": overtaking_dispatcher },
  },
  {
    number: "R2",
    title: "the caller of a job whose worker dies hears crashed at once and once, and those behind it run",
    play: deadWorker,
    twins: {
      "a dispatcher that tells nobody": deaf_dispatcher,
      "a dispatcher that runs it again": repeating_dispatcher,
    },
  },
  {
    number: "R3",
    title: "a key that more workers move is not begun on the new one while the old one runs it",
    play: resized(3, 8),
    twins: { "a resize that forgets what runs": forgetful_dispatcher },
  },
  {
    number: "R3",
    title: "a key that fewer workers move is not begun on the new one while the old one runs it",
    play: resized(8, 3),
    twins: { "a resize that forgets what runs": forgetful_dispatcher },
  },
  {
    number: "R4",
    title: "of each discarded job the caller and onDiscard hear the reason, once",
    play: discarded,
    twins: { "a dispatcher that drops it": silent_dispatcher },
  },
] as const;

for (const { number, title, play, twins } of cases) {
  it(`hazard ${number}: ${title}`, async () => {
    expect(await inEachOrder((world) => play(world, factory_dispatcher))).toEqual([]);
  });

  for (const [name, twin] of Object.entries(twins)) {
    it(`twin of hazard ${number}: caught with ${name} (${title})`, async () => {
      const { result } = await simulateSeed({ seed: 1 }, (world) => play(world, twin));
      expect(result).not.toEqual([]);
      if (twin === overtaking_dispatcher || twin === forgetful_dispatcher)
        expect(result).toContainEqual(expect.stringMatching(/^the factory counted [1-9]/));
    });
  }
}

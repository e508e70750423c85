/**
 * A small model checker for two threads that share memory, after CHESS and loom: production functions run on a memory
 * that stops its thread at each access, and every order of the accesses of both is played, to the end, each state
 * once.
 *
 * A function can't be stopped in its midst, so it is run again: with the results of the accesses that it has had,
 * then one access for real, and it is thrown out at the next. So functions under test must be deterministic, and all
 * that they remember must be in the thread's `local` state. States are searched in breadth, so a trace that ends in a
 * fault is the shortest there is.
 *
 * Plain accesses must be ordered by atomic ones (happens-before, by what each thread knows of the other's accesses):
 * a program without such a race behaves by JavaScript's memory model as if its accesses came one after the other,
 * which is all that is played here.
 */

export const writer = 0;
export const reader = 1;
export type ThreadId = typeof writer | typeof reader;
const names = ["writer", "reader"] as const;

/** What is shared. All of it is plain data. */
export interface Shared {
  readonly cells: number[];
  readonly words: number[];
  /** Bells that have been rung for each thread and not heard. */
  readonly bells: number[];
  readonly isAlive: boolean[];
  /** How often the writer published. */
  published: number;
  /** For each thread the words (as bits) whose latest access by the other one came before its own present. */
  readonly known: number[];
  /** For each cell, and each thread whose accesses they were: the words that whoever loads the cell learns of. */
  readonly released: number[];
}

/** How a program reaches what is shared. */
export interface Access {
  /** Does something to the shared state at once: one step of its thread. */
  step<Result>(label: string, act: (shared: Shared) => Result): Result;
}

export interface Program<Local> {
  readonly start: Local;
  clone(local: Local): Local;
  /** Whether it has something to do now. */
  isReady(local: Local, shared: Shared): boolean;
  /** One deed; it may end between any two of its accesses. */
  run(local: Local, access: Access): void;
}

export interface Model<WriterLocal, ReaderLocal> {
  readonly shared: Shared;
  readonly writer: Program<WriterLocal>;
  readonly reader: Program<ReaderLocal>;
  /** Whether a thread may die, at any step. */
  readonly deaths: readonly ThreadId[];
  /** What is wrong with a state in which nobody has anything to do. */
  faultAtEnd(shared: Shared, writer: WriterLocal, reader: ReaderLocal): string | undefined;
}

export interface Exploration {
  readonly states: number;
  readonly ends: number;
  readonly fault: string | undefined;
  /** The steps that led to the fault. */
  readonly trace: readonly string[];
}

interface Thread {
  readonly local: unknown;
  /** Results of the accesses of the deed that it is in. */
  readonly results: readonly unknown[];
}

interface State {
  readonly shared: Shared;
  readonly threads: readonly [Thread, Thread];
  readonly from: State | undefined;
  readonly label: string;
}

/** Thrown into a deed at the access that has to wait. */
const stopped = Symbol("stopped");

/** Plays everything. Throws if there are more states than `statesMax`. */
export function explore<W, R>(model: Model<W, R>, statesMax = 2_000_000): Exploration {
  const programs = [model.writer, model.reader] as readonly Program<unknown>[];
  const first: State = {
    shared: model.shared,
    threads: [
      { local: model.writer.start, results: [] },
      { local: model.reader.start, results: [] },
    ],
    from: undefined,
    label: "",
  };
  const seen = new Set([keyOf(first)]);
  let ends = 0;
  const failed = (fault: string, state: State): Exploration => ({
    states: seen.size,
    ends,
    fault,
    trace: traceOf(state),
  });
  for (let layer = [first]; layer.length > 0; ) {
    const next: State[] = [];
    for (const state of layer) {
      const followers: State[] = [];
      for (const thread of [writer, reader] as const) {
        const { follower, fault } = stepOf(state, thread, programs[thread]);
        if (fault !== undefined) return failed(fault, follower ?? state);
        if (follower !== undefined) followers.push(follower);
      }
      if (followers.length === 0) {
        ends++;
        const [{ local: w }, { local: r }] = state.threads;
        const fault = model.faultAtEnd(state.shared, w as W, r as R);
        if (fault !== undefined) return failed(fault, state);
      }
      for (const follower of [...followers, ...deathsOf(state, model.deaths)]) {
        const key = keyOf(follower);
        if (seen.has(key)) continue;
        seen.add(key);
        next.push(follower);
      }
    }
    if (seen.size > statesMax) throw new Error(`more than ${statesMax} states`);
    layer = next;
  }
  return { states: seen.size, ends, fault: undefined, trace: [] };
}

/** The next access of a thread, and all that it does by itself until the one after. */
function stepOf(
  state: State,
  thread: ThreadId,
  program: Program<unknown> | undefined,
): { readonly follower?: State; readonly fault?: string } {
  const { local: before, results } = state.threads[thread];
  if (program === undefined || state.shared.isAlive[thread] !== true) return {};
  if (results.length === 0 && !program.isReady(before, state.shared)) return {};
  const shared = cloneOf(state.shared);
  const local = program.clone(before);
  let label = "";
  let played = 0;
  const taken = [...results];
  const access: Access = {
    step: <Result>(name: string, act: (shared: Shared) => Result): Result => {
      if (played < results.length) return results[played++] as Result;
      if (played > results.length) throw stopped;
      played++;
      label = name;
      const result = act(shared);
      taken.push(result);
      return result;
    },
  };
  const after = (now: Thread): State => {
    const threads: [Thread, Thread] = [...state.threads];
    threads[thread] = now;
    return { shared, threads, from: state, label: `${names[thread]}: ${label}` };
  };
  try {
    program.run(local, access);
  } catch (error) {
    const follower = after({ local: before, results: taken });
    return error === stopped ? { follower } : { follower, fault: String(error) };
  }
  return { follower: after({ local, results: [] }) };
}

function deathsOf(state: State, mortal: readonly ThreadId[]): State[] {
  if (state.shared.isAlive.includes(false)) return [];
  return mortal.map((thread) => {
    const shared = cloneOf(state.shared);
    shared.isAlive[thread] = false;
    const threads: [Thread, Thread] = [...state.threads];
    threads[thread] = { local: undefined, results: [] };
    return { shared, threads, from: state, label: `${names[thread]} dies` };
  });
}

function cloneOf(shared: Shared): Shared {
  return {
    cells: [...shared.cells],
    words: [...shared.words],
    bells: [...shared.bells],
    isAlive: [...shared.isAlive],
    published: shared.published,
    known: [...shared.known],
    released: [...shared.released],
  };
}

function keyOf({ shared, threads }: State): string {
  return JSON.stringify([shared, threads]);
}

function traceOf(last: State): string[] {
  const trace: string[] = [];
  for (let state: State | undefined = last; state?.from !== undefined; state = state.from)
    trace.push(state.label);
  return trace.reverse();
}

/**
 * The stack of a worker thread that does not turn, asked of its inspector from the main thread: V8 takes the request
 * between two steps of the thread's JavaScript, busy or not, and samples it for some ms. A thread in native code (a
 * synchronous system call, Atomics.wait) takes no request: then there is no stack.
 *
 * The thread is never stopped. The debugger's `pause` gives the stack, too, but a thread whose heap was full at that
 * moment stood for ever (Node 20). The main thread's own stack can't be had in any of these ways: without an open
 * inspector port, a worker's request left the process hanging.
 */

import { type InspectorNotification, Session } from "node:inspector";
import { watchLimits } from "../base/limits.ts";

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[];
}

interface Profile {
  readonly nodes: readonly ProfileNode[];
  /** The innermost frame of each sample. */
  readonly samples?: readonly number[];
}

/** The innermost frames first, as `function (url:line)`; undefined if the thread takes no request in time. */
export async function stackOf(threadId: number): Promise<readonly string[] | undefined> {
  for (let tries = 0; tries < watchLimits.stackTries; tries++) {
    const profile = await profileOf(threadId);
    if (profile === undefined) return undefined;
    const stack = stackIn(profile);
    if (stack !== undefined) return stack;
  }
  return undefined;
}

async function profileOf(threadId: number): Promise<Profile | undefined> {
  const session = new Session();
  let timer: NodeJS.Timeout | undefined;
  try {
    session.connect();
    return await new Promise<Profile | undefined>((resolve, reject) => {
      timer = setTimeout(() => resolve(undefined), watchLimits.stackTimeoutMs);
      ask(session, threadId, resolve, reject);
    });
  } catch {
    // A Node without this domain, or with an inspector that is off: the culprit is named anyway.
    return undefined;
  } finally {
    clearTimeout(timer);
    session.disconnect();
  }
}

const stopRequest = 3;

function ask(
  session: Session,
  threadId: number,
  found: (profile: Profile) => void,
  failed: (error: Error) => void,
): void {
  const post = (method: string, params: object): void =>
    session.post(method, params, (error) => {
      if (error !== null) failed(error);
    });
  let sessionId = "";
  const send = (id: number, method: string): void =>
    post("NodeWorker.sendMessageToWorker", { sessionId, message: JSON.stringify({ id, method }) });
  listen(session, "NodeWorker.attachedToWorker", ({ sessionId: its, workerInfo }) => {
    // `workerId` counts the threads in an order of its own; the title has Node's number.
    if (!(workerInfo as { title: string }).title.startsWith(`[worker ${threadId}]`)) {
      post("NodeWorker.detach", { sessionId: its });
      return;
    }
    sessionId = its as string;
    send(1, "Profiler.enable");
    send(2, "Profiler.start");
    setTimeout(() => {
      // It may have been given up meanwhile.
      if (sessionId !== "") send(stopRequest, "Profiler.stop");
    }, watchLimits.stackSampleMs);
  });
  listen(session, "NodeWorker.receivedMessageFromWorker", ({ sessionId: its, message }) => {
    if (its !== sessionId) return;
    const answer = JSON.parse(message as string) as { id?: number; result?: { profile?: Profile } };
    if (answer.id !== stopRequest) return;
    if (answer.result?.profile === undefined) failed(new Error("no profile"));
    else found(answer.result.profile);
  });
  listen(session, "NodeWorker.detachedFromWorker", ({ sessionId: its }) => {
    if (its !== sessionId) return;
    sessionId = "";
    failed(new Error("the thread has ended"));
  });
  post("NodeWorker.enable", { waitForDebuggerOnStart: false });
}

/** The types of Node's inspector do not know the threads' domain by its string. */
function listen(
  session: Session,
  event: string,
  handler: (params: Readonly<Record<string, unknown>>) => void,
): void {
  session.on(event, ({ params }: InspectorNotification<Record<string, unknown>>) => handler(params));
}

/** The way from the root to where the thread was most often; none if it was in no JavaScript. */
function stackIn({ nodes, samples = [] }: Profile): readonly string[] | undefined {
  const hits = new Map<number, number>();
  for (const id of samples) hits.set(id, (hits.get(id) ?? 0) + 1);
  const parents = new Map(nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node])));
  const inCode = nodes.filter(({ callFrame: { functionName } }) => !/^\(.*\)$/.test(functionName));
  const at = inCode.reduce<ProfileNode | undefined>(
    (most, node) => ((hits.get(node.id) ?? 0) > (hits.get(most?.id ?? 0) ?? 0) ? node : most),
    undefined,
  );
  if (at === undefined) return undefined;
  const stack: string[] = [];
  for (let node: ProfileNode | undefined = at; node !== undefined; node = parents.get(node.id)) {
    const { functionName, url, lineNumber } = node.callFrame;
    if (functionName === "(root)" || stack.length === watchLimits.stackFrames) break;
    stack.push(`${functionName || "(anonymous)"} (${url || "native"}:${lineNumber + 1})`);
  }
  return stack;
}

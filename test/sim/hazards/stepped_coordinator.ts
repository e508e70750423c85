/**
 * A db_failover whose every instruction (a read or write of control, a message to a shard) passes two pause points of
 * the network's: `<name> instruction` before it, `<name> done` when its effect is there and its answer is on the way.
 * So a scenario stops a coordinator, or ends it, at any of them.
 */

import type { ControlRecord, ControlStore, DecisionRecord } from "../../../actors/control_store.ts";
import { db_failover } from "../../../actors/db_failover.ts";
import type { SiteOptions } from "../../../actors/site_shards.ts";
import type { Network } from "../../../app/simulate/sim_link.ts";
import { genServer, type Self } from "../../../src/index.ts";
import { forgetful_failover } from "./broken_actors.ts";
import type { Callbacks } from "./late_messages.ts";

const failover: Callbacks<typeof db_failover> = db_failover.callbacks;

/** What an instruction is, e.g. `control compareAndSet decision/+49-00000004` or `A/0/db_switch refresh`. */
export interface Instruction {
  readonly what: string;
  readonly sent: readonly unknown[];
}

type Call = (...sent: unknown[]) => Promise<unknown>;

/** The own self, with control and the ways to shards as they are given. */
function stepped(self: Self, broken: (control: ControlStore) => ControlStore = (control) => control): Self {
  const { points } = self.resource<Network>("network");
  const through = async (instruction: Instruction, call: () => Promise<unknown>): Promise<unknown> => {
    await points.pass(`${self.name} instruction`, instruction);
    const answer = await call();
    await points.pass(`${self.name} done`, instruction);
    return answer;
  };
  const calls = (target: object, name: string): object =>
    new Proxy(target, {
      get: (each, method) => {
        const call = Reflect.get(each, method) as Call;
        const text = `${name} ${String(method)}`;
        return (...sent: unknown[]) => {
          const what = typeof sent[0] === "string" ? `${text} ${sent[0]}` : text;
          return through({ what, sent }, () => call.call(each, ...sent));
        };
      },
    });
  const control = calls(broken(self.resource<ControlStore>("control")), "control");
  return new Proxy(self, {
    get: (target, property) => {
      if (property === "resource") {
        return (name: string) => (name === "control" ? control : target.resource(name));
      }
      if (property === "ref") {
        return (definition: never, name: string) => {
          const ref = target.ref(definition, name) as { readonly call: object };
          return { ...ref, call: calls(ref.call, name) };
        };
      }
      const value: unknown = Reflect.get(target, property);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

export const stepped_failover = genServer(import.meta.url, "stepped_failover", {
  ...failover,
  init: (options: SiteOptions, self: Self) => failover.init(options, stepped(self)),
}) as typeof db_failover;

/** Ends nothing that an earlier life or another left open. */
export const idle_failover = genServer(import.meta.url, "idle_failover", {
  ...(forgetful_failover.callbacks as Callbacks<typeof db_failover>),
  init: (options: SiteOptions, self: Self) => failover.init(options, stepped(self)),
}) as typeof db_failover;

/** Hears the wish to abort when the step under way is long over. */
export const deaf_failover = genServer(import.meta.url, "deaf_failover", {
  ...failover,
  init: (options: SiteOptions, self: Self) => failover.init(options, stepped(self)),
  call: {
    ...failover.call,
    abort: ({ self }: { readonly self: Self }, why: string) => void self.castAfter(2_000, "abortLater", why),
  },
  cast: {
    ...failover.cast,
    abortLater: (state: never, why: string) => failover.call.abort(state, why),
  },
}) as unknown as typeof db_failover;

/** Ends a decision without looking whether it has ended: the last one wins. */
export const blind_failover = genServer(import.meta.url, "blind_failover", {
  ...failover,
  init: (options: SiteOptions, self: Self) => failover.init(options, stepped(self, withoutCompare)),
}) as typeof db_failover;

function withoutCompare(control: ControlStore): ControlStore {
  const write: ControlStore["compareAndSet"] = async (key, expected, value) => {
    const written = await control.compareAndSet(key, expected, value);
    if (written !== undefined || !key.startsWith("decision/") || expected === 0) return written;
    const record = await control.get(key);
    return control.compareAndSet(key, record?.revision ?? 0, value);
  };
  return { ...bound(control), compareAndSet: write };
}

/** Sees no decision of another coordinator that is open. */
export const lonely_failover = genServer(import.meta.url, "lonely_failover", {
  ...failover,
  init: (options: SiteOptions, self: Self) =>
    failover.init(
      options,
      stepped(self, (control) => ({
        ...bound(control),
        list: async (prefix) => (await control.list(prefix)).filter((record) => isVisible(record, self.name)),
      })),
    ),
}) as typeof db_failover;

function isVisible({ key, value }: ControlRecord, name: string): boolean {
  if (!key.startsWith("decision/")) return true;
  const { owner, state } = value as DecisionRecord;
  return owner === name || state === "swapped" || state === "aborted";
}

function bound(control: ControlStore): ControlStore {
  return {
    get: (key) => control.get(key),
    list: (prefix) => control.list(prefix),
    compareAndSet: (...request) => control.compareAndSet(...request),
    nextTerm: () => control.nextTerm(),
    close: () => control.close(),
  };
}

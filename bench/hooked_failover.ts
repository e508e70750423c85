/**
 * db_failover with one hook: when the prefix has been compared as often as it takes, before the prediction is made,
 * `hooks.compared` runs. What a bench writes there is dirty at the block and counts in the prediction. On the main
 * thread, where the bench is.
 */

import { db_failover } from "../actors/db_failover.ts";
import type { SiteOptions } from "../actors/site_shards.ts";
import { genServer, type Self } from "../src/index.ts";

export const hooks: { compared: () => Promise<void> } = { compared: async () => undefined };

type Call = (...sent: unknown[]) => Promise<unknown>;

/** A move asks each ledger how much changed after each comparison, and once more for its prediction. */
function hooked(self: Self, shards: number): Self {
  let asked = 0;
  const around = (call: Readonly<Record<string, Call>>): Readonly<Record<string, Call>> => {
    const validate: Call = async (...sent) => {
      asked = 0;
      return call.validate?.(...sent);
    };
    const changes: Call = async (...sent) => {
      if (++asked > shards) await hooks.compared();
      return call.changes?.(...sent);
    };
    return new Proxy(call, {
      get: (calls, method) => {
        if (method === "validate") return validate;
        return method === "changes" ? changes : Reflect.get(calls, method);
      },
    });
  };
  return new Proxy(self, {
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property);
      if (property !== "ref") return typeof value === "function" ? value.bind(target) : value;
      return (definition: never, name: string) => {
        const ref = target.ref(definition, name) as { readonly call: Readonly<Record<string, Call>> };
        return { ...ref, call: around(ref.call) };
      };
    },
  });
}

export const hooked_failover = genServer(import.meta.url, "hooked_failover", {
  ...db_failover.callbacks,
  init: (options: SiteOptions, self: Self) =>
    db_failover.callbacks.init(options, hooked(self, options.shards)),
}) as typeof db_failover;

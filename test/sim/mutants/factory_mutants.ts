/** Plants a broken dispatcher beneath a node's data access. */

import { DataAccess } from "../../../actors/data_access.ts";
import type { OpenAccess } from "../../../app/simulate/site_node.ts";
import { type DispatcherOptions, factory_dispatcher } from "../../../src/core/gen_factory.ts";
import { type CallOptions, child, type Definition, type System } from "../../../src/index.ts";
import { delegating } from "../../fixtures/delegating.ts";

/** Data access as it is opened ordinarily, over factories with this dispatcher. */
export function accessOver(dispatcher: Definition): OpenAccess {
  return (sites, backend, where, options) =>
    DataAccess.open(withDispatcher(sites.system, dispatcher), backend, where, options);
}

/** The system, but for its factories' dispatcher. */
function withDispatcher(system: System, dispatcher: Definition): System {
  const startFactory = async (
    name: string,
    definition: Definition,
    options: Omit<DispatcherOptions, "definition">,
  ) => {
    const rest = { name, type: "supervisor", shutdownMs: Number.POSITIVE_INFINITY } as const;
    const spec = child(name, dispatcher as typeof factory_dispatcher, { ...options, definition }, rest);
    await system.supervise({ children: [spec] }, { name: `${name} supervisor` });
    const { call } = system.ref(factory_dispatcher, name);
    return {
      call: (key: string, method: string, message: unknown, limits?: CallOptions) =>
        call.job({ key, kind: "call", method, message }, limits),
      resize: (workers: number) => call.resize(workers, { timeoutMs: Number.POSITIVE_INFINITY }),
    };
  };
  return delegating(system, { startFactory: startFactory as unknown as System["startFactory"] });
}

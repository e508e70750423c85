/** A simulated node with its servers, for the gen_server conformance tests. */

import type { Pid, Ref, System } from "../../src/index.ts";
import { simulateSeed, type World } from "../../src/simulation/index.ts";
import { type ServerOptions, server } from "./otp_server.ts";

export type Server = Ref<typeof server>;

export async function play(
  scenario: (system: System, world: World) => Promise<void>,
  threads = 0,
): Promise<void> {
  await simulateSeed({ seed: 1 }, async (world) => {
    const { system } = await world.node("n", { threads });
    await world.sleep(5);
    await scenario(system, world);
  });
}

export async function start(
  system: System,
  options: ServerOptions = {},
  name = "",
): Promise<{ pid: Pid; ref: Server }> {
  const pid = await system.spawn(server, options, name === "" ? {} : { name });
  return { pid, ref: system.ref(server, pid) };
}

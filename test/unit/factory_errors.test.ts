/** What a worker throws is its answer, also when it passes on an error by which the runtime told of another process. */

import { expect, it } from "vitest";
import { genServer, queue, type Self, toErrorData } from "../../src/index.ts";
import { simulateSeed } from "../../src/simulation/index.ts";

let runs = 0;

const dying = genServer(import.meta.url, "dying", {
  init: () => ({}),
  call: { ask: () => 1 },
});

const asking_worker = genServer(import.meta.url, "asking_worker", {
  init: (_: undefined, self): { readonly self: Self } => ({ self }),
  call: {
    /** Asks a process that ends before it takes the question. */
    ask: async (state): Promise<number> => {
      runs++;
      const pid = await state.self.spawn(dying, undefined);
      const answer = state.self.ref(dying, pid).call.ask();
      state.self.exit(pid, "killed");
      return answer;
    },
  },
});

it("a worker that passes on that another took no request is free again, and its job is not run twice", async () => {
  runs = 0;
  await simulateSeed({ seed: 1 }, async (world) => {
    const { system } = await world.node("n");
    const factory = await system.startFactory("askers", asking_worker, {
      args: undefined,
      workers: 1,
      routing: queue(),
    });
    for (let i = 1; i <= 3; i++) {
      const error = await factory.at("k").call.ask(undefined, { timeoutMs: 1_000 }).catch(toErrorData);
      expect(error).toMatchObject({ code: "crashed" });
      expect(runs).toBe(i);
    }
    expect(await factory.statistics()).toMatchObject({ waiting: 0, running: 0 });
  });
});

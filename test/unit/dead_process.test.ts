/** A handler that was killed between two awaits goes on as JavaScript, but nobody hears of it any more. */

import { expect, it } from "vitest";
import { type From, genServer, noReply, type Self } from "../../src/index.ts";
import { refOf, testHost } from "./support.ts";

interface Gate {
  readonly opened: Promise<void>;
  readonly entered: () => void;
  readonly ended: (error: unknown) => void;
}

const ledger = genServer(import.meta.url, "ledger", {
  init: () => ({ told: [] as string[] }),
  call: {
    tell: (state, what: string) => void state.told.push(what),
    told: (state) => state.told,
  },
  cast: { note: (state, what: string) => void state.told.push(what) },
});

const worker = genServer(import.meta.url, "worker", {
  init: (_: undefined, self): { readonly self: Self } => ({ self }),
  call: {
    work: (state, _message: undefined, _from: From<void>) => {
      const gate = state.self.resource<Gate>("gate");
      const { call, cast } = state.self.ref(ledger, "ledger");
      const work = async (): Promise<void> => {
        gate.entered();
        await gate.opened;
        cast.note("by cast");
        state.self.send("ledger", "by send");
        await call.tell("by call");
      };
      work().then(() => gate.ended(undefined), gate.ended);
      return noReply;
    },
  },
});

it("what a killed process's unfinished handler still asks of others is refused", async () => {
  let open: () => void = () => undefined;
  let entered: () => void = () => undefined;
  let ended: (error: unknown) => void = () => undefined;
  const inside = new Promise<void>((resolve) => {
    entered = resolve;
  });
  const outcome = new Promise<unknown>((resolve) => {
    ended = resolve;
  });
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const host = testHost({
    gate: { opened, entered: () => entered(), ended: (error: unknown) => ended(error) },
  });
  await host.spawn(ledger, undefined, { name: "ledger" }, undefined);
  const pid = await host.spawn(worker, undefined, { name: "worker" }, undefined);
  const work = refOf(host, worker, pid).call.work();
  await inside;
  host.links.exit(pid, host.client, "killed");
  await expect(work).rejects.toMatchObject({ code: "crashed" });
  open();
  expect(await outcome).toMatchObject({ code: "canceled" });
  expect(await refOf(host, ledger, "ledger").call.told()).toEqual([]);
});

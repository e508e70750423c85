/**
 * The product's own processes behind a way on which messages can be late: a scenario parks an admission between
 * db_switch and the ledger (`A way to ledger`), a commit between db_switch and its store (`A way to store`), or the
 * last question of a db_switch that takes over what control says (`A way to holds`), while the process itself goes on
 * with others. Nothing else is changed.
 */

import { db_dirty_keys } from "../../../actors/db_dirty_keys.ts";
import { db_store } from "../../../actors/db_store.ts";
import type { Admission } from "../../../actors/ledger_messages.ts";
import type { Row } from "../../../actors/records.ts";
import type { ApplyGroup } from "../../../actors/store_messages.ts";
import type { Network } from "../../../app/simulate/sim_link.ts";
import { type Definition, type From, genServer, noReply, type Self } from "../../../src/index.ts";

export type Callbacks<D> = D extends Definition ? D["callbacks"] : never;

interface WithSelf {
  readonly self: Self;
}

const ledger: Callbacks<typeof db_dirty_keys> = db_dirty_keys.callbacks;
const store: Callbacks<typeof db_store> = db_store.callbacks;

/** Waits at the point of the process's site. */
function late({ self }: WithSelf, what: string, details: unknown): Promise<void> {
  const site = self.name.slice(0, self.name.indexOf("/"));
  return self.resource<Network>("network").points.pass(`${site} way to ${what}`, details);
}

export const late_ledger: Definition = genServer(import.meta.url, "late_ledger", {
  ...ledger,
  call: {
    ...ledger.call,
    admit: (state: WithSelf, admissions: readonly Admission[], from: From) => {
      void late(state, "ledger", admissions).then(() => ledger.call.admit(state, admissions, from));
      return noReply;
    },
  },
});

export const late_holds: Definition = genServer(import.meta.url, "late_holds", {
  ...ledger,
  call: {
    ...ledger.call,
    held: (state: WithSelf, _: undefined, from: From) => {
      void late(state, "holds", undefined).then(() =>
        state.self.reply(from, ledger.call.held(state as never)),
      );
      return noReply;
    },
  },
});

export function lateApply(state: WithSelf, groups: readonly ApplyGroup[], from: From) {
  const rows: Row[] = groups.flatMap((group) => group.rows);
  void late(state, "store", { rows }).then(() => store.call.apply(state, groups, from));
  return noReply;
}

export const late_store: Definition = genServer(import.meta.url, "late_store", {
  ...(store as Callbacks<Definition>),
  call: { ...store.call, apply: lateApply },
});

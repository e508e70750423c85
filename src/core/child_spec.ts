/** What a supervisor starts: plain data, so that a supervisor may live on another thread than whoever described it. */

import { NanoError } from "../base/errors.ts";
import type { Definition, OptionsOf } from "./gen_server.ts";
import type { MailboxLimits, SpawnOptions } from "./self.ts";

export type Restart = "permanent" | "transient" | "temporary";
export type Strategy = "one_for_one" | "one_for_all" | "rest_for_one" | "simple_one_for_one";

export interface ChildSpec {
  /** Unique among its siblings. */
  readonly id: string;
  readonly module: string;
  readonly export: string;
  readonly options: unknown;
  /** permanent: always restarted; transient: after a crash only; temporary: never. Default: permanent. */
  readonly restart: Restart;
  /** How long it may take to end, ms; then it is killed. Default: 5,000; Infinity for a supervisor. */
  readonly shutdownMs: number | "brutal_kill";
  /** Registered name; "" for none. */
  readonly name: string;
  readonly thread?: SpawnOptions["thread"];
  readonly mailbox?: MailboxLimits;
}

export interface SupervisorSpec {
  readonly strategy: Strategy;
  /** More than `intensity` restarts within `periodMs` end the supervisor. Defaults: 1 in 5,000 ms. */
  readonly intensity: number;
  readonly periodMs: number;
  readonly children: readonly ChildSpec[];
}

export type ChildOptions = Partial<Omit<ChildSpec, "id" | "module" | "export" | "options">>;

/** OTP's default for workers. */
const workerShutdownMs = 5_000;

/** Describes a child. Errors: `bad_argument` naming the field. */
export function child<D extends Definition>(
  id: string,
  definition: D,
  options: OptionsOf<D>,
  rest: ChildOptions = {},
): ChildSpec {
  const { module, name } = definition;
  const spec: ChildSpec = {
    id,
    module,
    export: name,
    options,
    restart: "permanent",
    shutdownMs: name === "supervisor" ? Number.POSITIVE_INFINITY : workerShutdownMs,
    name: "",
    ...rest,
  };
  if (id === "")
    throw new NanoError("bad_argument", "a child's id is empty; give it a name", { field: "id" });
  if (spec.shutdownMs !== "brutal_kill" && !(spec.shutdownMs >= 0)) {
    const text = `child ${id}: shutdownMs must be 0 or more, or "brutal_kill"`;
    throw new NanoError("bad_argument", text, { field: "shutdownMs" });
  }
  return spec;
}

/** Fills in the defaults and checks them. Errors: `bad_argument` naming the field. */
export function supervisorSpec(
  spec: Partial<SupervisorSpec> & Pick<SupervisorSpec, "children">,
): SupervisorSpec {
  const full: SupervisorSpec = { strategy: "one_for_one", intensity: 1, periodMs: 5_000, ...spec };
  if (!(full.intensity >= 0)) {
    throw new NanoError("bad_argument", "intensity must be 0 or more", { field: "intensity" });
  }
  if (!(full.periodMs > 0))
    throw new NanoError("bad_argument", "periodMs must be above 0", { field: "periodMs" });
  const ids = new Set(full.children.map(({ id }) => id));
  if (ids.size !== full.children.length) {
    throw new NanoError("bad_argument", "two children have one id; make them differ", { field: "children" });
  }
  if (full.strategy === "simple_one_for_one" && full.children.length !== 1) {
    throw new NanoError("bad_argument", "simple_one_for_one takes one child: the template", {
      field: "children",
    });
  }
  return full;
}

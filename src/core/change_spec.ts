/**
 * A supervisor gets another spec while it runs: new flags hold at once, a child's new spec from its next start on.
 * Nobody is started, stopped or forgotten by it. Source of the behaviour: OTP's supervisor:code_change.
 */

import { NanoError } from "../base/errors.ts";
import { type SupervisorSpec, supervisorSpec } from "./child_spec.ts";
import type { Child, State } from "./supervisor_children.ts";

/** Errors: `bad_argument` naming the field: then nothing has changed. */
export function changeSpec(state: State, wanted: SupervisorSpec): void {
  const spec = supervisorSpec(wanted);
  const isSimple = spec.strategy === "simple_one_for_one";
  if (isSimple !== (state.spec.strategy === "simple_one_for_one")) {
    const text = "a running supervisor can't become simple_one_for_one, nor stop to be it";
    throw new NanoError("bad_argument", text, { field: "strategy" });
  }
  state.spec = spec;
  if (isSimple) changeTemplate(state, spec);
  else changeChildren(state, spec);
}

/** Each child keeps what makes it another one than its siblings. */
function changeTemplate(state: State, { children: [template] }: SupervisorSpec): void {
  if (template === undefined) return;
  for (const child of state.children.values())
    child.spec = { ...template, id: child.spec.id, options: child.spec.options };
}

/** In the new order; a child that the new spec does not name stays as it is, behind the others. */
function changeChildren(state: State, spec: SupervisorSpec): void {
  const before = new Map(state.children);
  state.children.clear();
  for (const childSpec of spec.children) {
    const child: Child = before.get(childSpec.id) ?? {
      spec: childSpec,
      pid: undefined,
      restarting: undefined,
    };
    child.spec = childSpec;
    state.children.set(childSpec.id, child);
    before.delete(childSpec.id);
  }
  for (const [id, child] of before) state.children.set(id, child);
}

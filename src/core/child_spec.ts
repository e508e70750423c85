/** What a supervisor starts: plain data, so that a supervisor may live on another thread than whoever described it. */

import { NanoError } from "../base/errors.ts";
import { type CapsuleWish, checkMessages } from "./capsules.ts";
import type { Definition, OptionsOf } from "./gen_server.ts";
import { isRestartDelay, type RestartDelay } from "./restart_delay.ts";
import type { MailboxLimits, SpawnOptions } from "./self.ts";

const restarts = ["permanent", "transient", "temporary"] as const;
const strategies = ["one_for_one", "one_for_all", "rest_for_one", "simple_one_for_one"] as const;
const types = ["worker", "supervisor"] as const;
const autoShutdowns = ["never", "any_significant", "all_significant"] as const;

export type Restart = (typeof restarts)[number];
export type Strategy = (typeof strategies)[number];
export type ChildType = (typeof types)[number];
export type AutoShutdown = (typeof autoShutdowns)[number];

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
  /** For countChildren. Default: worker. */
  readonly type?: ChildType;
  /** Its end by itself may end its supervisor, see `autoShutdown`; never of a permanent child. Default: false. */
  readonly significant?: boolean;
  /** Registered name; "" for none. */
  readonly name: string;
  readonly thread?: SpawnOptions["thread"];
  readonly mailbox?: MailboxLimits;
  /** How long `init` may take, ms. Default: 30,000; Infinity for a supervisor. */
  readonly initTimeoutMs?: number;
  /** Keeps its last messages for a crash capsule: `SpawnOptions.capsule`. */
  readonly capsule?: CapsuleWish;
}

export interface SupervisorSpec {
  readonly strategy: Strategy;
  /** More than `intensity` restarts within `periodMs` end the supervisor. Defaults: 1 in 5,000 ms. */
  readonly intensity: number;
  readonly periodMs: number;
  /**
   * A restart waits at least `min` and at most `max` ms, by chance, and longer with each restart within the period; the
   * child is shown as `restarting` meanwhile. Default: no delay.
   */
  readonly restartDelayMs?: RestartDelay;
  /** Whether the supervisor ends when a significant child, or the last one, has ended by itself. Default: never. */
  readonly autoShutdown?: AutoShutdown;
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
  const spec = { id, module, export: name, options, restart: "permanent", name: "" } as const;
  if (name !== "supervisor") return checkChildSpec({ ...spec, shutdownMs: workerShutdownMs, ...rest });
  const patience = { shutdownMs: Number.POSITIVE_INFINITY, initTimeoutMs: Number.POSITIVE_INFINITY };
  return checkChildSpec({ ...spec, type: "supervisor", ...patience, ...rest });
}

/** Returns the spec. Errors: `bad_argument` naming the first field that is wrong. */
export function checkChildSpec(spec: ChildSpec): ChildSpec {
  checkIsObject(spec);
  const check = (field: keyof ChildSpec, holds: boolean, rule: string): void => {
    if (holds) return;
    const text = `child ${String(spec.id)}: ${field} must be ${rule}, not ${String(spec[field])}`;
    throw new NanoError("bad_argument", text, { field, child: spec.id });
  };
  check("id", isName(spec.id), "a string that is not empty");
  check("module", isName(spec.module), "a module's URL");
  check("export", isName(spec.export), "an export's name");
  check("restart", restarts.includes(spec.restart), restarts.join(", "));
  check("name", typeof spec.name === "string", 'a string, "" for none');
  check(
    "shutdownMs",
    spec.shutdownMs === "brutal_kill" || isDuration(spec.shutdownMs),
    '0 or more, or "brutal_kill"',
  );
  check("type", spec.type === undefined || types.includes(spec.type), types.join(" or "));
  const { significant, initTimeoutMs } = spec;
  check("significant", significant === undefined || typeof significant === "boolean", "a boolean");
  check("significant", significant !== true || spec.restart !== "permanent", "false for a permanent child");
  check("initTimeoutMs", initTimeoutMs === undefined || isDuration(initTimeoutMs), "0 or more");
  check("thread", isThread(spec.thread), 'a thread\'s number, "any" or { with: pid }');
  check(
    "mailbox",
    isMailbox(spec.mailbox),
    "{ max: 1 or more, bytesMax: above 0, whenFull: refuse or discard }",
  );
  if (spec.capsule !== undefined) checkMessages(spec.capsule?.messages, `child ${spec.id}`);
  return spec;
}

/** What came from another thread is what its sender sent, whatever its type says. */
function checkIsObject(spec: unknown): void {
  if (typeof spec === "object" && spec !== null) return;
  const text = `a child's spec must be an object, not ${String(spec)}`;
  throw new NanoError("bad_argument", text, { field: "children" });
}

/** The same, and that the child fits its supervisor. */
export function checkChildOf(supervisor: SupervisorSpec, spec: ChildSpec): ChildSpec {
  checkChildSpec(spec);
  if (spec.significant !== true) return spec;
  const refusal =
    supervisor.strategy === "simple_one_for_one"
      ? "simple_one_for_one has no significant children"
      : (supervisor.autoShutdown ?? "never") === "never"
        ? "its supervisor's autoShutdown is never"
        : undefined;
  if (refusal === undefined) return spec;
  const details = { field: "significant", child: spec.id };
  throw new NanoError("bad_argument", `child ${spec.id} can't be significant: ${refusal}`, details);
}

/**
 * The spec of a child that is started later: given, or made of a simple_one_for_one's template and numbered. Errors:
 * `bad_argument` naming the field.
 */
export function addedSpec(
  supervisor: SupervisorSpec,
  added: ChildSpec | { readonly options: unknown },
  nextNumber: () => number,
): ChildSpec {
  checkIsObject(added);
  const isDynamic = supervisor.strategy === "simple_one_for_one";
  const template = supervisor.children[0];
  if (!isDynamic && "id" in added) return checkChildOf(supervisor, added);
  if (isDynamic && !("id" in added) && template !== undefined)
    return { ...template, id: `${template.id}-${nextNumber()}`, options: added.options };
  const text = isDynamic
    ? "simple_one_for_one takes { options }; the rest is its template's"
    : "only simple_one_for_one starts children from { options }; give a child's spec";
  throw new NanoError("bad_argument", text, { field: isDynamic ? "id" : "options" });
}

/** Fills in the defaults and checks them. Errors: `bad_argument` naming the field. */
export function supervisorSpec(
  spec: Partial<SupervisorSpec> & Pick<SupervisorSpec, "children">,
): SupervisorSpec {
  const full: SupervisorSpec = { strategy: "one_for_one", intensity: 1, periodMs: 5_000, ...spec };
  const check = (field: keyof SupervisorSpec, holds: boolean, rule: string): void => {
    if (!holds) throw new NanoError("bad_argument", `supervisor: ${field} ${rule}`, { field });
  };
  const { strategy, intensity, periodMs, autoShutdown = "never", children } = full;
  check("strategy", strategies.includes(strategy), `must be one of ${strategies.join(", ")}`);
  check("intensity", isDuration(intensity), "must be 0 or more");
  check("periodMs", typeof periodMs === "number" && periodMs > 0, "must be above 0");
  check("restartDelayMs", isRestartDelay(full.restartDelayMs), "must be { min: above 0, max: min or more }");
  check("autoShutdown", autoShutdowns.includes(autoShutdown), `must be one of ${autoShutdowns.join(", ")}`);
  check("children", Array.isArray(children), "must be an array");
  for (const each of children) checkChildOf(full, each);
  const ids = new Set(children.map(({ id }) => id));
  check("children", ids.size === children.length, "hold two with one id; make them differ");
  const isTemplate = strategy !== "simple_one_for_one" || children.length === 1;
  check("children", isTemplate, "of simple_one_for_one must be one: the template");
  return full;
}

function isName(value: unknown): boolean {
  return typeof value === "string" && value !== "";
}

function isDuration(value: unknown): boolean {
  return typeof value === "number" && value >= 0;
}

function isThread(thread: ChildSpec["thread"]): boolean {
  if (thread === undefined || thread === "any") return true;
  if (typeof thread === "number") return Number.isSafeInteger(thread) && thread >= 0;
  return typeof thread === "object" && Number.isSafeInteger(thread?.with?.thread);
}

function isMailbox(mailbox: MailboxLimits | undefined): boolean {
  if (mailbox === undefined) return true;
  if (typeof mailbox !== "object" || mailbox === null) return false;
  const { max, bytesMax, whenFull = "refuse" } = mailbox;
  return max >= 1 && bytesMax > 0 && (whenFull === "refuse" || whenFull === "discard");
}

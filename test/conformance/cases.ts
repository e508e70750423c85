/**
 * The cases that this runtime is measured by, under their sources' own names: OTP's gen_server_SUITE and
 * supervisor_SUITE, the tests of ractor's factory and of worker_pool, and what users asked of such runtimes. A case is
 * shown by the tests whose titles name it, or it is refused for the reason that stands here. Where a source's meaning
 * is another one on Node, `changed` says how.
 */

/** Shown by tests: a title says `stop3: ... (gen_server_SUITE)`. */
export const shown = true;

export interface Section {
  readonly source: string;
  readonly title: string;
  /** By name: shown, or why it is refused. */
  readonly cases: Readonly<Record<string, typeof shown | string>>;
  /** What a case means here, where that differs from its source. */
  readonly changed?: Readonly<Record<string, string>>;
}

const noPlacement =
  "It makes jobs wait behind a busy worker while others are idle, which is what `queue` exists to avoid.";

const routingIsData =
  "A routing is data, so that every thread and a later resize agree on it. The key is the caller's to choose.";

const noRate =
  "A fixed rate knows nothing of what workers bear. A factory is bounded by number, bytes, age and running time; " +
  "who must keep to a remote side's rate keeps it where its answers are seen, as db_replay does.";

const server = "gen_server_SUITE";
const tree = "supervisor_SUITE";

const serverSections: readonly Section[] = [
  {
    source: server,
    title: "gen_server: start and stop",
    cases: {
      start: shown,
      undef_init: shown,
      otp_7669: shown,
      stop1: shown,
      stop2: shown,
      stop3: shown,
      stop4: shown,
      stop5: shown,
      stop6: shown,
      stop7: shown,
      stop8: shown,
      stop9: shown,
      stop10: shown,
    },
    changed: {
      start:
        "`init` stops its start with a reason by throwing a NanoError: code and details reach the starter.",
      undef_init: "A definition without `init` is refused where it is made, so nothing is ever started.",
      stop7: "There is one registry; a name in it is the only kind of name.",
      stop8: "The other node is another thread.",
    },
  },
  {
    source: server,
    title: "gen_server: missing callbacks",
    cases: {
      undef_handle_call: shown,
      undef_handle_cast: shown,
      undef_handle_continue: shown,
      undef_handle_info: shown,
      undef_terminate1: shown,
      undef_terminate2: shown,
      undef_in_terminate: shown,
      undef_in_handle_info: shown,
      undef_code_change: shown,
    },
    changed: {
      undef_code_change:
        "The next version is another process, on a fresh thread: the former one goes on if that can't take over.",
    },
  },
  {
    source: server,
    title: "gen_server: messages",
    cases: {
      call: shown,
      call_with_huge_message_queue: shown,
      send_request: shown,
      send_request_wait_reqid_collection: shown,
      send_request_check_reqid_collection: shown,
      cast: shown,
      cast_fast: shown,
      info: shown,
      abcast: shown,
      continue: shown,
      crash: shown,
      terminate_crash_format: shown,
    },
    changed: {
      call: "What a call handler returns is the reply, so there is no bad return value but one that can't be sent.",
      send_request: "A promise is the request's id.",
      send_request_wait_reqid_collection: "`self.pipe` keeps the collection: a label for each answer.",
      send_request_check_reqid_collection: "The same.",
      abcast: "A cast to each of several servers; one that is gone is a dead letter.",
    },
  },
  {
    source: server,
    title: "gen_server: time and sys",
    cases: {
      start_event_timeout: shown,
      handle_event_timeout: shown,
      hibernate: shown,
      auto_hibernate: shown,
      get_state: shown,
      replace_state: shown,
      call_format_status: shown,
      format_all_status: shown,
    },
    changed: {
      handle_event_timeout:
        "A time-out is relative; an absolute one is `castAfter`, which no message interrupts.",
      hibernate:
        "There is no heap of its own to shrink: a process that waits is in no queue and has no timer.",
      auto_hibernate:
        "`self.idleAfter` is told when nothing came for a while, and lets go of what the state keeps.",
      replace_state: "The function is named by its module and export, because none crosses threads.",
    },
  },
  {
    source: server,
    title: "gen_server: many and remote",
    cases: {
      multicall: shown,
      multicall_down: shown,
      call_remote1: shown,
      call_remote2: shown,
      call_remote3: shown,
      call_remote_n1: shown,
      call_remote_n2: shown,
      call_remote_n3: shown,
    },
    changed: {
      multicall: "`Promise.allSettled` of calls has the replies and, under their errors, the bad list.",
      call_remote1: "The server is on another thread and is killed.",
      call_remote_n1: "Its host is gone: its thread, or its node.",
    },
  },
];

const treeSections: readonly Section[] = [
  {
    source: tree,
    title: "supervisor: start",
    cases: {
      sup_start_normal: shown,
      sup_start_ignore_init:
        "A supervisor's spec is data: there is no function that could decline. Whoever makes the spec leaves it out.",
      sup_start_error_return: shown,
      sup_start_fail: shown,
      sup_start_ignore_child: shown,
      sup_start_ignore_temporary_child: shown,
      sup_start_ignore_temporary_child_start_child: shown,
      sup_start_ignore_temporary_child_start_child_simple: shown,
      sup_start_ignore_permanent_child_start_child_simple: shown,
      sup_start_child_returns_error: shown,
      sup_start_restart_child_returns_error: shown,
      sup_start_map: shown,
      sup_start_map_faulty_specs: shown,
      child_specs_map: shown,
      sup_flags: shown,
      already_started_outside_supervisor: shown,
    },
    changed: {
      sup_start_error_return: "A spec that is none is refused, naming the field, and nothing is started.",
      sup_start_fail: "A child whose module does not load takes the part of an `init` that throws.",
    },
  },
  {
    source: tree,
    title: "supervisor: stop and administration",
    cases: {
      sup_stop_infinity: shown,
      sup_stop_timeout: shown,
      sup_stop_brutal_kill: shown,
      order_of_children: shown,
      child_unlink: shown,
      child_adm: shown,
      child_adm_simple: shown,
      extra_return:
        "A start is answered with a pid and nothing else. What a child has to say beside it is the answer to a call.",
    },
  },
  {
    source: tree,
    title: "supervisor: restart",
    cases: {
      permanent_normal: shown,
      permanent_shutdown: shown,
      permanent_abnormal: shown,
      transient_normal: shown,
      transient_shutdown: shown,
      transient_abnormal: shown,
      temporary_normal: shown,
      temporary_shutdown: shown,
      temporary_abnormal: shown,
      temporary_bystander: shown,
      multiple_restarts: shown,
      one_for_one: shown,
      one_for_one_escalation: shown,
      one_for_all: shown,
      one_for_all_escalation: shown,
      one_for_all_other_child_fails_restart: shown,
      rest_for_one: shown,
      rest_for_one_escalation: shown,
      rest_for_one_other_child_fails_restart: shown,
      simple_one_for_one: shown,
      simple_one_for_one_escalation: shown,
      hanging_restart_loop: shown,
      hanging_restart_loop_simple: shown,
      tree: shown,
    },
    changed: {
      one_for_one_escalation:
        "The supervisor ends with a crash, not with `shutdown`: a transient one is restarted, and the reason is seen.",
    },
  },
  {
    source: tree,
    title: "supervisor: dynamic children",
    cases: {
      simple_one_for_one_extra: shown,
      simple_one_for_one_shutdown: shown,
      simple_one_for_one_restart_ignore: shown,
      simple_one_for_one_scale_many_temporary_children: shown,
      count_children: shown,
      count_children_supervisor: shown,
      count_restarting_children: shown,
      do_not_save_child_specs_for_temporary_children: shown,
      code_change: shown,
      code_change_map: shown,
      code_change_simple: shown,
      code_change_simple_map: shown,
    },
    changed: {
      code_change:
        "No code changes; the call `changeSpec` gives a supervisor new flags and specs while it runs.",
    },
  },
  {
    source: tree,
    title: "supervisor: auto-shutdown",
    cases: {
      nonsignificant_temporary: shown,
      nonsignificant_transient: shown,
      significant_temporary: shown,
      significant_transient: shown,
      significant_bystander: shown,
      significant_escalation: shown,
      significant_simple: shown,
      significant_upgrade_never_any: shown,
      significant_upgrade_any_never: shown,
    },
  },
];

const ractor = "ractor";
const pool = "worker_pool";

const factorySections: readonly Section[] = [
  {
    source: ractor,
    title: "factory: routing",
    cases: {
      test_dispatch_key_persistent: shown,
      test_dispatch_queuer: shown,
      test_dispatch_sticky_queueing: shown,
      test_dispatch_round_robin: noPlacement,
      test_dispatch_custom_hashing: routingIsData,
    },
  },
  {
    source: ractor,
    title: "factory: limits",
    cases: {
      test_discarding_new_records_on_queuer: shown,
      test_discarding_old_records_on_queuer:
        "Who was taken keeps its place. The newest is told at once, when its sender can still turn elsewhere.",
      test_stuck_workers: shown,
      test_processing_messages_accounting_through_queue: shown,
      test_leaky_bucket_rate_limiting: noRate,
      test_factory_rate_limiting_key_persistent: noRate,
      test_factory_rate_limiting_queuer: noRate,
      test_factory_rate_limiting_round_robin: noRate,
      test_factory_rate_limiting_sticky_queuer: noRate,
      test_factory_rate_limiting_custom_hashing: noRate,
      test_basic_priority_queueing:
        "No lane is served out of turn: a key's later job would overtake an earlier one. What must not wait has a " +
        "factory of its own, as the data layer's reads have.",
    },
  },
  {
    source: ractor,
    title: "factory: life",
    cases: {
      test_request_draining: shown,
      test_worker_pool_adjustment_manual: shown,
      test_worker_pool_adjustment_automatic: shown,
      zero_initial_worker_pool_queues_until_resized:
        "A factory without workers takes what it can't do. It has one at least, and `resize` gives it more.",
      test_dynamic_settings:
        "What a factory promised a job when it took it stays. `resize` is what may change while jobs wait.",
      test_dynamic_dispatch_basic:
        "A bound that moves by itself hides how much a factory bears. `resize` follows the load, the bound stays.",
      test_lifecycle_hooks: shown,
      test_worker_death_restarts_and_gets_next_message: shown,
    },
    changed: {
      test_worker_pool_adjustment_automatic:
        "Whoever measures calls `resize`; there is no controller inside.",
      test_lifecycle_hooks: "Start, drain and stop are promises: what follows them is the hook.",
    },
  },
  {
    source: pool,
    title: "pool: strategies",
    cases: {
      best_worker: shown,
      available_worker: shown,
      next_available_worker: shown,
      hash_worker: shown,
      next_worker: noPlacement,
      random_worker: noPlacement,
      custom_worker: routingIsData,
    },
    changed: {
      best_worker: "No worker has a queue of its own: whoever is free takes what has waited longest.",
    },
  },
  {
    source: pool,
    title: "pool: limits and life",
    cases: {
      overrun: shown,
      too_much_overrun: shown,
      kill_on_overrun: shown,
      queue_type_fifo: shown,
      queue_type_lifo:
        "The newest first lets a key's later job overtake an earlier one, and starves who was taken first.",
      stats: shown,
      worker_killed_stats: shown,
      stop_pool: shown,
      broadcast: shown,
      broadcall: shown,
      non_brutal_shutdown: shown,
      brutal_worker_shutdown: shown,
      pool_of_supervisors: shown,
      pool_restart_crash: shown,
      pool_norestart_crash:
        "A factory whose workers are not started again holds jobs that nobody takes. They are, until it is stopped.",
      crashing_callback_does_not_affect_others: shown,
    },
    changed: {
      overrun: "One bound, `jobs.runMaxMs`: at it the worker is named, and killed.",
      crashing_callback_does_not_affect_others: "The callback is `onDiscard`.",
    },
  },
];

/** What users of such runtimes asked for: the project's issue or pull request is the case's name. */
const issues = "issues";

const issueSections: readonly Section[] = [
  {
    source: issues,
    title: "What users ask for: order, cancelling, broadcast, bounds",
    cases: {
      "piscina#89": shown,
      "bullmq#1182": shown,
      "bullmq#2774": shown,
      "akka.net#673": shown,
      "piscina#156": shown,
      "poolifier#888": shown,
      "tinypool#52": shown,
      "piscina#90": shown,
      "piscina#104": shown,
      "piscina#615": shown,
      "worker_pool#105": shown,
      "piscina#126": shown,
      "piscina#868": shown,
      "ractor#84": shown,
    },
  },
  {
    source: issues,
    title: "What users ask for: lives, time, threads, types",
    cases: {
      "worker_pool#37": shown,
      "ractor#118": shown,
      "akka-core#32721": shown,
      "pekko#668": shown,
      "erlang/otp#1287": shown,
      "comedy#35": shown,
      "nact#74": shown,
      "nact#76": shown,
      "tinypool#56": shown,
      "piscina#231": shown,
      "piscina#140": shown,
      "opentelemetry-js#3529": shown,
      "actor-ts#1191": shown,
    },
  },
];

export const sections: readonly Section[] = [
  ...serverSections,
  ...treeSections,
  ...factorySections,
  ...issueSections,
];

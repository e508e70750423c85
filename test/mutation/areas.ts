/** The files that are mutated, and the tests of each that run before the swarm does: those that name what it does. */

const unit = (...names: readonly string[]): string[] =>
  names.map((name) => `test/unit/actors/${name}.test.js`);
const hazards = (...names: readonly string[]): string[] =>
  names.map((name) => `test/sim/hazards/${name}.test.js`);

const core = (...names: readonly string[]): string[] => names.map((name) => `test/unit/${name}.test.js`);
const conformance = (...names: readonly string[]): string[] =>
  names.map((name) => `test/conformance/${name}.test.js`);

const factories = [
  ...core(
    "dispatcher",
    "dispatcher_workers",
    "backlog",
    "gen_factory",
    "factory_errors",
    "factory_explain",
    "factory_shedding",
  ),
  ...core("factory_order", "postponed", "cancel", "deadlines"),
  ...conformance("factory", "factory_life", "pool"),
];

export const areas: Readonly<Record<string, readonly string[]>> = {
  "src/core/gen_factory.ts": [
    ...factories,
    ...core("hot_upgrade", "industry_threads"),
    ...conformance("code_change"),
    "test/sim/factory_order.test.js",
    "test/sim/industry_order.test.js",
  ],
  "src/core/factory_jobs.ts": factories,
  "src/core/factory_workers.ts": [...factories, ...core("hot_upgrade")],
  "src/core/backlog.ts": factories,
  "actors/data_access.ts": [
    ...unit("db_module", "db_module_reads", "write_way"),
    ...hazards("found_blocks", "routing"),
    "test/sim/reads.test.js",
    "test/sim/two_sites.test.js",
  ],
  "actors/db_module.ts": [
    ...unit("db_module", "db_module_reads", "write_way"),
    ...hazards("found_blocks", "found_clocks", "held_keys", "hazard_48", "hazard_55", "found_restarts"),
    "test/sim/reads.test.js",
    "test/sim/admission.test.js",
    "test/sim/two_sites.test.js",
    "test/sim/taking_over_control.test.js",
  ],
  "actors/db_switch.ts": [
    ...unit("amend_queue", "write_way"),
    ...hazards(
      "hazard_03",
      "hazard_48",
      "hazard_51",
      "hazard_55",
      "drain_counts",
      "held_keys",
      "found_moves",
    ),
    ...hazards("hazard_07", "hazard_34", "hazard_47", "found_losses"),
    "test/sim/admission.test.js",
    "test/sim/taking_over_control.test.js",
    "test/sim/operator_deeds.test.js",
  ],
  "actors/db_dirty_keys.ts": [
    ...unit("ledger", "db_dirty_keys"),
    ...hazards(
      "hazard_13",
      "hazard_17",
      "hazard_28",
      "hazard_30",
      "hazard_51",
      "found_losses",
      "found_moves",
    ),
    ...hazards("hazard_12", "found_quarantine", "found_restarts", "held_across_cut"),
    "test/sim/log_faults.test.js",
    "test/sim/finish.test.js",
    "test/sim/operator_deeds.test.js",
  ],
  "actors/holds.ts": [
    ...unit("db_dirty_keys"),
    ...hazards("held_keys", "found_moves", "held_across_cut", "coordinator_instructions"),
    "test/sim/operator_deeds.test.js",
  ],
  "actors/ledger.ts": [
    ...unit("ledger"),
    "test/unit/ledger_pending.test.js",
    ...hazards("hazard_13", "hazard_17", "hazard_28", "found_quarantine", "queuer_death"),
  ],
  "actors/db_dirty_log.ts": [
    ...unit("db_dirty_log", "log_compaction", "log_reading", "db_log_mirror", "log_image", "log_segments"),
    ...unit("log_end", "log_and_mirror", "log_bounds"),
    "test/sim/log_faults.test.js",
    "test/sim/log_limits.test.js",
    ...hazards("hazard_14", "hazard_15", "hazard_56"),
    "test/sim/held_log_lost.test.js",
    "test/sim/log_storm.test.js",
  ],
  "actors/db_store.ts": [
    ...unit("db_store", "write_way", "one_time_keys", "kinds"),
    ...hazards("hazard_11", "hazard_12", "hazard_44", "found_clocks", "hazard_47"),
    ...hazards("hazard_03", "hazard_04", "hazard_08", "hazard_10", "hazard_52", "found_blocks"),
    "test/sim/admission.test.js",
    "test/sim/two_sites.test.js",
  ],
  "actors/stores/lmdb.ts": [
    "test/contract/lmdb.test.js",
    "test/contract/lmdb_sync.test.js",
    "test/contract/lmdb_copy.test.js",
    "test/contract/lmdb_file.test.js",
    "test/contract/lmdb_bounds.test.js",
    "test/contract/data_format.test.js",
    ...hazards("found_readers"),
  ],
  "actors/stores/apply_row.ts": [
    "test/contract/memory.test.js",
    ...unit("kinds"),
    ...hazards("hazard_01", "hazard_19", "hazard_04", "hazard_08"),
  ],
  "actors/db_queuer.ts": [
    ...unit("db_queuer", "write_way", "db_dirty_keys"),
    ...hazards("hazard_16", "hazard_20", "queuer_death", "found_restarts", "hazard_03", "hazard_30"),
    "test/sim/properties.test.js",
    "test/sim/two_sites.test.js",
  ],
  "actors/peer_sender.ts": [
    ...unit("peer_sender", "db_queuer", "write_way", "authority", "send_pace"),
    "test/sim/foreign_version.test.js",
    ...hazards("hazard_02", "hazard_09", "hazard_49", "hazard_20", "found_clocks"),
    "test/sim/quarantine.test.js",
    "test/sim/two_sites.test.js",
  ],
  "actors/db_replay.ts": [
    ...unit("db_replay", "db_replay_breaker", "breaker", "token_bucket", "db_dirty_keys", "send_pace"),
    "test/sim/properties.test.js",
    ...hazards("hazard_20", "hazard_27", "hazard_29", "hazard_49", "found_clocks", "found_quarantine"),
    ...hazards("hazard_16", "hazard_28", "hazard_32", "found_restarts", "queuer_death"),
    "test/sim/quarantine.test.js",
    "test/sim/gates.test.js",
  ],
  "actors/db_failover.ts": [
    ...unit("db_failover"),
    ...hazards("coordinator_death", "move_restarts", "held_across_cut", "held_keys", "found_moves"),
    ...hazards("coordinator_instructions", "hazard_40", "hazard_42"),
    "test/sim/coverage.test.js",
    "test/sim/decision_lease.test.js",
    "test/sim/gates.test.js",
    "test/sim/taking_over_control.test.js",
  ],
  "actors/failover_move.ts": [
    ...hazards("coordinator_death", "move_restarts", "held_across_cut", "hazard_40", "hazard_42"),
    ...hazards("coordinator_instructions", "held_keys", "found_moves"),
    ...unit("failover_move", "failover_ends", "leaving_sides", "read_only_prediction"),
    "test/sim/gates.test.js",
    "test/sim/coverage.test.js",
    "test/sim/decision_log.test.js",
    "test/sim/taking_over_control.test.js",
  ],
  "actors/decisions.ts": [
    ...unit("decisions"),
    ...hazards("coordinator_death", "coordinator_instructions"),
    "test/sim/decision_lease.test.js",
    "test/sim/decision_log.test.js",
    "test/sim/gates.test.js",
  ],
};

/**
 * The public door of the data layer: `nanoactor/db`. Declare backends, open stores, compose two sites, run the
 * migration. Nothing else of `actors/` is imported from outside.
 */

export { type Backend, defineBackend } from "./backends/backend.ts";
export { blocklist } from "./backends/blocklist.ts";
export { devicePlatform } from "./backends/device_platform.ts";
export { groups } from "./backends/groups.ts";
export { backends, builtInBackends } from "./backends/index.ts";
export { profilePicture } from "./backends/profile_picture.ts";
export { publicKeys } from "./backends/public_keys.ts";
export {
  type ChangeEvent,
  type ChangeFeed,
  type FeedOpener,
  type FeedRecord,
  ownOrigin,
  type Position,
} from "./change_feed.ts";
export {
  type Canary,
  type CohortFinder,
  canaryOf,
  checkPrefixes,
  cohortFinder,
  restPrefix,
} from "./cohorts.ts";
export {
  type Authority,
  authorityOf,
  type CohortRecord,
  type ControlRecord,
  type ControlStore,
  controlKeys,
  type DecisionRecord,
  type DecisionState,
  type MirrorRecord,
  type ShardRecord,
} from "./control_store.ts";
export type { CohortCoverage, Coverage, SitesCoverage } from "./coverage.ts";
export { DataAccess, type DataAccessOptions, type OperationCalls } from "./data_access.ts";
export {
  type CompareStatistics,
  db_compare,
  type Validation,
  type ValidationRequest,
} from "./db_compare.ts";
export { type CrawlerStatistics, db_crawler } from "./db_crawler.ts";
export { db_dirty_keys } from "./db_dirty_keys.ts";
export { type DirtyLogOptions, type DirtyLogStatistics, db_dirty_log } from "./db_dirty_log.ts";
export { db_failover, type Move, type MoveReport, readDecisions } from "./db_failover.ts";
export { db_feed, type FeedStatistics } from "./db_feed.ts";
export { db_log_mirror, type LogMirrorServerOptions } from "./db_log_mirror.ts";
export {
  db_migration,
  type MigrationPlan,
  type MigrationProgress,
  type MigrationRecord,
  type Phase,
  type PrefixPlan,
  readPhase,
  writeCohorts,
} from "./db_migration.ts";
export { db_module, type ModuleOptions, type ModuleRequest } from "./db_module.ts";
export { db_perror, type PerrorEntry } from "./db_perror.ts";
export { db_queuer, type QueuerStatistics } from "./db_queuer.ts";
export { db_replay, type ReplayStatistics } from "./db_replay.ts";
export { db_store, type StoreOpener } from "./db_store.ts";
export { db_switch } from "./db_switch.ts";
export { auditDecisions, type PrefixAudit } from "./decision_audit.ts";
export {
  type DecisionEntry,
  type DecisionStep,
  type Digest,
  eraseKey,
  readEntries,
} from "./decision_log.ts";
export type { GateName, Gates, MissingGate } from "./failover_gates.ts";
export { keyValue, type Put } from "./kinds/key_value.ts";
export { type BackendLimits, type Kind, type Operation, operation, type Plan } from "./kinds/kind.ts";
export { type OneTimeKey, oneTimeKeys, takeRetentionMs } from "./kinds/one_time_keys.ts";
export { type Edge, type Member, relationship } from "./kinds/relationship.ts";
export type { LedgerCounts } from "./ledger_messages.ts";
export { dataLimits } from "./limits.ts";
export type { MirrorPolicy } from "./log_mirror.ts";
export {
  checkPlan,
  checkSource,
  type PlannedBackend,
  type PlannedJob,
  type PlannedSource,
  type Refusal,
} from "./plan.ts";
export type { Deed, Stands } from "./quarantine.ts";
export {
  type CohortId,
  cohortId,
  compareKeys,
  compareVersions,
  type DirtyRange,
  everyCohort,
  type Grant,
  type Grants,
  hashKey,
  type Mark,
  type MarkOwner,
  type Row,
  type RowKey,
  type RowKeyParts,
  rowKey,
  type Scope,
  type Site,
  shardOf,
  shardScope,
  splitRowKey,
  type Version,
  versionZero,
} from "./records.ts";
export type {
  AmendDecision,
  AmendFunction,
  AmendRequest,
  GetRequest,
  LiveRow,
  RowWrite,
  ScanRequest,
  WriteRequest,
  WriteResult,
} from "./shard_messages.ts";
export {
  defaultTuning,
  logProcess,
  type ShardOptions,
  type ShardProcess,
  shardProcess,
  type Tuning,
} from "./shard_options.ts";
export {
  coordinators,
  failoverProcess,
  type MirrorPlan,
  migrationProcess,
  type SitePlan,
  siteChildren,
} from "./site.ts";
export type { SiteCounts, SiteOptions } from "./site_shards.ts";
export {
  type ForeignSource,
  type MoveLimits,
  Sites,
  type SitesCounts,
  type SitesOptions,
  startSites,
} from "./sites.ts";
export type { ApplyGroup, ApplyResult, Identity, ScanRange } from "./store_messages.ts";
export type { Capabilities, Store, StoreOptions } from "./stores/contract.ts";
export {
  closeDataDirectory,
  type DataDirectoryOptions,
  type DataResources,
  layout,
  logFolders,
  openDataDirectory,
  threadSetup,
} from "./stores/data_directory.ts";
export { type DirectoryLock, lockDirectory } from "./stores/directory_lock.ts";
export { openLmdbReader, openLmdbStore, type StoreReader } from "./stores/lmdb.ts";
export { openLmdbControl } from "./stores/lmdb_control.ts";
export { MemoryFiles, openMemoryStore } from "./stores/memory.ts";
export { MemoryControl } from "./stores/memory_control.ts";
export { MemorySource, type MemorySourceOptions } from "./stores/memory_source.ts";
export { nodeDigest } from "./stores/sha256.ts";

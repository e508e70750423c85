/** The public door of the runtime. Nothing else of `src/` is imported from outside, but the simulator's door. */

export { AssertionError, assert, unreachable } from "./base/assert.ts";
export { crc32c } from "./base/crc32c.ts";
export {
  type ErrorCode,
  type ErrorData,
  fromErrorData,
  hasCode,
  NanoError,
  toErrorData,
} from "./base/errors.ts";
export { Heap } from "./base/heap.ts";
export { RingBuffer } from "./base/ring_buffer.ts";
export type { AllWays, Heard } from "./core/broadcast.ts";
export type { CapsuleWish } from "./core/capsules.ts";
export {
  type AutoShutdown,
  type ChildOptions,
  type ChildSpec,
  type ChildType,
  child,
  type Restart,
  type Strategy,
  type SupervisorSpec,
  supervisorSpec,
} from "./core/child_spec.ts";
export { type ExitReason, type From, isSameCall } from "./core/envelope.ts";
export { Factory, type JobWays } from "./core/factory.ts";
export type {
  DiscardedJob,
  DiscardReason,
  FactoryOptions,
  FactoryStatistics,
  JobLimits,
  KeyExplanation,
  MovingKey,
  ResizeExplanation,
} from "./core/gen_factory.ts";
export {
  type CallOptions,
  type CallsOf,
  type CapsuleRules,
  type CastsOf,
  type Definition,
  genServer,
  type Ignore,
  type Info,
  ignore,
  noReply,
  type OptionsOf,
  type Piped,
  type Ref,
  type Stop,
  stop,
  stopWith,
  type TakesOver,
} from "./core/gen_server.ts";
export type { CodeChange, Former } from "./core/hand_over.ts";
export {
  type AllIndustryWays,
  Industry,
  type IndustryKeyExplanation,
  type IndustryResizeExplanation,
  type IndustryStatistics,
} from "./core/industry.ts";
export type { IndustryOptions } from "./core/industry_options.ts";
export { type IndustryAddress, type IndustryRef, industryRef } from "./core/industry_route.ts";
export { formatPid, type Pid, samePid, type Target } from "./core/pid.ts";
export { type Postponed, postpone } from "./core/postponed.ts";
export type { ProcessStatistics, ProcessStatus } from "./core/process_statistics.ts";
export { consistentHash, queue, type Routing, stickyQueue } from "./core/routing.ts";
export type { Asked, MailboxLimits, Self, SpawnOptions, TimerRef } from "./core/self.ts";
export { type ChildCounts, type ChildInfo, supervisor } from "./core/supervisor.ts";
export { type StopProcessOptions, System } from "./core/system.ts";
export type { SystemStatus, ThreadState, ThreadStatus, TurnStatus } from "./core/thread_status.ts";
export type { UpgradeOptions } from "./core/upgrade.ts";
export type { CapsuleFolder } from "./platform/capsule_folder.ts";
export { nodeDisk } from "./platform/disk.ts";
export { type StartOptions, startSystem } from "./platform/start_system.ts";
export type { StuckPolicy, StuckReport } from "./platform/watchdog.ts";
export type { Clock } from "./seams/clock.ts";
export type { AppendFile, Disk } from "./seams/disk.ts";
export type { Logger } from "./seams/log.ts";
export type { Random } from "./seams/random.ts";
export { encodeFrame, FrameSplitter } from "./wire/frame.ts";
export type { Sendable } from "./wire/sendable.ts";
export { decodeStrict, encodeStrict, type StrictLimits } from "./wire/validate.ts";

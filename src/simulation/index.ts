/** The simulator's door: `nanoactor/simulation`. Production actors in virtual time, from one seed. */

export { Chance } from "./chance.ts";
export { type DiskFaults, SimulatedDisk } from "./disk.ts";
export {
  type CheckOptions,
  checkHistory,
  type HistoryOperation,
  type SequentialModel,
  type Verdict,
} from "./linearizability.ts";
export type { LogRecord } from "./log.ts";
export type { Mesh, MeshOptions } from "./mesh.ts";
export type { NetworkFault, NetworkWay, SimulatedNetwork } from "./network.ts";
export { type NodeOptions, SimulatedNode } from "./node.ts";
export { PausePoints } from "./pause_points.ts";
export { type ReplayOptions, type ReplayReport, replayCapsule } from "./replay.ts";
export { SeedError, type SimulateOptions, type SimulateReport, simulate } from "./seeds.ts";
export {
  checkRegister,
  checkTakes,
  type RegisterOperation,
  registerModel,
  type TakeOperation,
  takeModel,
  type Value,
} from "./sequential_models.ts";
export { canonicalJson, type Plan, type ShrinkOptions, type Shrunk, shrink } from "./shrink.ts";
export { type SimulationOptions, type SimulationReport, simulateSeed, World } from "./simulate.ts";
export type { SimulatedThread, WallClock } from "./thread.ts";
export { type Order, SimulationError } from "./timeline.ts";
export { RealWorldError } from "./world_guard.ts";

/** The simulator's door: `nanoactor/simulation`. Production actors in virtual time, from one seed. */

export { Chance } from "./chance.ts";
export { type DiskFaults, SimulatedDisk } from "./disk.ts";
export { checkHistory, type HistoryOperation, type SequentialModel } from "./linearizability.ts";
export type { LogRecord } from "./log.ts";
export type { Mesh, MeshOptions } from "./mesh.ts";
export type { NetworkFault, NetworkWay, SimulatedNetwork } from "./network.ts";
export { type NodeOptions, SimulatedNode } from "./node.ts";
export { PausePoints } from "./pause_points.ts";
export { type SimulationOptions, type SimulationReport, simulateSeed, World } from "./simulate.ts";
export type { SimulatedThread, WallClock } from "./thread.ts";
export { type Order, SimulationError } from "./timeline.ts";

/**
 * Where a thread shows what it does, so that others can see it while it is blocked. Production: shared memory,
 * `src/platform/status_board.ts`. Absent where nobody could look: in the simulator, and without worker threads.
 */

/** `init` and `terminate` are not turns, but hold the thread as one does. */
export type HandlerKind = "call" | "cast" | "info" | "cancel" | "init" | "terminate";

export interface StatusBoard {
  /** A run of turns begins, at this wall-clock ms. */
  running(nowMs: number): void;
  /** It has ended: no turn is under way. */
  idle(): void;
  /** For the processes of one definition. */
  of(definition: string): TurnMarks;
}

export interface TurnMarks {
  /** A turn of `process` begins; the one before has ended. Called for each message: it costs a few ns. */
  begin(process: number, kind: string, method: string): void;
  /** The same for what may happen within a turn or outside of any; what it returns is for `leave`. */
  enter(process: number, kind: HandlerKind): number;
  leave(entered: number): void;
  /** The turn in hand awaits something: it is shown as pending until `settled`, if there is a place for it. */
  awaits(): void;
  settled(process: number): void;
}
